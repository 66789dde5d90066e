"""What `lc-trt eval --json` gives."""

from __future__ import annotations

import json

from toy_evaluations import outcome, swept


def test_a_cascade_with_a_sweep_survives_json() -> None:
    result = swept()
    values = json.loads(json.dumps(result.as_dict()))
    assert values["size"] == [300, 500] and values["rho"] == [0.985, 0.9]
    assert [row["rho"] for row in values["sweep"]] == [list(p.rho) for p in result.points]
    assert values["miou"] == result.evaluation.as_dict()["miou"]


def test_a_dense_network_without_a_sweep_has_neither() -> None:
    values = outcome(dense=True).as_dict()
    assert values["rho"] is None and values["sweep"] is None
