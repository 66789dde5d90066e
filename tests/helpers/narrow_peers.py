"""Peers small enough to train or compile in a test. A conftest or a test module imports it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lc_trt.model import baselines
from lc_trt.model.baselines.ddrnet import DDRNet
from lc_trt.model.baselines.pidnet import PIDNet


@pytest.fixture
def narrow_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of the width, except in pyramids and heads."""
    for name, network in (("pidnet-s", PIDNet), ("ddrnet-23-slim", DDRNet)):
        peer = baselines.PEERS[name]
        narrow = replace(peer, build=lambda classes, network=network: network(classes, width=4))
        monkeypatch.setitem(baselines.PEERS, name, narrow)
