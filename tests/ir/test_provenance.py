"""Where the inputs of region operators come from."""

from __future__ import annotations

import pytest
from tiny_networks import tiny_exact_model, tiny_model

from lc_trt.ir.node_view import NodeView
from lc_trt.ir.provenance import map_of_rows, repeated_index


@pytest.fixture(scope="module")
def exact():
    model = tiny_exact_model()
    return model, {o: n for n in model.graph.node for o in n.output}


def views(model, op_type):
    return [NodeView(n) for n in model.graph.node if n.op_type == op_type]


def test_spatial_convolutions_of_exact_regions_read_dense_maps(exact):
    model, producers = exact
    maps = {v.node.name: map_of_rows(v.input("x"), producers) for v in views(model, "RegionConv")}
    assert {maps[f"stage2/spatial{i}/conv"] for i in range(3)} == {"stage2/context/relu"}
    assert {maps[f"stage3/spatial{i}/conv"] for i in range(2)} == {"stage1/guide/detail"}
    assert all(found is None for name, found in maps.items() if "spatial" not in name)


def test_children_read_a_repeated_index(exact):
    model, producers = exact
    above, _ = views(model, "RegionSelect")
    for restrict in views(model, "RegionRestrict"):
        repeated = repeated_index(restrict.input("index"), producers)
        assert repeated is not None and repeated.index == above.output("index")
        assert [producers[name].op_type for name in repeated.parents] == ["Div", "Div"]


def test_a_region_in_a_region_of_the_same_stride_reads_its_own_index():
    model = tiny_model()
    producers = {o: n for n in model.graph.node for o in n.output}
    (restrict,) = views(model, "RegionRestrict")
    assert repeated_index(restrict.input("index"), producers) is None
    for conv in views(model, "RegionConv"):
        assert map_of_rows(conv.input("x"), producers) is None
