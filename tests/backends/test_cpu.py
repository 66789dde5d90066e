"""The CPU backends: what they compile to, and the precisions that they reject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from compilation import CPU_BACKENDS
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, frames, run, session, tiny_model
from toy_models import toy_model

from lc_trt.backends.base import Compiled
from lc_trt.backends.load import open_onnx
from lc_trt.backends.registry import get_backend
from lc_trt.bundle.bundle import MODEL
from lc_trt.compiler.options import CompileOptions
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.model.exits import FITTED, RULES
from lc_trt.runtime.compare_engines import separating_rho

RHO = (0.4, 0.4)


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("on_disk", [False, True])
def test_an_opened_engine_computes_what_was_compiled(
    name: str, on_disk: bool, tmp_path: Path
) -> None:
    backend = get_backend(name)
    model = tiny_model()
    before = model.SerializeToString(deterministic=True)
    compiled = backend.compile(model, CompileOptions.of(name, INFO.size, 1))
    assert model.SerializeToString(deterministic=True) == before
    assert compiled.backend == name and set(compiled.files) == {MODEL}
    assert compiled.backend_version != "unknown" and compiled.skip_reason is None
    if on_disk:
        (tmp_path / MODEL).write_bytes(compiled.files[MODEL])  # type: ignore[arg-type]
        compiled = Compiled(name, "", compiled.precision, {MODEL: tmp_path / MODEL})
    image = frames(1)
    engine = backend.open(compiled, threads=1)
    output = engine.run(image, np.array(RHO, np.float32))
    assert (output.labels == run(session(model), image, RHO)["labels"]).mean() > 0.999
    engine.close()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_cells_exit_by_the_same_rule_in_every_engine(name: str, rule: str) -> None:
    network = tiny_encoder_cascade(CLASSES, exit_rule=rule, fitted=FITTED)
    model = export_cascade(network, INFO, MEAN, STD)
    image = frames(1)
    backend = get_backend(name)
    engine = backend.open(backend.compile(model, CompileOptions.of(name, INFO.size, 1)), threads=1)
    rho = separating_rho(engine, image)
    output = engine.run(image, np.array(rho, np.float32))
    engine.close()
    expected = run(session(model), image, rho)
    assert set(np.unique(expected["stages"])) == {1, 2, 3}
    assert (output.stages == expected["stages"]).mean() > 0.99
    np.testing.assert_allclose(output.confidence, expected["confidence"], atol=0.01)


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_reuse_records_the_shapes_of_the_state(name: str) -> None:
    options = CompileOptions.of(name, INFO.size, 1, reuse=True)
    compiled = get_backend(name).compile(tiny_model(), options)
    network = onnx.load_from_string(compiled.files[MODEL])
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in network.graph.input
    }
    assert compiled.reuse is not None and len(compiled.reuse.inputs) > 3
    state = {name: shape for name, shape in shapes.items() if name not in ("image", "rho")}
    assert compiled.reuse.inputs == state


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_onnx_runtime_rejects_half_precision(precision: str) -> None:
    options = CompileOptions.of("onnxruntime", INFO.size, 1, precision)
    message = f"no {precision} arithmetic on the CPU; build with --backend openvino --{precision}"
    for attempt in (
        lambda: get_backend("onnxruntime").compile(tiny_model(), options),
        lambda: open_onnx("onnxruntime", toy_model(), precision=precision),
    ):
        with pytest.raises(LcTrtError, match=message):
            attempt()


def test_openvino_rejects_what_the_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8", "BF16"])
    with pytest.raises(LcTrtError, match=r"this processor has no fp16.*--bf16 or --int8"):
        open_onnx("openvino", toy_model(), precision="fp16")


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match=r"none\.onnx: no such file; expected a compiled model"):
        open_onnx(name, tmp_path / "none.onnx")
