"""Layout ``folder``: images and labels of a split are paired by their stems."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled_trees import folder_tree

from lc_trt.data.classes import IGNORE, find_classes
from lc_trt.data.datasets import Dataset, open_dataset


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return folder_tree(tmp_path)


def opened(root: Path, split: str = "train") -> Dataset:
    return open_dataset("folder", root, split, find_classes("3"))


def test_folder(tree: Path) -> None:
    samples = opened(tree)
    assert (len(samples), samples.classes) == (2, 3)
    assert [s.name for s in samples] == ["a", "b"]
    for sample, value in zip(samples, (0, 1), strict=True):
        assert abs(int(sample.image[4, 6, 0]) - ord("a") - value) <= 1
        assert (sample.label[0] == IGNORE).all()
        assert (sample.label[1:] == value).all()
    assert [s.name for s in opened(tree, "val")] == ["c"]
    assert len(open_dataset("folder", str(tree), "val", find_classes("camvid"))) == 1
