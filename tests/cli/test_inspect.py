"""`lc-trt inspect`."""

from __future__ import annotations

import onnx
from failing_commands import failure
from tiny_networks import tiny_model

from lc_trt.cli import app


def test_inspect_shows_any_onnx_and_refuses_the_rest(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_model(), path)
    assert app.main(["inspect", str(path), "--size", "64x64"]) == 0
    assert "GMAC at 64x64" in capsys.readouterr().out
    path.write_bytes(b"zzz")
    code, line = failure(capsys, "inspect", path)
    assert code == 1 and "ONNX" in line
