"""A short benchmark of region convolution."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from native_library import checked_library

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.native.library import ISA_VARIABLE, PATH_VARIABLE
from tools import bench_region

ARGUMENTS = ["--channels=32", "--rounds=2", "--threads=1", "--peak-seconds=0"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(checked_library()))
    monkeypatch.delenv(ISA_VARIABLE, raising=False)
    monkeypatch.setattr(bench_region, "size_of", lambda channels: (12, 20))
    monkeypatch.setattr(bench_region, "DEPTH", 2)
    monkeypatch.setattr(bench_region, "REGIONS", 2)


@pytest.mark.usefixtures("small")
def test_it_measures_every_precision_and_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "region.json"
    assert bench_region.main([*ARGUMENTS, "--shares=25,100", f"--out={out}", "--cpu-time"]) == 0
    result = json.loads(out.read_text())
    found = {(row["precision"], row["share"]) for row in result["rows"]}
    assert found == {(p, s) for p in ("fp32", "bf16", "int8") for s in (25, 100)}
    assert set(result["kernels"]) == {"fp32", "bf16", "int8"}
    assert result["clock"] == "processor"
    for row in result["rows"]:
        for lane in ("dense", "standard", "native"):
            assert 0 < row[lane]["minimum"] <= row[lane]["median"]
    assert capsys.readouterr().out.count("| 32 |") == len(found)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("precision", bench_region.PRECISIONS)
def test_another_network_is_not_compared(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    native_chain = bench_region.native_chain

    def without_bias(
        library: bench_region.NativeLibrary, chain: bench_region.Chain, name: str
    ) -> bench_region.Program:
        if name == precision:
            chain = bench_region.Chain(chain.channels, chain.weights, 0 * chain.bias, chain.scale)
        return native_chain(library, chain, name)

    monkeypatch.setattr(bench_region, "native_chain", without_bias)
    with pytest.raises(LcTrtError, match=f"{precision}, 32 channels: native results differ"):
        bench_region.main([*ARGUMENTS, "--shares=50"])


def test_processor_time_is_of_one_thread() -> None:
    with pytest.raises(UsageError, match="expected --threads 1"):
        bench_region.main(["--threads=2", "--cpu-time"])


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_region, "find_library", lambda: None)
    with pytest.raises(UsageError, match="was not compiled; compile it"):
        bench_region.main([])
