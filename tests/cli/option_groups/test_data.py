"""Images and labelled data, from options."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsed_options import parsed

from lc_trt.cli.option_groups.data import Images, LabelledData


def test_images() -> None:
    assert parsed(Images, "--images", "a") == Images(images=Path("a"), limit=None)
    assert parsed(Images, "--images", "a", "--limit", "3") == Images(images=Path("a"), limit=3)


def test_labelled_data() -> None:
    plain = LabelledData(data=Path("root"), layout="folder", split="val", limit=None)
    assert parsed(LabelledData, "--data", "root") == plain
    words = ["--data", "root", "--layout", "voc", "--split", "train", "--limit", "9"]
    chosen = LabelledData(data=Path("root"), layout="voc", split="train", limit=9)
    assert parsed(LabelledData, *words) == chosen


@pytest.mark.parametrize("words", [[], ["--limit", "3"], ["--images", "a", "--limit", "0"]])
def test_a_folder_has_to_be_given_and_a_limit_leaves_something(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed(Images, *words)
    with pytest.raises(SystemExit, match="2"):
        parsed(LabelledData, *(word.replace("images", "data") for word in words))
