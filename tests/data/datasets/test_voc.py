"""Layout ``voc`` on a small VOCdevkit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as pillow

from lc_trt.data.classes import IGNORE, find_classes
from lc_trt.data.datasets import Dataset, open_dataset
from lc_trt.errors import LcTrtError

SIZE = (20, 30)
LISTS = {
    "train": ("2007_000032", "2007_000039"),
    "val": ("2007_000033",),
    "trainval": ("2007_000032", "2007_000033", "2007_000039"),
}
# Colours of the development kit's palette (VOClabelcolormap), as its documentation has them.
COLOURS = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    15: (192, 128, 128),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


def label_of(name: str) -> npt.NDArray[np.uint8]:
    """A thing of class 1, 15 or 20 with an ignored border on background."""
    label = np.zeros(SIZE, np.uint8)
    label[4:14, 5:20] = IGNORE
    label[5:13, 6:19] = {"032": 1, "033": 15, "039": 20}[name[-3:]]
    return label


def write_palette(path: Path, values: npt.NDArray[np.uint8]) -> None:
    palette = np.zeros((256, 3), np.uint8)
    for value, colour in COLOURS.items():
        palette[value] = colour
    picture = pillow.fromarray(values)
    picture.putpalette(palette.tobytes())
    picture.save(path)


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """VOCdevkit with VOC2012 and no augmented labels."""
    home = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject", "Annotations"):
        (home / folder).mkdir(parents=True)
    (home / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, names in LISTS.items():
        lines = "".join(f"{name}\n" for name in names)
        (home / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(lines)
    for name in LISTS["trainval"]:
        image = np.full((*SIZE, 3), (200, 100, 50), np.uint8)
        cv2.imwrite(str(home / "JPEGImages" / f"{name}.jpg"), image)
        write_palette(home / "SegmentationClass" / f"{name}.png", label_of(name))
    # Most of VOC's photographs have no segmentation.
    cv2.imwrite(str(home / "JPEGImages" / "2007_000027.jpg"), image)
    return tmp_path / "VOCdevkit"


@pytest.fixture
def home(devkit: Path) -> Path:
    return devkit / "VOC2012"


@pytest.fixture
def augmented(home: Path) -> Path:
    """With SegmentationClassAug: grey label maps, and one more image."""
    (home / "SegmentationClassAug").mkdir()
    for name in (*LISTS["trainval"], "2007_000027"):
        label = np.full(SIZE, 7, np.uint8)
        cv2.imwrite(str(home / "SegmentationClassAug" / f"{name}.png"), label)
    return home


def opened(root: Path, split: str = "train") -> Dataset:
    return open_dataset("voc", root, split, find_classes("voc"))


@pytest.mark.parametrize("split", sorted(LISTS))
def test_a_development_kit(devkit: Path, split: str) -> None:
    samples = opened(devkit, split)
    assert samples.classes == 21
    assert tuple(s.name for s in samples) == LISTS[split]
    for sample in samples:
        assert np.array_equal(sample.label, label_of(sample.name))
        assert np.abs(sample.image.astype(int) - (200, 100, 50)).max() < 4  # BGR


@pytest.mark.parametrize("year", ["VOC2012", "VOC2007"])
def test_the_folder_of_a_year(devkit: Path, year: str) -> None:
    (devkit / "VOC2012").rename(devkit / year)
    for root in (devkit / year, devkit):
        assert [s.name for s in opened(root, "val")] == ["2007_000033"]


def test_the_later_of_two_years_is_used(devkit: Path) -> None:
    lists = devkit / "VOC2007" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("000001\n")
    assert [s.name for s in opened(devkit, "val")] == ["2007_000033"]


def test_augmented_labels_replace_the_others(augmented: Path) -> None:
    assert all((s.label == 7).all() for s in opened(augmented, "val"))


@pytest.mark.parametrize("stem", ["trainaug", "train_aug"])
@pytest.mark.parametrize("split", ["trainaug", "train_aug"])
def test_trainaug(augmented: Path, stem: str, split: str) -> None:
    lists = augmented / "ImageSets" / "Segmentation"
    (lists / f"{stem}.txt").write_text("2007_000032\r\n2007_000027\r\n")
    assert [s.name for s in opened(augmented, split)] == ["2007_000032", "2007_000027"]
    with pytest.raises(LcTrtError, match=r"has train, trainaug, trainval, val$"):
        opened(augmented, "test")


def test_augmented_labels_may_have_a_palette(augmented: Path) -> None:
    write_palette(augmented / "SegmentationClassAug" / "2007_000033.png", label_of("2007_000033"))
    (sample,) = opened(augmented, "val")
    assert np.array_equal(sample.label, label_of("2007_000033"))


def test_a_missing_list_names_the_existing_ones(devkit: Path) -> None:
    line = r"ImageSets/Segmentation/trainaug\.txt: no split 'trainaug'.*has train, trainval, val$"
    with pytest.raises(LcTrtError, match=line):
        opened(devkit, "trainaug")


def test_an_empty_list(devkit: Path, home: Path) -> None:
    (home / "ImageSets" / "Segmentation" / "val.txt").write_text("\n")
    with pytest.raises(LcTrtError, match=r"Segmentation/val\.txt: split 'val' is empty"):
        opened(devkit, "val")


@pytest.mark.parametrize(
    "name", ["JPEGImages/2007_000039.jpg", "SegmentationClass/2007_000039.png"]
)
def test_a_missing_file_is_named(devkit: Path, home: Path, name: str) -> None:
    (home / name).unlink()
    with pytest.raises(LcTrtError, match=rf"VOC2012/{name}: no such file"):
        opened(devkit)


def test_a_missing_augmented_label_is_named(augmented: Path) -> None:
    """VOC's own label is no substitute: it follows other rules."""
    (augmented / "SegmentationClassAug" / "2007_000033.png").unlink()
    with pytest.raises(LcTrtError, match=r"SegmentationClassAug/2007_000033\.png: no such file"):
        opened(augmented, "val")


def test_an_invalid_label_value_is_named(devkit: Path, home: Path) -> None:
    write_palette(home / "SegmentationClass/2007_000033.png", np.full(SIZE, 21, np.uint8))
    with pytest.raises(LcTrtError, match=r"2007_000033\.png: value 21, expected 0 to 20 or 255"):
        opened(devkit, "val")[0]
