"""Which rows a region operator reads: those of its region, of a larger one, or of a whole map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from lc_trt.compiler.graph import Array
from lc_trt.compiler.lower_standard.builder import Builder
from lc_trt.compiler.lower_standard.neighbours import Region
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.provenance import Producers, repeated_index

Regions = Mapping[str, Region]


def reads_map(b: Builder, node: onnx.NodeProto, region: Region, of_index: Regions) -> bool:
    """Whether a convolution or pooling reads all rows of a dense map instead of its region's.

    Args:
        b: builder of the graph.
        node: RegionConv or RegionMaxPool.
        region: its region.
        of_index: regions by the name of their index.

    Raises:
        LcTrtError: it reads other rows.
    """
    index = NodeView(node).input("index")
    if of_index.get(index) is region:
        return False
    numbers, cells = b.constants.get(index), int(np.prod(region.size))
    if numbers is None or not np.array_equal(numbers.ravel(), np.arange(1, cells + 1)):
        raise LcTrtError(
            f"node {node.name!r}: its index {index!r} is neither that of its region nor that of "
            f"all {cells} cells of a map"
        )
    return True


def numbers_in(
    b: Builder, region: Region, index: str, of_index: Regions, producers: Producers, p: str
) -> str:
    """Row + 1 of each cell of a region in a larger region, or of its parent in one; int64 [R].

    Args:
        b: builder for the nodes.
        region: cells to look up.
        index: index of the larger region, or that of a region at twice the stride, repeated for
            the children of its cells.
        of_index: regions by the name of their index.
        producers: producing node by tensor, before lowering.
        p: path of the node names.

    Raises:
        LcTrtError: another index.
    """
    repeated = repeated_index(index, producers)
    if index in of_index:
        previous = of_index[index]
        # flat_index starts with the entry for missing neighbours, so position q is at q + 1.
        first = b.const(f"{p}/first", 1, "int64")
        positions = b.add("Add", region.rows, first, name=f"{p}/shifted")
    elif repeated is not None and all(name in b.constants for name in repeated.parents):
        previous = of_index[repeated.index]
        rows, columns = (b.constants[name] for name in repeated.parents)
        parents = b.const(f"{p}/parents", parent_positions(previous.size, rows, columns), "int64")
        positions = b.add("Gather", parents, region.rows, name=f"{p}/of_rows", axis=0)
    else:
        raise LcTrtError(
            f"node {p!r}: its index {index!r} is neither that of a region nor one repeated for the "
            "children of its cells"
        )
    return b.add("Gather", previous.flat_index, positions, name=f"{p}/numbers", axis=0)


def parent_positions(size: tuple[int, int, int], rows: Array, columns: Array) -> Array:
    """Positions of parents at twice the stride, int64 [N*H*W]: 1 + flat position.

    Args:
        size: (N, h, w) of the parents' map.
        rows: row of each child's parent, int64 [H].
        columns: column of each child's parent, int64 [W].
    """
    numbers = np.arange(1, np.prod(size) + 1).reshape(size)
    return numbers[:, rows][:, :, columns].reshape(-1)
