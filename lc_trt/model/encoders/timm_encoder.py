"""Any network of timm's with features at strides 4 to 32, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders.base import STRIDES, Encoder, EncoderInfo, Triple

INSTALL = "pip install timm"
PROBE = (64, 96)  # height and width of the image that a new network is tried with


class TimmEncoder(Encoder):
    """A network of timm's without its classifier, with random weights.

    Its tensors have timm's names and order: the channels of the image are reversed on the way in.
    Inside, images are padded to multiples of 32 by the mean, so that networks that round sizes
    down have a feature for every pixel.

    Args:
        name: of the network, as ``timm.list_models()`` has it.

    Attributes:
        network: the features of the network.
        pretrained: facts of the weights that timm has for it: tag, license and others.

    Raises:
        UsageError: timm has no such network, or it has no features at the strides.
        LcTrtError: timm is not installed.
    """

    def __init__(self, name: str) -> None:
        timm = import_timm()
        if not timm.is_model(name):
            close = difflib.get_close_matches(name, timm.list_models(), 3)
            advice = f"did you mean {' or '.join(close)}?" if close else "see timm.list_models()"
            raise UsageError(f"unknown encoder {name!r}: timm has no such network; {advice}")
        indices = _indices(name, _create(timm, name))
        network = _create(timm, name, out_indices=indices)
        c4, c8, c16, c32 = network.feature_info.channels()
        config: Mapping[str, Any] = network.pretrained_cfg
        super().__init__(_info(name, config["mean"], config["std"]), (c4, c8, c16, c32))
        self.network: nn.Module = network
        self.pretrained = config
        self._indices = indices
        self._check_shapes()

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        height, width = x.shape[2:]
        coarsest = STRIDES[-1]
        padded = functional.pad(x.flip(1), (0, -width % coarsest, 0, -height % coarsest))
        return tuple(
            feature[:, :, : -(-height // stride), : -(-width // stride)]
            for feature, stride in zip(self.network(padded), STRIDES, strict=True)
        )

    @override
    def freeze(self, stride: int | None) -> None:
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        if stride is None or not parameters:
            return
        # Only autograd knows which parameters a feature of a foreign network depends on.
        with torch.enable_grad():
            x = torch.zeros(1, 3, *PROBE, device=parameters[0].device)
            feature = self.network(x)[STRIDES.index(stride)]
            if not feature.requires_grad:  # all of them are frozen
                return
            gradients = torch.autograd.grad(feature.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.requires_grad_(False)

    def load_timm(self, state: Mapping[str, Tensor] | None) -> None:
        """Load weights with timm's names; on an error the network is unchanged.

        Args:
            state: of the whole network, classifier included; None for those that timm downloads.

        Raises:
            LcTrtError: no network, no such weights, or tensors of another network.
        """
        first, second = (self._pretrained(state).state_dict() for _ in range(2))
        # timm leaves at random what the weights lack, and does not say so.
        for name, tensor in first.items():
            if not torch.equal(tensor, second[name]):
                raise LcTrtError(f"the weights of {self.info.name} lack {name!r}")
        self.network.load_state_dict(first)

    def _pretrained(self, state: Mapping[str, Tensor] | None) -> nn.Module:
        overlay = None if state is None else {"state_dict": dict(state)}
        network: nn.Module = _load(
            self.info.name,
            features_only=True,
            out_indices=self._indices,
            pretrained_cfg_overlay=overlay,
        )
        return network

    def _check_shapes(self) -> None:
        self.eval()
        with torch.no_grad():
            try:
                features = self(torch.zeros(1, 3, *PROBE))
            except (AssertionError, RuntimeError, ValueError) as error:
                raise UsageError(
                    f"encoder {self.info.name!r} takes no images of {PROBE[0]}x{PROBE[1]} "
                    f"({one_line(error)}); choose a network for images of any size"
                ) from error
        for feature, channels, stride in zip(features, self.channels, STRIDES, strict=True):
            expected = (1, channels, PROBE[0] // stride, PROBE[1] // stride)
            if tuple(feature.shape) != expected:
                raise UsageError(
                    f"encoder {self.info.name!r}: features at stride {stride} have shape "
                    f"{tuple(feature.shape)}, expected {expected}"
                )


def import_timm() -> ModuleType:
    """Import timm, which is optional.

    Raises:
        LcTrtError: it is not installed, or cannot be imported.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise LcTrtError(f"{error.name} is not installed: {INSTALL}") from error
    except (ImportError, RuntimeError) as error:
        raise LcTrtError(
            f"timm cannot be imported ({one_line(error)}); install the torchvision that belongs "
            f"to torch {torch.__version__}"
        ) from error
    return timm


def download(name: str) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Let timm download pretrained weights, or find them in its cache.

    Args:
        name: of the network.

    Returns:
        Tensors by timm's names, in the order in which the network runs them, and timm's facts
        of them: tag, license and others.

    Raises:
        LcTrtError: timm cannot be imported, or there are no such weights.
    """
    network = _load(name)
    return network.state_dict(), network.pretrained_cfg


def _load(name: str, **options: Any) -> Any:
    timm = import_timm()
    try:
        return timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise LcTrtError(
            f"timm cannot load weights of {name} ({one_line(error)}); give a file of them with "
            "lc-trt train --weights FILE"
        ) from error


def one_line(error: Exception) -> str:
    """An error's text without line breaks, at most 160 characters.

    Args:
        error: of another package.
    """
    return " ".join(str(error).split())[:160]


def _create(timm: ModuleType, name: str, **options: Any) -> Any:
    try:
        return timm.create_model(name, features_only=True, **options)
    except (AttributeError, NotImplementedError, AssertionError) as error:
        raise UsageError(f"encoder {name!r}: timm has no features of this network") from error


def _indices(name: str, network: Any) -> tuple[int, ...]:
    """The last feature of each stride."""
    reductions: Sequence[int] = network.feature_info.reduction()
    last = dict(zip(reductions, network.feature_info.out_indices, strict=True))
    missing = [stride for stride in STRIDES if stride not in last]
    if missing:
        raise UsageError(
            f"encoder {name!r} has no features at stride {' or '.join(map(str, missing))}: it has "
            f"them at {', '.join(map(str, sorted(last)))}; choose a network with all of "
            f"{', '.join(map(str, STRIDES))}"
        )
    return tuple(last[stride] for stride in STRIDES)


def _info(name: str, mean: Sequence[float], std: Sequence[float]) -> EncoderInfo:
    """timm's normalisation is RGB in units of 0..1, ours BGR in units of 0..255."""
    return EncoderInfo(name, _reversed(mean), _reversed(std))


def _reversed(values: Sequence[float]) -> Triple:
    r, g, b = (255.0 * float(v) for v in values)
    return b, g, r
