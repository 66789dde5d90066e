"""How a model is read, from options."""

from __future__ import annotations

import pytest
from parsed_options import parsed

from lc_trt.cli.option_groups.model import FreeSize, PlainOnnx, Size
from lc_trt.compiler.frontend.wrap_dense import Normalisation
from lc_trt.data.classes import find_classes
from lc_trt.errors import UsageError


def test_without_options_a_model_is_left_to_itself() -> None:
    options = parsed(PlainOnnx).import_options()
    assert (options.size, options.classes, options.normalisation) == (None, None, None)


def test_classes_and_size() -> None:
    options = parsed(PlainOnnx, "--classes", "camvid").import_options((64, 96))
    assert options.classes == find_classes("camvid") and options.size == (64, 96)
    numbered = parsed(PlainOnnx, "--classes", "7").import_options().classes
    assert numbered is not None and len(numbered) == 7
    with pytest.raises(UsageError, match="unknown class set 'dogs'"):
        parsed(PlainOnnx, "--classes", "dogs").import_options()


def test_a_part_of_the_normalisation_leaves_the_rest_at_imagenet_s() -> None:
    imagenet = Normalisation()
    cases = {
        ("--bgr",): Normalisation(imagenet.mean, imagenet.std, rgb=False),
        ("--mean", "1,2,3"): Normalisation((1, 2, 3), imagenet.std),
        ("--std", "4,5,6"): Normalisation(imagenet.mean, (4, 5, 6)),
        ("--mean", "1,2,3", "--std", "4,5,6", "--bgr"): Normalisation(
            (1, 2, 3), (4, 5, 6), rgb=False
        ),
    }
    for words, expected in cases.items():
        assert parsed(PlainOnnx, *words).import_options().normalisation == expected
    with pytest.raises(UsageError, match="--std '1,2': expected three numbers"):
        parsed(PlainOnnx, "--std", "1,2").import_options()


@pytest.mark.parametrize("group", [Size, FreeSize])
def test_a_size_is_height_and_width(group: type[Size]) -> None:
    assert parsed(group).pixels() is None
    assert parsed(group, "--size", "48x64").pixels() == (48, 64)
    with pytest.raises(UsageError, match="--size '48': expected HxW"):
        parsed(group, "--size", "48").pixels()
