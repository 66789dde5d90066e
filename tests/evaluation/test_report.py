"""Content of the report, which is written atomically."""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from toy_evaluations import VOC, evaluation, outcome, swept

from lc_trt.errors import LcTrtError
from lc_trt.evaluation import report
from lc_trt.evaluation.pictures import Picture
from lc_trt.evaluation.runner import Outcome

PICTURES = [
    Picture(name, (("frame", np.zeros((30, 40, 3), np.uint8)),) * 7, (0, 1)) for name in "ab"
]
OPEN = {"meta", "img", "br"}  # elements without an end


class Page(HTMLParser):
    """Headings, cells and figures of a well-formed page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.images: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "img":
            assert attributes["alt"]
            self.images.append(attributes["src"] or "")
        self.links += [attributes[key] or "" for key in ("href", "srcset") if key in attributes]
        if tag not in OPEN:
            self.stack.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.stack):
            self.texts[tag][-1] += data


def page(shown: Outcome) -> Page:
    return Page(report.render(shown, PICTURES))


def test_a_report_is_one_page_and_its_data(tmp_path: Path) -> None:
    out = tmp_path / "report"
    report.check(out)
    report.write(out, outcome(grid=True), PICTURES)
    assert sorted(os.listdir(out)) == ["evaluation.json", "index.html"]
    data = json.loads((out / "evaluation.json").read_text())
    assert (data["miou"], len(data["sweep"])) == (0.4321, 64)
    read = Page((out / "index.html").read_text(encoding="utf-8"))
    assert read.links == [], "nothing is fetched"
    assert len(read.images) == 2 + 2 + len(PICTURES)
    for image in read.images:
        kind, _, content = image.partition(";base64,")
        assert kind == "data:image/png"
        assert base64.b64decode(content).startswith(b"\x89PNG")
    report.check(out)
    report.write(out, outcome(), PICTURES)  # again, over it
    assert json.loads((out / "evaluation.json").read_text())["sweep"] is None


def test_sections_of_a_cascade() -> None:
    read = page(outcome(grid=True))
    assert read.texts["h1"] == ["irnet-small on street val"]
    assert read.texts["h2"] == [
        "Accuracy by class", "Thresholds", "Exit shares per class", "Difficulty at boundaries",
        "Images",
    ]  # fmt: skip
    assert read.texts["h3"] == ["Accuracy against time", "Two thresholds", "a", "b"]
    assert read.texts["dd"] == ["43.21 %", "87.65 %", "25 / 0 / 75 %", "12.3 ms"]
    assert "0.985, 0.9" in read.texts["p"][0]
    assert "300x500" in read.texts["p"][0]
    assert read.texts["code"] == ["lc-trt eval model.lct --data street"]
    assert "<b>road" in read.texts["td"], "a class's name is text, not HTML"
    assert "73.91" in read.texts["td"]
    assert any("2 images are too few to compare times" in text for text in read.texts["p"])
    many = replace(swept(), evaluation=replace(evaluation(), images=20))
    assert not any("too few" in text for text in page(many).texts["p"])


def test_sections_without_measurements_are_omitted() -> None:
    assert page(outcome()).texts["h2"] == [
        "Accuracy by class", "Exit shares per class", "Difficulty at boundaries", "Images",
    ]  # fmt: skip
    assert page(swept()).texts["h3"] == ["Accuracy against time", "a", "b"]
    dense = page(outcome(dense=True))
    assert dense.texts["h2"] == ["Accuracy by class", "Images"]
    assert "a dense network" in dense.texts["p"][0]
    assert len(dense.texts["dd"]) == 3


def test_voc_is_shown_with_published_values() -> None:
    read = page(swept(VOC))
    assert "DeepLab-v2 +COCO" in read.texts["th"]
    assert "8.2/39.2/52.6" in read.texts["td"]
    assert any("published values on VOC12 test" in text for text in read.texts["p"])
    assert not any("VOC12 test" in text for text in page(swept()).texts["p"])


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named_first(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LcTrtError, match=rf"needs {module}.*pip install 'lc-trt\[report\]'"):
        report.check(tmp_path / "report")


def test_a_folder_with_other_files_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LcTrtError, match="holds other files"):
        report.check(tmp_path)


def test_a_failure_leaves_the_earlier_report(tmp_path: Path) -> None:
    out = tmp_path / "report"
    report.write(out, outcome(), PICTURES)
    before = (out / "index.html").read_bytes()
    without_panels = Picture("a", (), (0,))
    with pytest.raises(IndexError):
        report.write(out, swept(), [without_panels])
    assert (out / "index.html").read_bytes() == before
    assert os.listdir(tmp_path) == ["report"]
