"""Where the inputs of region operators come from."""

from __future__ import annotations

import pytest
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, tiny_encoder_model, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.ir.export import export_cascade
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.provenance import has_exact_regions, map_of_rows, repeated_index
from lc_trt.model.neighbours import Neighbours


@pytest.fixture(scope="module")
def exact():
    model = tiny_encoder_model()
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


@pytest.mark.parametrize("neighbours", Neighbours)
def test_regions_are_exact_where_windows_are_of_dense_maps(neighbours):
    network = tiny_encoder_cascade(CLASSES, neighbours=neighbours)
    model = export_cascade(network, INFO, MEAN, STD)
    assert has_exact_regions(model) == (neighbours is Neighbours.EXACT)


def test_regions_of_presets_are_not_exact():
    assert not any(has_exact_regions(tiny_model(trunk)) for trunk in ("irnet", "inception"))
    assert not has_exact_regions(run_passes(tiny_encoder_model(), [ToDense()]))
