"""Layout ``cityscapes`` on a small tree with two cities per split."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lc_trt.data.classes import IGNORE, find_classes
from lc_trt.data.datasets import Dataset, open_dataset
from lc_trt.errors import LcTrtError

SIZE = (16, 32)
# id, train id, name and colour of every label that is evaluated, as published in labels.py of
# cityscapesScripts; all others, 0 to 6, 9, 10, 14 to 16, 18, 29, 30 and -1, are ignored.
PUBLISHED = """
 7  0 road 128 64 128
 8  1 sidewalk 244 35 232
11  2 building 70 70 70
12  3 wall 102 102 156
13  4 fence 190 153 153
17  5 pole 153 153 153
19  6 traffic_light 250 170 30
20  7 traffic_sign 220 220 0
21  8 vegetation 107 142 35
22  9 terrain 152 251 152
23 10 sky 70 130 180
24 11 person 220 20 60
25 12 rider 255 0 0
26 13 car 0 0 142
27 14 truck 0 0 70
28 15 bus 0 60 100
31 16 train 0 80 100
32 17 motorcycle 0 0 230
33 18 bicycle 119 11 32
"""
LABELS = [line.split() for line in PUBLISHED.strip().splitlines()]
IGNORED = (*range(7), 9, 10, 14, 15, 16, 18, 29, 30)
FILES = {"train": ("ulm/ulm_000001_000019", "bonn/bonn_000040_000019"), "val": ("lindau/lindau_0",)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """leftImg8bit and gtFine; label maps contain every id, including 255."""
    stored = np.zeros(SIZE, np.uint8)
    stored.reshape(-1)[:35] = [*range(34), 255]
    for split, files in FILES.items():
        for name in files:
            image = tmp_path / "leftImg8bit" / split / f"{name}_leftImg8bit.png"
            label = tmp_path / "gtFine" / split / f"{name}_gtFine_labelIds.png"
            for path in (image, label):
                path.parent.mkdir(parents=True)
            cv2.imwrite(str(image), np.full((*SIZE, 3), (1, 2, 3), np.uint8))
            cv2.imwrite(str(label), stored)
            # Its other renderings of the same annotation lie beside the ids.
            for kind in ("color", "instanceIds"):
                other = label.with_name(label.name.replace("labelIds", kind))
                cv2.imwrite(str(other), np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "leftImg8bit" / "licence.txt").write_text("")
    return tmp_path


def opened(root: Path, split: str = "train") -> Dataset:
    return open_dataset("cityscapes", root, split, find_classes("cityscapes"))


def test_class_set() -> None:
    classes = find_classes("cityscapes")
    assert classes.names == tuple(name.replace("_", " ") for _, _, name, *_ in LABELS)
    assert classes.colours == tuple(tuple(int(v) for v in rgb) for _, _, _, *rgb in LABELS)


def test_samples(root: Path) -> None:
    samples = opened(root)
    assert samples.classes == 19
    assert [s.name for s in samples] == ["bonn_000040_000019", "ulm_000001_000019"]
    assert (samples[0].image == (1, 2, 3)).all()
    assert [s.name for s in opened(root, "val")] == ["lindau_0"]


def test_label_ids_become_train_ids(root: Path) -> None:
    train_ids = opened(root)[0].label.reshape(-1)
    expected = {int(label): int(train) for label, train, *_ in LABELS} | dict.fromkeys(
        IGNORED, IGNORE
    )
    assert len(expected) == 34
    assert {i: int(train_ids[i]) for i in range(34)} == expected
    assert train_ids[34] == IGNORE
    assert (train_ids[35:] == IGNORE).all()  # id 0 is "unlabeled"


def test_an_unknown_id_is_named(root: Path) -> None:
    path = root / "gtFine/val/lindau/lindau_0_gtFine_labelIds.png"
    cv2.imwrite(str(path), np.full(SIZE, 34, np.uint8))
    with pytest.raises(LcTrtError, match=r"labelIds\.png: value 34, expected 0 to 33 or 255"):
        opened(root, "val")[0]


def test_a_missing_label_is_named(root: Path) -> None:
    (root / "gtFine/train/ulm/ulm_000001_000019_gtFine_labelIds.png").unlink()
    line = r"gtFine/train/ulm/ulm_000001_000019_gtFine_labelIds\.png: no such file.*_leftImg8bit"
    with pytest.raises(LcTrtError, match=line):
        opened(root)


def test_a_missing_split_names_the_existing_ones(root: Path) -> None:
    with pytest.raises(LcTrtError, match=r"leftImg8bit/test: no split 'test'.* has train, val$"):
        opened(root, "test")


def test_an_empty_split(root: Path) -> None:
    (root / "leftImg8bit/test/berlin").mkdir(parents=True)
    with pytest.raises(LcTrtError, match=r"leftImg8bit/test: split 'test' is empty; .*gtFine"):
        opened(root, "test")
