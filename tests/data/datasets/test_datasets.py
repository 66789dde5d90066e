"""Layouts and classes that `open_dataset` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled_trees import folder_tree

from lc_trt.data.classes import find_classes
from lc_trt.data.datasets import LAYOUTS, Dataset, open_dataset
from lc_trt.errors import LcTrtError, UsageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return folder_tree(tmp_path)


def opened(root: Path, split: str = "train") -> Dataset:
    return open_dataset("folder", root, split, find_classes("3"))


def test_a_missing_split_names_the_existing_ones(tree: Path) -> None:
    with pytest.raises(LcTrtError, match=r"test/images: no split 'test' there; .* has train, val$"):
        opened(tree, "test")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_root_without_splits_names_the_expected_layout(tmp_path: Path, layout: str) -> None:
    classes = find_classes("3" if layout == "folder" else layout)
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(LcTrtError, match=rf"no split 'val' there; layout {layout} is ROOT"):
            open_dataset(layout, root, "val", classes)


def test_an_empty_split(tree: Path) -> None:
    (tree / "val" / "images" / "c.webp").unlink()
    with pytest.raises(LcTrtError, match=r"val/images: split 'val' is empty; .*\.jpg"):
        opened(tree, "val")


def test_a_missing_label_is_named(tree: Path) -> None:
    (tree / "train" / "labels" / "b.png").unlink()
    with pytest.raises(LcTrtError, match=r"train/labels/b\.png: no such file.* of b\.jpg"):
        opened(tree)


def test_unknown_layout(tree: Path) -> None:
    with pytest.raises(UsageError, match="unknown layout 'coco': expected folder, voc, cityscapes"):
        open_dataset("coco", tree, "train", find_classes("voc"))


@pytest.mark.parametrize(
    ("layout", "classes", "line"),
    [
        (
            "voc",
            "camvid",
            "classes 'camvid': 11 classes, expected 21 for layout voc; use classes 'voc'",
        ),
        ("cityscapes", "34", "classes '34 classes': 34 classes, expected 19 for layout cityscapes"),
    ],
)
def test_classes_that_do_not_match_the_layout(
    tree: Path, layout: str, classes: str, line: str
) -> None:
    with pytest.raises(UsageError, match=line):
        open_dataset(layout, tree, "train", find_classes(classes))
