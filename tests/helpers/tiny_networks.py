"""Networks of every layer type, small enough to export and run in a second, and their frames."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from tiny_encoder import tiny_encoder_cascade

from lc_trt.ir.export import export_cascade
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.cascade import Cascade
from lc_trt.model.irnet import inception_resnet_v2_trunk, irnet_trunk
from lc_trt.model.layers import BatchNorm
from lc_trt.model.presets import initialise
from lc_trt.runtime.engines.onnxruntime import open_session

CLASSES = 5
MEAN, STD = (100.0, 110.0, 120.0), (60.0, 55.0, 50.0)
TRUNKS = {"irnet": irnet_trunk, "inception": inception_resnet_v2_trunk}
INFO = ModelInfo(
    "cascade",
    "tiny",
    tuple(f"class{i}" for i in range(CLASSES)),
    tuple((i * 40, 0, 0) for i in range(CLASSES)),
    (48, 72),
)


def tiny_cascade(trunk: str = "irnet", form: str = "plain", seed: int = 0) -> Cascade:
    """A cascade whose batch norms and confidences are not trivial."""
    torch.manual_seed(seed)
    model = initialise(Cascade(TRUNKS[trunk]((1, 1, 2), 0.125), CLASSES, form, 8)).eval()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
    for name, parameter in model.heads.named_parameters():
        if parameter.shape[0] == CLASSES and parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=3.0 / parameter[0].numel() ** 0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def tiny_model(trunk: str = "irnet", form: str = "plain") -> onnx.ModelProto:
    """The same as exchange ONNX."""
    return export_cascade(tiny_cascade(trunk, form), INFO, MEAN, STD)


def tiny_encoder_model() -> onnx.ModelProto:
    """A cascade with exact regions as exchange ONNX."""
    return export_cascade(tiny_encoder_cascade(CLASSES), INFO, MEAN, STD)


def frames(count: int, size: tuple[int, int] = (48, 72), seed: int = 0) -> npt.NDArray[np.uint8]:
    """Blurred noise: smooth enough for neighbours to agree, uint8 [count, H, W, 3]."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    soft = [cv2.GaussianBlur(n, (0, 0), 4) for n in noise]
    return np.stack([cv2.normalize(s, None, 0, 255, cv2.NORM_MINMAX) for s in soft])


def to_input(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Input of the torch network."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """ONNX Runtime with one thread."""
    return open_session(model.SerializeToString(), threads=1)


def run(
    session: onnxruntime.InferenceSession,
    images: npt.NDArray[np.uint8],
    rho: tuple[float, float] | None,
) -> dict[str, np.ndarray]:
    """All outputs by name."""
    feed = {"image": images}
    if rho is not None:
        feed["rho"] = np.array(rho, np.float32)
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def middle_rho(
    session: onnxruntime.InferenceSession, images: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """Thresholds between confidences: half the pixels exit first, half of the rest second."""
    return rho_at(session, images, (0.5, 0.5))


def rho_at(
    session: onnxruntime.InferenceSession,
    images: npt.NDArray[np.uint8],
    shares: tuple[float, float],
) -> tuple[float, float]:
    """Thresholds between confidences that about these shares of the pixels do not exceed."""
    first = _between(run(session, images, (-1, -1))["confidence"], shares[0])
    second = run(session, images, (first, -1))
    return first, _between(second["confidence"][second["stages"] == 2], shares[1])


def _between(values: np.ndarray, share: float) -> float:
    ordered = np.concatenate([[-1.0], np.sort(values.ravel()), [1.0]])
    at = round(share * (len(ordered) - 2))
    # In the widest gap near there, so that rounding does not move a pixel to the other side.
    first = max(0, at - 3)
    at = first + int(np.diff(ordered[first : at + 5]).argmax())
    return float((ordered[at] + ordered[at + 1]) / 2)
