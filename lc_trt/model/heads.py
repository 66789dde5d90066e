"""Heads of the published cascade and of dense networks."""

from __future__ import annotations

from torch import nn

from lc_trt.errors import UsageError
from lc_trt.model.layers import Chain, Conv, Dropout, Sum

ASPP_DILATIONS = (1, 6, 12, 18, 24)
DROPOUT = 0.1


def classifier(cin: int, classes: int, form: str, plain_kernel: int) -> nn.Module:
    """Create the last layer of a head.

    Args:
        cin: input channels.
        classes: output channels.
        form: ``plain``, one convolution, or ``aspp``, the sum of five dilated 3x3 convolutions.
        plain_kernel: kernel size of the plain form.

    Raises:
        UsageError: unknown form.
    """
    if form == "plain":
        return Conv(cin, classes, plain_kernel, norm=False, relu=False)
    if form == "aspp":
        return Sum(
            Conv(cin, classes, 3, dilation=d, norm=False, relu=False) for d in ASPP_DILATIONS
        )
    raise UsageError(f"unknown head form {form!r}: expected plain or aspp")


def early_head(cin: int, hidden: int, classes: int, form: str) -> Chain:
    """Create head 1 or 2: 3x3, 1x1, dropout, classifier.

    Args:
        cin: input channels.
        hidden: channels of the two convolutions.
        classes: output channels.
        form: of the classifier, ``plain`` or ``aspp``.
    """
    return Chain(
        [
            Conv(cin, hidden, 3, norm=False),
            Conv(hidden, hidden, 1, norm=False),
            Dropout(DROPOUT),
            classifier(hidden, classes, form, 1),
        ]
    )


def final_head(cin: int, classes: int, form: str) -> Chain:
    """Create head 3, which is also the head of a dense network: dropout, classifier.

    Args:
        cin: input channels.
        classes: output channels.
        form: of the classifier, ``plain`` or ``aspp``.
    """
    return Chain([Dropout(DROPOUT), classifier(cin, classes, form, 3)])
