"""Encoders by name."""

from __future__ import annotations

import pytest

from lc_trt.errors import UsageError
from lc_trt.model.encoders.registry import OWN, build_encoder


@pytest.mark.parametrize("name", OWN)
def test_an_encoder_bears_its_name(name: str) -> None:
    assert build_encoder(name).info.name == name


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"unknown encoder 'vgg'"):
        build_encoder("vgg")
