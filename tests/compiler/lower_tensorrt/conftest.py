"""A network in FP32, quantised operator by operator, and its ranges."""

from __future__ import annotations

from functools import cache

import pytest
from int8_cases import image_folder, tiny_table
from lowered_int8 import signed_int8
from tiny_networks import session, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.fold_constants import FoldConstants


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """By trunk and head: the model, its ranges, and sessions in FP32 and quantised."""
    images = image_folder(tmp_path_factory.mktemp("images"), 3)

    @cache
    def make(trunk, form):
        model = tiny_model(trunk, form)
        ranges = tiny_table(model, images).ranges
        folded = run_passes(model, [FoldConstants(), FoldBatchNorm()])
        return model, ranges, session(folded), session(signed_int8(Graph(folded), ranges))

    return make
