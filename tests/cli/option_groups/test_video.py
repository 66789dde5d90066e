"""Sources and outputs, from options."""

from __future__ import annotations

from pathlib import Path

import pytest

from lc_trt.cli.option_groups.video import Outputs, Sources, TemporalReuse
from lc_trt.errors import UsageError
from lc_trt.ir.interface import EVERY, TOLERANCE
from lc_trt.runtime.visualize import View
from lc_trt.video.sources.live import Drop, LiveOptions


def test_sources() -> None:
    sources = Sources(source=["-"], raw="640x480", drop="none", timeout=2.5, retries=0)
    assert sources.raw_size() == (480, 640)
    assert sources.live_options() == LiveOptions(Drop.NONE, 2.5, 0)
    assert Sources(source=["0"]).raw_size() is None
    with pytest.raises(UsageError, match="--drop newest: expected oldest or none"):
        Sources(source=["0"], drop="newest").live_options()


@pytest.mark.parametrize(
    ("outputs", "save"),
    [
        (Outputs(), None),
        (Outputs(view=[View.STAGES]), None),
        (Outputs(save=[Path("a.mp4")], show=True), [Path("a.mp4")]),
        (Outputs(as_json=True), ()),
        (Outputs(save_labels=Path("labels")), ()),
        (Outputs(show=True, view=[View.STAGES]), ()),
        (Outputs(as_json=True, view=[View.STAGES]), None),
    ],
)
def test_pictures_are_saved_unless_something_else_is_asked_for(outputs: Outputs, save) -> None:
    spec = outputs.output_spec(fps=5, frames=3)
    assert (spec.save, spec.fps, spec.limit) == (save, 5, 3)
    assert list(spec.views) == (outputs.view or [View.OVERLAY])


def test_outputs_that_do_not_go_together() -> None:
    with pytest.raises(UsageError, match="2 --save and 1 --view: expected one --view per --save"):
        Outputs(save=[Path("a.mp4"), Path("b.mp4")]).output_spec(None, None)
    with pytest.raises(UsageError, match="both write to stdout"):
        Outputs(save_labels=Path("-"), as_json=True).output_spec(None, None)


def test_reuse() -> None:
    assert TemporalReuse().reuse_state() is None
    default = TemporalReuse(reuse=True).reuse_state()
    assert default is not None and (default.tolerance, default.every) == (TOLERANCE, EVERY)
    exact = TemporalReuse(reuse=True, reuse_tolerance=0.0, reuse_every=2).reuse_state()
    assert exact is not None and (exact.tolerance, exact.every) == (0, 2)
    with pytest.raises(UsageError, match="belong to --reuse"):
        TemporalReuse(reuse_every=2).reuse_state()
