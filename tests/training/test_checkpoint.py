import pytest
import torch

from lc_trt.errors import LcTrtError
from lc_trt.model.layers import Conv
from lc_trt.training.checkpoint import (
    check_same_run,
    load_into,
    load_state,
    save_state,
    save_weights,
)
from lc_trt.training.config import TrainConfig


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    save_weights(path, Conv(2, 3, 3), {"preset": "tiny", "val_miou": 0.5})
    return path


def test_weights_come_back_with_their_metadata(weights):
    torch.manual_seed(0)
    saved, model = Conv(2, 3, 3), Conv(2, 3, 3)
    assert load_into(model, weights) == {"preset": "tiny", "val_miou": 0.5}
    for a, b in zip(model.state_dict().values(), saved.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(LcTrtError, match=r"w\.safetensors: 'conv\.weight' is \(3, 2, 3, 3\).*--cl"):
        load_into(Conv(2, 4, 3), weights)
    with pytest.raises(LcTrtError, match=r"w\.safetensors: lacks 'conv\.bias'"):
        load_into(Conv(2, 3, 3, norm=False), weights)
    with pytest.raises(LcTrtError, match=r"w\.safetensors: holds 'bn\.bias'"):
        model = Conv(2, 3, 3)
        model.bn = None
        load_into(model, weights)


def test_an_optional_tensor_may_be_absent(weights):
    torch.manual_seed(0)
    saved, model = Conv(2, 3, 3), Conv(2, 3, 3)
    model.extra = torch.nn.Parameter(torch.tensor([7.0]))
    with pytest.raises(LcTrtError, match="lacks 'extra'"):
        load_into(model, weights)
    load_into(model, weights, {"extra"})
    assert model.extra.item() == 7
    assert torch.equal(model.conv.weight, saved.conv.weight)


def test_a_part_of_the_file_may_be_left_out(weights):
    model = Conv(2, 3, 3)
    del model.bn
    model.bn = None
    before = model.conv.weight.clone()
    load_into(model, weights, left_out=("bn.",))
    assert not torch.equal(model.conv.weight, before)


def test_a_field_newer_than_the_run_had_its_default(tmp_path):
    values = {"encoder": {"name": "resnet18"}, "phases": [{"loss": "deep", "epochs": 1}]}
    now = TrainConfig.model_validate(values).as_dict()
    before = TrainConfig.model_validate(values).as_dict()
    del before["encoder"]["neighbours"]
    check_same_run(tmp_path / "last.pt", before, now)
    now["encoder"]["neighbours"] = "zeros"
    with pytest.raises(LcTrtError, match=r"encoder\.neighbours 'exact', not 'zeros'"):
        check_same_run(tmp_path / "last.pt", before, now)
    before["old"] = 1
    with pytest.raises(LcTrtError, match=r"was trained with .*, not"):
        check_same_run(tmp_path / "last.pt", before, now)


def test_files_without_weights_are_refused(tmp_path):
    with pytest.raises(LcTrtError, match=r"none\.safetensors: no such file"):
        load_into(Conv(1, 1), tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(LcTrtError, match=r"bad\.safetensors: not a safetensors file"):
        load_into(Conv(1, 1), tmp_path / "bad.safetensors")


def test_a_truncated_state_file_is_named(tmp_path):
    path = tmp_path / "last.pt"
    save_state(path, {"step": 3, "model": {"w": torch.zeros(100)}})
    assert load_state(path)["step"] == 3
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(LcTrtError, match=r"last\.pt: not a training state.*--fresh"):
            load_state(path)
