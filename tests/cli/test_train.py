import json
import signal

import pytest
import torch
from tiny_training import TINY, make_tree

from lc_trt.cli.app import main
from lc_trt.model import presets
from lc_trt.training.checkpoint import load_weights
from lc_trt.training.trainer import Trainer


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("street") / "data")


@pytest.fixture
def command(tree, tmp_path):
    """Six steps, three a phase."""
    return [
        *("train", "--data", str(tree), "--out", str(tmp_path / "run"), "--preset", "tiny"),
        *("--classes", "3", "--deep-epochs", "1", "--cascade-epochs", "1", "--batch", "2"),
        *("--crop", "64x64", "--scale", "0.9,1.1", "--rate", "0.01", "--threads", "1"),
    ]


def test_trains_and_sums_up(command, tmp_path, capsys):
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    best = tmp_path / "run" / "best.safetensors"
    assert summary["finished"] is True
    assert (summary["step"], summary["steps"], summary["refused"]) == (6, 6, 0)
    assert summary["weights"] == str(best)
    assert set(summary["val_miou"]) == {"deep", "cascade"}
    assert load_weights(best)[1]["config"]["crop"] == [64, 64]
    lines = printed.err.splitlines()
    assert any(line.startswith("deep: val mIoU ") for line in lines)
    assert any(line.startswith("cascade 6/6: loss ") for line in lines)
    assert lines[-1] == f"finished: {best}"


def test_ctrl_c_saves_and_the_same_command_goes_on(command, monkeypatch, capsys):
    step = Trainer._train_step

    def interrupted(self, rate):
        if self.step == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, rate)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", interrupted)
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
        (["--crop", "64"], 2, "--crop '64': expected two numbers with 'x' between them"),
        (["--crop", "64x8"], 2, "crop (64, 8): expected 32 pixels or more a side"),
        (["--scale", "a,b"], 2, "--scale 'a,b'"),
        (["--preset", "vgg16"], 2, "preset 'vgg16' has no cascade form"),
        (["--classes", "dogs"], 2, "unknown class set 'dogs'"),
        (["--heads", "round"], 2, "head form"),
        (["--batch", "0"], 2, "--batch"),
        (["--deep-epochs", "0", "--cascade-epochs", "0"], 2, "epochs (0, 0)"),
        (["--data", "nowhere"], 1, "nowhere/train/images: no such folder"),
        (["--classes", "2"], 1, "value 2, expected 0 to 1 or 255"),
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
    assert main([*command, "--seed", "4"]) == 1
    printed = capsys.readouterr().err
    assert "was trained with seed 0, not 4; give the same value, another --out" in printed
    assert len(printed.splitlines()) == 1


def test_an_unwritable_out(command, tmp_path, capsys):
    (tmp_path / "run").write_text("a file")
    assert main(command) == 1
    assert "run: cannot be a folder" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    assert main(["train", "--help"]) == 0
    assert "lc-trt train --data camvid --out runs/small" in capsys.readouterr().out
