"""Heads: their layers, and the two forms of the classifier."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lc_trt.errors import UsageError
from lc_trt.model.heads import ASPP_DILATIONS, classifier, early_head, final_head


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize("form", ["plain", "aspp"])
def test_heads_give_a_score_per_class_at_every_cell(form: str) -> None:
    x = torch.randn(2, 6, 5, 7)
    for head in (early_head(6, 8, 3, form), final_head(6, 3, form)):
        assert head(x).shape == (2, 3, 5, 7)


def test_an_early_head_mixes_before_it_classifies() -> None:
    shapes = [tuple(conv.weight.shape) for conv in convolutions(early_head(6, 8, 3, "plain"))]
    assert shapes == [(8, 6, 3, 3), (8, 8, 1, 1), (3, 8, 1, 1)]


def test_aspp_is_a_sum_over_dilations() -> None:
    convs = convolutions(classifier(6, 3, "aspp", 1))
    assert tuple(conv.dilation[0] for conv in convs) == ASPP_DILATIONS
    x = torch.randn(1, 6, 9, 9)
    head = final_head(6, 3, "aspp").eval()
    torch.testing.assert_close(head(x), sum(conv(x) for conv in convolutions(head)))


def test_an_unknown_form_is_named_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match="unknown head form 'deeplab': expected plain or aspp"):
        classifier(6, 3, "deeplab", 1)
