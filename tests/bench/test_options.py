"""The options of a bench."""

from __future__ import annotations

from dataclasses import fields

from lc_trt.bench.options import Options
from lc_trt.cli.app import load_subcommand


def test_defaults_are_those_of_the_command_line() -> None:
    shown = {parameter.name: parameter.default for parameter in load_subcommand("bench").params}
    own = {field.name: field.default for field in fields(Options)}
    shared = own.keys() & shown.keys()
    assert shared >= {"rounds", "warmup", "soak", "baselines", "peers", "threads", "batch"}
    assert {name: own[name] for name in shared} == {name: shown[name] for name in shared}
    assert (own["all_runners"], shown["runners"]) == (False, "bundle")
