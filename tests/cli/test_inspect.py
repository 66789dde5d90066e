"""`lc-trt inspect`."""

from __future__ import annotations

import json

import onnx
import pytest
from failing_commands import failure
from tiny_networks import tiny_encoder_model, tiny_model

from lc_trt.cli import app
from lc_trt.cli.inspect import _giga


def test_inspect_shows_any_onnx_and_refuses_the_rest(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_model(), path)
    assert app.main(["inspect", str(path), "--size", "64x64"]) == 0
    assert "GMAC at 64x64" in capsys.readouterr().out
    path.write_bytes(b"zzz")
    code, line = failure(capsys, "inspect", path)
    assert code == 1 and "ONNX" in line


@pytest.mark.parametrize("model", [tiny_model, tiny_encoder_model])
def test_every_part_has_a_cost_and_the_table_shows_it(tmp_path, capsys, model):
    path = tmp_path / "tiny.onnx"
    onnx.save(model(), path)
    assert app.main(["inspect", str(path), "--size", "64x96", "--json"]) == 0
    macs = json.loads(capsys.readouterr().out)["macs"]
    assert list(macs) == ["stage1", "head1", "stage2", "head2", "stage3", "head3", "dense"]
    assert min(macs.values()) > 0
    assert app.main(["inspect", str(path), "--size", "64x96"]) == 0
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = {words[0]: words[1] for words in cells if words and words[0] in macs}
    del shown["dense"]  # of two words
    assert len(shown) == 6 and all(float(value) > 0 for value in shown.values())


def test_small_numbers_keep_two_digits():
    found = [_giga(value) for value in (2.162e9, 0.1e9, 97e6, 1.9e6, 12_345, 0)]
    assert found == ["2.16", "0.10", "0.097", "0.0019", "0.000012", "0.00"]
