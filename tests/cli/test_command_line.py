"""The command that made a result, as the result names it."""

from __future__ import annotations

import shlex

from lc_trt.cli.command_line import command_line


def test_it_can_be_typed_again() -> None:
    arguments = ["run", "my street.mp4", "--rho", "0.9,0.8", "--set", "a=b c"]
    command = command_line("lc-trt", arguments)
    assert shlex.split(command) == ["lc-trt", *arguments]
    assert command_line("python tools/cpu_peak.py", []) == "python tools/cpu_peak.py"


def test_it_names_no_folder_of_this_machine(tmp_path) -> None:
    model, out = tmp_path / "a b" / "m.lct", tmp_path / "out.json"
    arguments = ["bench", str(model), f"--json={out}", "--images", "photos/street", f"x={out}"]
    assert command_line("lc-trt", arguments) == (
        f"lc-trt bench m.lct --json=out.json --images photos/street x={out}"
    )
