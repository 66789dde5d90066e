"""Loads timm's ImageNet weights of ``inception_resnet_v2`` into the preset of that network."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.cascade import Cascade, Dense
from lc_trt.model.presets import find_preset

PRESET = "inception-resnet-v2"
NAME = "inception_resnet_v2"  # in timm
TAG = "tf_in1k"  # timm's default tag
HUB = "hf-hub:"  # timm's prefix of a Hugging Face repository
HUB_FILE = "model.safetensors"
PICKLES = (".pth", ".pt", ".bin")

# timm's module names by stage, in our order; "" for modules without parameters (pooling).
MODULES = (
    (
        *("conv2d_1a", "conv2d_2a", "conv2d_2b", "", "conv2d_3b", "conv2d_4a", "", "mixed_5b"),
        *(f"repeat.{i}" for i in range(10)),
        "mixed_6a",
    ),
    (*(f"repeat_1.{i}" for i in range(20)), "mixed_7a"),
    (*(f"repeat_2.{i}" for i in range(9)), "block8", "conv2d_7b"),
)
FIRST = "conv2d_1a.conv.weight"
CLASSIFIER = ("classif.weight", "classif.bias")


@dataclass(frozen=True)
class Loaded:
    """Summary of `load_imagenet`; ``str()`` gives one line for people.

    Attributes:
        path: the file read.
        values: number of values loaded into the trunk.
        unused: tensors that were not loaded: the 1000-class classifier.
    """

    path: Path
    values: int
    unused: tuple[str, ...]

    def __str__(self) -> str:
        unused = f"unused: {', '.join(self.unused)}; " if self.unused else ""
        return (
            f"{self.path}: loaded {self.values / 1e6:.1f} M values into the trunk; {unused}"
            "heads unchanged"
        )


def load_imagenet(model: Cascade | Dense, source: str) -> Loaded:
    """Load ImageNet weights into the trunk of preset ``inception-resnet-v2``.

    The input channels of the first convolution are reversed, since timm's network takes RGB and
    ours BGR. The heads are unchanged. On an error the model is unchanged.

    Args:
        model: a cascade or dense network of that preset.
        source: a .safetensors, .pth, .pt or .bin file with timm's tensor names, or a timm name:
            ``inception_resnet_v2[.TAG]`` or ``hf-hub:OWNER/REPOSITORY``.

    Returns:
        A summary of what was loaded.

    Raises:
        UsageError: the model is of another preset.
        LcTrtError: no such file, download failed, or a tensor is missing, unexpected, or has
            another shape or type.

    Example:
        >>> model = build_cascade("inception-resnet-v2", classes=21)
        >>> print(load_imagenet(model, "inception_resnet_v2.tf_in1k"))
    """
    trunk = _trunk(model)
    path = _find(source)
    state = _read(path)
    unused = tuple(name for name in CLASSIFIER if name in state)
    _check(path, state, trunk)
    with torch.no_grad():
        for name, target in trunk.items():
            target.copy_(state[name].flip(1) if name == FIRST else state[name])
    return Loaded(path, sum(tensor.numel() for tensor in trunk.values()), unused)


def published_name(name: str) -> str:
    """timm's name of one of our parameters.

    Args:
        name: within ``model.stages``; ``0.8.branches.branches.1.0.conv.weight``, module 8 of
            stage 1, is timm's ``repeat.0.branch1.0.conv.weight``.
    """
    stage, module, rest = name.split(".", 2)
    rest = re.sub(r"^(branches\.)?branches\.", "branch", rest)
    rest = re.sub(r"^project\.conv\.", "conv2d.", rest)
    return f"{MODULES[int(stage)][int(module)]}.{rest}"


def _trunk(model: Cascade | Dense) -> dict[str, Tensor]:
    """The trunk's tensors by timm's names."""
    preset = find_preset(PRESET)
    with torch.device("meta"):
        stages = nn.ModuleList(preset.trunk(preset.blocks, preset.width).stages)
    state = model.stages.state_dict()
    if _shapes(state) != _shapes(stages.state_dict()):
        raise UsageError(
            f"ImageNet weights exist for preset {PRESET} only, and this is another network: "
            f"use --preset {PRESET}, or start without ImageNet weights"
        )
    return {published_name(name): tensor for name, tensor in state.items()}


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def _find(source: str) -> Path:
    """Resolve a source to a file, downloading it if necessary."""
    path = Path(source)
    if path.suffix in (".safetensors", *PICKLES):
        if not path.is_file():
            raise LcTrtError(f"{source}: no such file; expected weights of timm's {NAME}")
        return path
    if source.startswith(HUB):
        return _download(source, source.removeprefix(HUB))
    if source.partition(".")[0] == NAME:
        return _download(source, f"timm/{source if '.' in source else f'{source}.{TAG}'}")
    raise LcTrtError(
        f"{source}: not ImageNet weights; expected a .safetensors, {', '.join(PICKLES)} file, "
        f"{NAME}[.TAG] or {HUB}OWNER/REPOSITORY"
    )


def _download(source: str, repository: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise LcTrtError(
            f"{source}: downloading needs huggingface_hub: pip install huggingface_hub, or give a "
            "file"
        ) from error
    try:
        return Path(hf_hub_download(repository, HUB_FILE))
    except (OSError, ValueError) as error:  # network errors and invalid names
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise LcTrtError(
            f"{source}: cannot download {HUB_FILE} of {repository} ({lines[0]}); download "
            f"https://huggingface.co/{repository}/resolve/main/{HUB_FILE} elsewhere and give "
            "the file"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """Read the file's tensors without executing pickled code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise LcTrtError(f"{path}: not a safetensors file ({error})") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LcTrtError(
            f"{path}: unreadable, or holds more than tensors; expected the state dict of timm's "
            f"{NAME}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise LcTrtError(
            f"{path}: not a dictionary of tensors; expected the state dict of timm's {NAME}"
        )
    return state


def _check(path: Path, state: dict[str, Tensor], trunk: dict[str, Tensor]) -> None:
    for name, expected in trunk.items():
        if name not in state:
            raise LcTrtError(f"{path}: lacks {name!r}, expected {tuple(expected.shape)}")
        tensor = state[name]
        if tensor.shape != expected.shape or not tensor.is_floating_point():
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise LcTrtError(
                f"{path}: {name!r} is {dtype} {tuple(tensor.shape)}, expected float "
                f"{tuple(expected.shape)}"
            )
    # torch's batch norm counts its steps; ours has no counter.
    counters = {
        name.replace("running_mean", "num_batches_tracked")
        for name in trunk
        if name.endswith("running_mean")
    }
    for name in state:
        if name not in trunk and name not in counters and name not in CLASSIFIER:
            raise LcTrtError(
                f"{path}: holds {name!r} {tuple(state[name].shape)}, which {NAME} does not have"
            )
