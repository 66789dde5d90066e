"""The options of a limit on what exits change: what they mean, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from lc_trt.cli.option_groups.exit_limit import ExitLimit
from lc_trt.errors import UsageError
from lc_trt.evaluation.risk_control import (
    ConformalRiskControl,
    Empirical,
    LearnThenTest,
    RiskControl,
)


@pytest.mark.parametrize(
    ("options", "labelled", "expected"),
    [
        ({}, False, None),
        ({}, True, None),
        ({"max_changed": 1}, False, ConformalRiskControl(0.01)),
        ({"max_changed": 1, "confidence": 0.95}, False, LearnThenTest(0.01, 0.95)),
        ({"max_drop": 0.3}, True, Empirical(0.003)),
    ],
)
def test_forms(options: dict[str, float], labelled: bool, expected: RiskControl | None) -> None:
    assert ExitLimit(**options).control(labelled=labelled, rho=False) == expected


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        ({"max_changed": 1, "max_drop": 1}, {}, "--max-changed and --max-drop: expected one limit"),
        ({"confidence": 0.9}, {}, "--confidence: .*add --max-changed PERCENT"),
        ({"confidence": 0.9, "max_drop": 1}, {"labelled": True}, "--confidence: .*--max-changed"),
        ({"max_changed": 0}, {}, "--max-changed 0: expected percent of the labels, above 0"),
        ({"max_changed": 101}, {}, "--max-changed 101: expected percent .* at most 100"),
        ({"max_changed": float("nan")}, {}, "--max-changed nan: expected percent"),
        ({"max_drop": -1}, {"labelled": True}, "--max-drop -1: expected points of mIoU, above 0"),
        ({"max_changed": 1, "confidence": 1.0}, {}, "--confidence 1: expected a probability"),
        ({"max_changed": 1, "confidence": 0.0}, {}, "--confidence 0: expected a probability"),
        ({"max_changed": 1}, {"labelled": True}, "--labels: --max-changed needs no label maps"),
        ({"max_drop": 1}, {}, "--max-drop: needs label maps; add --labels DIR"),
        ({"max_changed": 1}, {"rho": True}, "--rho: does not go with --max-changed"),
        ({"max_drop": 1}, {"labelled": True, "plot": True}, "--plot: does not go with --max-drop"),
    ],
)
def test_what_does_not_go_together(
    options: dict[str, float], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ExitLimit(**options).control(**{"labelled": False, **given})
