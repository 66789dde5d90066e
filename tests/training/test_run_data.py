"""The data of a run: classes of the folder, notes for people."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_training import tiny_config

from lc_trt.data.classes import find_classes
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.training.batches import class_weights, count_pixels
from lc_trt.training.run_data import open_run_data


@pytest.fixture
def data(tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tree, tmp_path / "data"))


def test_a_known_set_of_classes_is_taken_without_a_word(tree: Path) -> None:
    opened = open_run_data(tiny_config(tree))
    assert opened.classes == find_classes("3") and opened.notes == ()
    assert len(opened.train) == 6 and len(opened.val) == 2
    assert opened.class_weight is not None
    np.testing.assert_array_equal(opened.class_weight, class_weights(count_pixels(opened.train)))


def test_classes_of_the_folder_go_first_and_are_named(data: Path) -> None:
    (data / "classes.txt").write_text("sky\nroad, 1, 2, 3\ncar\n")
    for classes in ("camvid", "3", "7"):
        opened = open_run_data(tiny_config(data, classes=classes))
        assert opened.classes.names == ("sky", "road", "car")
        assert opened.classes.colours[1] == (1, 2, 3)
        assert opened.notes == (f"classes of {data / 'classes.txt'}: sky, road, car",)


def test_classes_without_a_pixel_are_named_with_the_file_that_mends_it(tree: Path) -> None:
    (note,) = open_run_data(tiny_config(tree, classes="camvid")).notes
    assert note.startswith("split 'train' has no pixel of road, pavement, tree, ")
    assert note.endswith(f"list those in {tree / 'classes.txt'}")
    unweighted = {"class_weights": "none"}
    config = tiny_config(tree, classes="camvid", deep=unweighted, cascade=unweighted)
    opened = open_run_data(config)
    assert opened.notes == () and opened.class_weight is None, "no pass over the data"


def test_too_few_classes_are_an_error(data: Path) -> None:
    (data / "classes.txt").write_text("sky\nroad\n")
    with pytest.raises(LcTrtError, match="value 2, expected 0 to 1 or 255"):
        open_run_data(tiny_config(data))
    (data / "classes.txt").write_text("sky\nsky\n")
    with pytest.raises(UsageError, match=r"classes.txt, line 2: 'sky', expected a name that no"):
        open_run_data(tiny_config(data))
