"""The front in a bundle: written whole, read back, checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_plant import tuned
from hypothesis import given
from hypothesis import strategies as st
from toy_models import bgr, toy_bundle

import lc_trt
from lc_trt.bundle.bundle import MANIFEST, TUNING, read_bundle
from lc_trt.bundle.pareto_front import Front, pareto_front, read_front, store_front
from lc_trt.errors import LcTrtError


@given(
    st.lists(
        st.tuples(st.floats(0, 10, width=16), st.floats(0, 1, width=16)), min_size=1, max_size=12
    )
)
def test_the_front_is_what_no_other_point_beats(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points, lambda p: p[0], lambda p: p[1])
    assert front == sorted(set(front))
    beaten = {p for p in points if any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)}
    assert set(front) == set(points) - beaten


def test_a_tuned_bundle_loads_and_verifies(tmp_path: Path) -> None:
    built = toy_bundle(tmp_path / "toy.lct", backend="onnxruntime")
    before = built.manifest
    assert read_front(built) is None
    store_front(built, tuned())
    again = read_bundle(built.path)
    assert read_front(again) == tuned()
    # All else is what it was: the build's date, its check, its files.
    assert set(again.manifest.files) == {*before.files, TUNING}
    kept = {name: again.manifest.files[name] for name in before.files}
    assert replace(again.manifest, files=kept) == before
    with lc_trt.load(built.path, threads=1) as segmenter:
        assert segmenter.front == tuned()
        assert segmenter(bgr(255, 0, 0)).labels.max() == 0
    # Tuned once more: replaced, not added to.
    store_front(again, replace(tuned(), images=99))
    found = read_front(read_bundle(built.path))
    assert found is not None and found.images == 99
    assert [p.name for p in tmp_path.iterdir()] == ["toy.lct"]


def test_an_edited_front_is_refused(tmp_path: Path) -> None:
    built = store_front(toy_bundle(tmp_path / "toy.lct"), tuned())
    file = built.path / TUNING
    file.write_text(file.read_text().replace("mIoU", "luck"))
    with pytest.raises(LcTrtError, match=r"tuning\.json was truncated or edited"):
        read_bundle(built.path)


def test_what_cannot_be_written_leaves_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = toy_bundle(tmp_path / "toy.lct")
    manifest = (built.path / MANIFEST).read_bytes()
    monkeypatch.setattr("shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(LcTrtError, match="cannot be written"):
        store_front(built, tuned())
    assert (built.path / MANIFEST).read_bytes() == manifest
    assert read_front(read_bundle(built.path)) is None


def broken(**changes: object) -> str:
    return json.dumps({**json.loads(tuned().dumps()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "has no Pareto front"),
        ("{}", "has no Pareto front"),
        (broken(format=2), "another version"),
        (broken(points=[]), "do not form a Pareto front"),
        (broken(points=[{"rho": [0.5, 0.5]}]), "has no Pareto front"),
        (broken(top=[0.5]), "expected 2 numbers"),
        (broken(top=[0.5, 2]), "expected 2 numbers from 0 to 1"),
        (broken(points=json.loads(tuned().dumps())["points"][::-1]), "do not form a Pareto front"),
        (broken(more=1), "has no Pareto front"),
    ],
)
def test_what_is_no_front(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Front.loads(text)


def test_the_error_names_file_and_command(tmp_path: Path) -> None:
    built = toy_bundle(tmp_path / "toy.lct")
    stored = store_front(built, tuned())
    (built.path / TUNING).write_text("{}")
    with pytest.raises(LcTrtError, match=r"toy\.lct: tuning\.json has no .*lc-trt tune .*toy"):
        read_front(stored)
