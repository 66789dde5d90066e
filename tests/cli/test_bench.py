"""`lc-trt bench`."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_models import toy_bundle

from lc_trt.bench import suite
from lc_trt.bench.options import Options
from lc_trt.bench.race import Entry, Race
from lc_trt.bench.report import Report, Row, Target
from lc_trt.cli.app import main
from lc_trt.data.published import LC, LC_FAST, PEERS

ROW = Row("LC fast", "openvino", "fp32", 20.0, {"p50": 50.0, "p95": 55.0, "p99": 60.0}, 1.8)
REPORT = Report(
    "tiny", [ROW], ROW, (300, 500), 1, 25, "photographs", {"cpu": "A CPU", "threads": 2},
    "lc-trt bench", Target("LC fast", 20.0, 23.6), notes=["others are busy"],
)  # fmt: skip


class Bench:
    """Stands in for the measurement."""

    def __init__(self) -> None:
        self.report = REPORT
        self.calls: list[tuple[Path, Options, str]] = []

    def __call__(self, path: Path, options: Options, *, command: str, monitor: object) -> Report:
        self.calls.append((path, options, command))
        return replace(self.report, command=command)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    fake = Bench()
    monkeypatch.setattr(suite, "run_bench", fake)
    return fake


def test_a_missed_target_is_1_after_the_table(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "tiny.lct"]) == 1
    shown = capsys.readouterr()
    assert "50.0 / 55.0 / 60.0" in shown.out
    assert shown.out.rstrip().endswith("Target: LC fast 20.0 fps, required 23.6: missed")
    assert shown.err == "warning: others are busy\n"


def test_a_missed_target_can_be_just_reported(bench: Bench) -> None:
    assert main(["bench", "tiny.lct", "--no-check"]) == 0


def test_a_met_target_is_0(bench: Bench) -> None:
    bench.report = replace(REPORT, target=Target("LC fast", 24.0, 23.6))
    assert main(["bench", "tiny.lct"]) == 0
    bench.report = replace(REPORT, target=None)
    assert main(["bench", "tiny.lct"]) == 0


def test_peers_get_a_table_of_their_own(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    entry = Entry("PIDNet-S", "fp32", 30.0, True, None, PEERS["pidnet-s"], {"PIDNet-S": 1.0})
    bench.report = replace(REPORT, race=Race([entry]), target=None)
    assert main(["bench", "tiny.lct", "--peers"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Speed beside accuracy" in shown and "80.1" in shown
    assert "Random weights, as fast as trained ones: PIDNet-S." in shown


def test_the_json_is_written_when_the_target_is_missed_too(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    assert main(["bench", str(tmp_path / "tiny.lct"), "--json", str(path)]) == 1
    found = json.loads(path.read_text())
    assert found["target"]["met"] is False
    assert found["command"] == "lc-trt bench tiny.lct --json bench.json"


def test_defaults(bench: Bench) -> None:
    main(["bench", "tiny.lct"])
    assert bench.calls == [(Path("tiny.lct"), Options(), "lc-trt bench tiny.lct")]


def test_options(bench: Bench, tmp_path: Path) -> None:
    words = shlex.split(
        "bench demo/tiny.lct --size 96x160 --batch 2 --threads 1 --shares 23/29/48,56/29/15 "
        "--runners all --baselines --peers --accuracy results --rounds 30 --warmup 5 --soak 100 "
        "--target-fps 30"
    )
    main([*words, "--images", str(tmp_path / "my street.mp4")])
    ((path, options, command),) = bench.calls
    assert path == Path("demo/tiny.lct")
    assert options == Options(
        images=tmp_path / "my street.mp4",
        size=(96, 160),
        batch=2,
        shares=options.shares,
        threads=1,
        baselines=True,
        peers=True,
        accuracy=Path("results"),
        all_runners=True,
        target_fps=30,
        rounds=30,
        warmup=5,
        soak=100,
    )
    assert options.shares == {
        "LC": pytest.approx(LC.shares),
        "LC fast": pytest.approx(LC_FAST.shares),
    }
    # An absolute folder is this machine's own; a relative path says how to run it again.
    assert command == f"lc-trt {shlex.join(words)} --images 'my street.mp4'"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--size", "300"], 2, "--size '300': expected HxW in pixels"),
        (["--shares", "50/50"], 2, "--shares 50/50: expected three percentages"),
        (["--runners", "fast"], 2, "'--runners'"),
        (["--rounds", "0"], 2, "'--rounds'"),
        (["--threads", "0"], 2, "'--threads'"),
        (["--accuracy", "results"], 2, "--accuracy: is shown beside peers only; add --peers"),
        (["--json", "none/bench.json"], 1, "none/bench.json: cannot be written"),
    ],
)
def test_wrong_options_cost_no_measurement(
    words: list[str],
    code: int,
    line: str,
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "tiny.lct", *words]) == code
    shown = capsys.readouterr()
    assert line in shown.err
    assert shown.err.count("\n") == 1
    assert not bench.calls


def test_no_such_bundle_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "none.lct"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: none.lct: no such bundle; build one: lc-trt build")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_baselines_without_pytorch_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_bundle(tmp_path / "toy.lct", "dense")
    for name in [name for name in sys.modules if name.startswith("lc_trt.")]:
        if "torch" in vars(sys.modules[name]) or name in (
            "lc_trt.ir.export",
            "lc_trt.model.presets",
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["bench", str(tmp_path / "toy.lct"), "--baselines"]) == 1
    line = "error: the package torch is not installed: pip install 'lc-trt[train]'\n"
    assert capsys.readouterr().err.endswith(line)
