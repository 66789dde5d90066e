"""Class sets against the palettes that their data sets publish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lc_trt.data.classes import (
    CLASS_SETS,
    ClassSet,
    dataset_classes,
    find_classes,
    numbered,
    read_classes,
    voc_colour,
)
from lc_trt.errors import UsageError


def test_the_voc_palette_is_that_of_the_development_kit() -> None:
    # The first colours of VOCcolormap.m, and 255, which draws the void border.
    published = {
        0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128),
        8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192),
    }  # fmt: skip
    assert {label: voc_colour(label) for label in published} == published


@pytest.mark.parametrize(("name", "count"), [("voc", 21), ("camvid", 11), ("cityscapes", 19)])
def test_a_named_set_has_one_distinct_colour_per_class(name: str, count: int) -> None:
    classes = find_classes(name)
    assert classes is CLASS_SETS[name] and classes.name == name
    assert len(classes) == len(set(classes.names)) == len(set(classes.colours)) == count
    assert all(0 <= value <= 255 for colour in classes.colours for value in colour)


@pytest.mark.parametrize("count", [1, 7, 255])
def test_a_number_names_its_classes(count: int) -> None:
    classes = find_classes(str(count))
    assert classes == numbered(count)
    assert len(set(classes.names)) == len(classes) == count


@pytest.mark.parametrize("name", ["", "0", "256", "-1", "1.5", "ade20k"])
def test_other_names_are_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"expected voc, camvid, cityscapes, a number .* 255, or a file"
    ):
        find_classes(name)


def test_a_file_has_a_class_per_line_with_or_without_a_colour(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("ground\ntraffic light, 250,170, 30\n  roof\n\n", encoding="utf-8")
    expected = ClassSet(
        "classes.txt",
        ("ground", "traffic light", "roof"),
        (voc_colour(0), (250, 170, 30), voc_colour(2)),
    )
    assert read_classes(path) == find_classes(str(path)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 lines, expected one class per line, 1 to 255"),
        ("\n".join(map(str, range(256))), "256 lines"),
        ("a\n\nb", "line 2: ''"),
        ("a\na", "line 2: 'a', expected a name that no other class has"),
        ("a, 1, 2", "line 1: 'a, 1, 2'"),
        ("a, 1, 2, 256", "line 1"),
        ("a, 1, 2, -3", "line 1"),
        ("a, red, 2, 3", "line 1"),
        (", 1, 2, 3", "line 1"),
    ],
)
def test_a_line_that_is_no_class_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_classes(tmp_path / "classes.txt")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.txt: cannot be read"):
        find_classes(str(tmp_path / "none.txt"))
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match=r"classes\.txt: cannot be read"):
        read_classes(tmp_path / "classes.txt")


def test_a_folder_says_what_its_classes_are(tmp_path: Path) -> None:
    assert dataset_classes(tmp_path, "camvid") is CLASS_SETS["camvid"]
    (tmp_path / "classes.txt").write_text("a\nb")
    assert dataset_classes(str(tmp_path), "camvid").names == ("a", "b")


@pytest.mark.parametrize("known", ["voc", "7"])
def test_metadata_name_a_known_set(known: str) -> None:
    assert find_classes(known).as_metadata() == known


def test_another_set_survives_json() -> None:
    classes = ClassSet("mine", ("a", "b"), ((1, 2, 3), (4, 5, 6)))
    assert find_classes(json.loads(json.dumps(classes.as_metadata()))) == classes
