"""ImageNet weights: timm's public ``inception_resnet_v2`` into the preset of that network."""

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
NAME, TAG = (
    "inception_resnet_v2",
    "tf_in1k",
)  # timm's name, and the tag it takes where none is given
HUB = "hf-hub:"  # how timm writes a repository of the Hugging Face hub
HUB_FILE = "model.safetensors"
PICKLES = (".pth", ".pt", ".bin")

# timm's names of the modules of our three stages, in order; "" has no values (a pool).
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
    """What `load_imagenet` did; its text is a line for people.

    Attributes:
        path: the file that was read.
        values: how many values the trunk got.
        unused: what else the file holds: the classifier of 1000 classes.
    """

    path: Path
    values: int
    unused: tuple[str, ...]

    def __str__(self) -> str:
        unused = f"not used: {', '.join(self.unused)}; " if self.unused else ""
        return (
            f"{self.path}: {self.values / 1e6:.1f} M values into the trunk; {unused}"
            "the heads keep theirs"
        )


def load_imagenet(model: Cascade | Dense, source: str) -> Loaded:
    """Fill the trunk of preset ``inception-resnet-v2`` with weights trained on ImageNet.

    The first convolution's input channels are reversed: timm's network takes RGB, ours BGR. Heads
    keep their values. Either the whole trunk is filled or nothing is.

    Args:
        source: a .safetensors, .pth, .pt or .bin file with timm's names, or what timm calls it:
            ``inception_resnet_v2[.TAG]`` or ``hf-hub:OWNER/REPOSITORY``.

    Raises:
        UsageError: the model is of another preset; no weights are public for those.
        LcTrtError: no such file, the hub gives none, or a tensor is missing, of another shape or
            type, or one too many.

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
        for name, ours in trunk.items():
            ours.copy_(state[name].flip(1) if name == FIRST else state[name])
    return Loaded(path, sum(tensor.numel() for tensor in trunk.values()), unused)


def published_name(name: str) -> str:
    """timm's name of a value of ours.

    ``0.8.branches.branches.1.0.conv.weight``, stage 1's module 8, is
    ``repeat.0.branch1.0.conv.weight``.
    """
    stage, module, rest = name.split(".", 2)
    rest = re.sub(r"^(branches\.)?branches\.", "branch", rest)
    rest = re.sub(r"^project\.conv\.", "conv2d.", rest)
    return f"{MODULES[int(stage)][int(module)]}.{rest}"


def _trunk(model: Cascade | Dense) -> dict[str, Tensor]:
    """The trunk's values by timm's names."""
    preset = find_preset(PRESET)
    with torch.device("meta"):
        stages = nn.ModuleList(preset.trunk(preset.blocks, preset.width).stages)
    state = model.stages.state_dict()
    if _shapes(state) != _shapes(stages.state_dict()):
        raise UsageError(
            f"ImageNet weights are public for preset {PRESET} only, and this is another network: "
            f"take --preset {PRESET}, or start without ImageNet weights"
        )
    return {published_name(name): tensor for name, tensor in state.items()}


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def _find(source: str) -> Path:
    """The file that a source means, from the hub if need be."""
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
            f"{source}: huggingface_hub, which fetches it, is not installed; install it: "
            "pip install huggingface_hub, or give a file"
        ) from error
    try:
        return Path(hf_hub_download(repository, HUB_FILE))
    except (OSError, ValueError) as error:  # its errors of the network and of names
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise LcTrtError(
            f"{source}: the hub gives no {HUB_FILE} of {repository} ({lines[0]}); fetch "
            f"https://huggingface.co/{repository}/resolve/main/{HUB_FILE} elsewhere and give "
            "the file"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """The file's tensors. No code in it runs: of pickles, torch reads tensors alone."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise LcTrtError(f"{path}: not a safetensors file ({error})") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LcTrtError(
            f"{path}: torch cannot read it, or it holds more than tensors; expected the state "
            f"dict of timm's {NAME}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise LcTrtError(
            f"{path}: not a table of tensors; expected the state dict of timm's {NAME}"
        )
    return state


def _check(path: Path, state: dict[str, Tensor], trunk: dict[str, Tensor]) -> None:
    for name, ours in trunk.items():
        if name not in state:
            raise LcTrtError(f"{path}: lacks {name!r}, expected {tuple(ours.shape)}")
        found = state[name]
        if found.shape != ours.shape or not found.is_floating_point():
            kind = str(found.dtype).removeprefix("torch.")
            raise LcTrtError(
                f"{path}: {name!r} is {kind} {tuple(found.shape)}, expected float "
                f"{tuple(ours.shape)}"
            )
    # torch's batch norm counts its steps; a frozen or resumed one of ours does not need that.
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
