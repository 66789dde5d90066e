"""Fixtures for PyTorch on tiny networks. A conftest or a test module imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_training import TINY, make_tree

from lc_trt.model import presets


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread: faster on tiny maps, and sums do not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def tiny_preset() -> Iterator[None]:
    """A preset ``tiny``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny", TINY)
        yield


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labelled images to train on, two to validate on, three classes; not to be changed."""
    return make_tree(tmp_path_factory.mktemp("street") / "data")
