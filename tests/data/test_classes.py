"""Class sets against the palettes that their data sets publish."""

from __future__ import annotations

import pytest

from lc_trt.data.classes import CLASS_SETS, find_classes, numbered, voc_colour
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
    with pytest.raises(UsageError, match=r"expected voc, camvid, cityscapes or a number .* 255"):
        find_classes(name)
