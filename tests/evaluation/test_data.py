"""The images of a split, and their classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import make_tree

from lc_trt.data.classes import CLASS_SETS, numbered
from lc_trt.evaluation.data import class_set, open_samples


def test_a_limit_takes_the_same_images_every_time(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "data", train=5, val=1)
    classes = numbered(3)
    every = open_samples("folder", root, "train", classes)
    some = open_samples("folder", root, "train", classes, 2)
    assert (len(every), len(some), some.classes) == (5, 2, 3)
    assert [sample.name for sample in some] == ["0", "2"]
    assert some[1].name == "2"
    assert len(open_samples("folder", root, "train", classes, 9)) == 5


@pytest.mark.parametrize("name", CLASS_SETS)
def test_known_classes_are_found_by_their_names(name: str) -> None:
    known = CLASS_SETS[name]
    assert class_set(known.names, known.colours) is known


def test_other_classes_keep_their_names() -> None:
    found = class_set(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    assert (found.name, found.names, found.colours) == (
        "2 classes", ("a", "b"), ((1, 2, 3), (4, 5, 6)),
    )  # fmt: skip
