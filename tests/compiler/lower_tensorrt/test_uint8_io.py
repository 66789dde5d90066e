"""UINT8 as type of inputs and outputs only."""

from __future__ import annotations

from region_graphs import count
from tiny_networks import frames, run, session, tiny_model

from lc_trt.compiler.lower_tensorrt.uint8_io import Uint8Io
from lc_trt.compiler.pass_manager import run_passes


def test_uint8_occurs_at_inputs_and_outputs_only():
    source = tiny_model()
    model = run_passes(source, [Uint8Io()])
    readers = [n for n in model.graph.node if "image" in n.input]
    assert [n.op_type for n in readers] == ["Cast"]
    producers = {o: n for n in model.graph.node for o in n.output}
    for name in ("labels", "stages"):
        assert producers[name].op_type == "Cast"
    assert count(model, "Slice") == 1  # the crop, before the cast now
    images = frames(1, (48, 72))
    expected, found = (run(session(m), images, (0.5, 0.5)) for m in (source, model))
    for name, value in expected.items():
        assert (found[name] == value).all()
