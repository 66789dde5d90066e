"""A small encoder of every layer type, and a cascade with exact regions on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from lc_trt.model.encoder_cascade import EncoderCascade, Widths
from lc_trt.model.encoders.base import EncoderInfo, SequentialEncoder
from lc_trt.model.encoders.efficientnet_lite import InvertedResidual
from lc_trt.model.exits import LARGEST, PerClass
from lc_trt.model.layers import BatchNorm, Chain, Conv
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.presets import initialise

MEAN, STD = (127.0,) * 3, (128.0,) * 3
WIDTHS = Widths(16, 8, 16, 8, 8, 16)
CHANNELS = (8, 8, 12, 16)


def tiny_encoder() -> SequentialEncoder:
    """An encoder with depthwise and strided convolutions, ReLU6 and residual sums."""
    widths = (6, *CHANNELS)
    stem = Chain([Conv(3, widths[0], 3, stride=2, ceiling=6.0, same_upper=True)])
    stages = [
        Chain([InvertedResidual(cin, cout, 5, 2, 2, 0.0), InvertedResidual(cout, cout, 3, 1, 2, 0)])
        for cin, cout in itertools.pairwise(widths)
    ]
    return SequentialEncoder(EncoderInfo("tiny", MEAN, STD), CHANNELS, [stem, *stages])


def tiny_encoder_cascade(
    classes: int = 5,
    seed: int = 0,
    *,
    exit_rule: str = LARGEST,
    fitted: Sequence[str] = (),
    neighbours: Neighbours = Neighbours.EXACT,
) -> EncoderCascade:
    """A cascade whose batch norms, temperatures, confidences and exit rules are not trivial."""
    torch.manual_seed(seed)
    model = initialise(
        EncoderCascade(
            tiny_encoder(),
            classes,
            WIDTHS,
            exit_rule=exit_rule,
            fitted_rules=fitted,
            neighbours=neighbours,
        )
    ).eval()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
    for head in (model.head1, model.head2, model.head3):
        for parameter in head.parameters():
            scale = 3.0 / parameter[0].numel() ** 0.5 if parameter.dim() == 4 else 0.2
            torch.nn.init.normal_(parameter, std=scale)
    model.temperatures.copy_(torch.tensor([1.2, 0.9, 1.1]))
    randomise_rules(model)
    if neighbours is Neighbours.STAND_IN:  # beside its stand-ins the same network
        for stand_in in (model.stand_in2, model.stand_in3):
            torch.nn.init.normal_(stand_in.conv.weight, std=0.5)
        same = tiny_encoder_cascade(classes, seed, exit_rule=exit_rule, fitted=fitted)
        model.load_state_dict(same.state_dict(), strict=False)
    return model


def randomise_rules(model: EncoderCascade) -> None:
    """Give the fitted exit rules parameters that decide differently from one another."""
    for rule in model.exit_rules.rules.values():
        if isinstance(rule, PerClass):
            torch.nn.init.uniform_(rule.thresholds, 0.3, 0.95)
        for parameter in rule.parameters():
            if parameter.dim() == 4:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)


def soft_encoder_cascade(classes: int = 5, seed: int = 0) -> EncoderCascade:
    """`tiny_encoder_cascade` with logits of about the size that a trained network's have."""
    model = tiny_encoder_cascade(classes, seed)
    with torch.no_grad():
        for head in (model.head1, model.head2, model.head3):
            head[1].conv.weight.mul_(0.1)
    return model
