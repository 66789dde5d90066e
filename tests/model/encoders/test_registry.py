"""Encoders by name."""

from __future__ import annotations

import sys

import pytest

from lc_trt.errors import UsageError
from lc_trt.model.encoders.registry import OWN, build_encoder


@pytest.mark.parametrize("name", OWN)
def test_an_encoder_bears_its_name(name: str) -> None:
    assert build_encoder(name).info.name == name


def test_an_unknown_name_without_timm_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    message = "encoder 'vgg' is none of .*resnet18, and .* timm is not installed: pip install timm"
    with pytest.raises(UsageError, match=message):
        build_encoder("vgg")
