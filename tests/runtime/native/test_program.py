from __future__ import annotations

import numpy as np
import pytest

from lc_trt.errors import LcTrtError
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.program import Program, ProgramBuilder, Value

SIZE = (2, 3)


def doubling(library: NativeLibrary) -> tuple[Program, Value]:
    """A program that writes twice the region's pixels."""
    p = ProgramBuilder(library)
    x = p.map("x", SIZE, 1)
    region = p.select("score", 0, SIZE)
    p.export(p.conv(region, [x], np.full((1, 1, 1, 1), 2, np.float32)), "out")
    return p.build(), region


def arrays() -> dict[str, np.ndarray]:
    return {
        "x": np.arange(6, dtype=np.float32).reshape(1, *SIZE, 1),
        "score": np.array([[[0, 1, 0], [1, 0, 1]]], np.float32),
        "out": np.zeros((6, 1), np.float32),
    }


def test_a_program(library: NativeLibrary, pool: Pool) -> None:
    program, region = doubling(library)
    with pytest.raises(LcTrtError, match="no rows in this frame"):
        program.rows(region)
    given = arrays()
    program.run(pool, given, [0.5])
    assert program.rows(region) == 3
    assert given["out"][:, 0].tolist() == [0, 4, 8, 0, 0, 0]


def test_parts_come_in_their_order(library: NativeLibrary, pool: Pool) -> None:
    program, _ = doubling(library)
    given = arrays()
    with pytest.raises(LcTrtError, match="where the run before ended"):
        program.run(pool, given, [0.5], first=2)
    program.run(pool, given, [0.5], end=2)
    program.run(pool, given, [0.5], first=2)
    assert given["out"][1, 0] == 4
    with pytest.raises(LcTrtError, match="operators of the program"):
        program.run(pool, given, [0.5], end=9)


def test_a_failed_part_ends_the_frame(library: NativeLibrary, pool: Pool) -> None:
    program, _ = doubling(library)
    given = arrays()
    with pytest.raises(LcTrtError, match="operator 1: its threshold is missing"):
        program.run(pool, given)
    with pytest.raises(LcTrtError, match="where the run before ended"):
        program.run(pool, given, [0.5], first=1)
    del given["out"]
    with pytest.raises(LcTrtError, match="operator 3: its binding is missing"):
        program.run(pool, given, [0.5])


def test_arrays_are_checked(library: NativeLibrary, pool: Pool) -> None:
    program, _ = doubling(library)
    with pytest.raises(ValueError, match="array 'y', expected x, score, out"):
        program.run(pool, {"y": np.zeros(1, np.float32)})
    with pytest.raises(ValueError, match=r"'x' of shape \(1, 3, 2, 1\), expected \(1, 2, 3, 1\)"):
        program.run(pool, {"x": np.zeros((1, 3, 2, 1), np.float32)})
    with pytest.raises(ValueError, match="expected contiguous float32"):
        program.run(pool, {"x": np.zeros((1, *SIZE, 1))})


def test_the_builder_checks_shapes(library: NativeLibrary) -> None:
    p = ProgramBuilder(library)
    x = p.map("x", SIZE, 4)
    region = p.mask("mask", SIZE)
    with pytest.raises(ValueError, match="weights for 3 channels, expected 8"):
        p.conv(region, [x, x], np.zeros((1, 3, 1, 1), np.float32))
    with pytest.raises(ValueError, match="expected at most 8"):
        p.conv(region, [x] * 9, np.zeros((1, 36, 1, 1), np.float32))
    with pytest.raises(ValueError, match="array 'x' is"):
        p.map("x", SIZE, 5)


def test_what_does_not_fit_together(library: NativeLibrary) -> None:
    weight, wide = np.zeros((1, 4, 1, 1), np.float32), np.zeros((1, 4, 3, 3), np.float32)

    def failure(size: tuple[int, int], kernel: np.ndarray) -> str:
        p = ProgramBuilder(library)
        p.conv(p.mask("mask", SIZE), [p.map("x", size, 4)], kernel)
        with pytest.raises(LcTrtError) as error:
            p.build()
        return str(error.value)

    assert "operator 2: reads a map that has neither" in failure((5, 5), weight)
    assert "operator 2: reads a window at another stride" in failure((1, 2), wide)

    p = ProgramBuilder(library)
    region = p.mask("mask", SIZE)
    inputs = [p.map("x", SIZE, 2), p.map("y", SIZE, 2, element_type=ElementType.BF16)]
    p.conv(region, inputs, weight)
    with pytest.raises(LcTrtError, match="operator 3: its inputs have different types"):
        p.build()

    p = ProgramBuilder(library)
    x = p.map("x", SIZE, 4)
    p.conv(x, [x], weight)
    with pytest.raises(LcTrtError, match="operator 1: its region is none"):
        p.build()
