"""Threads of the native CPU library: several callers, several programs, a fork."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from native_cases import random_table, random_values, random_weight

from lc_trt.errors import LcTrtError
from lc_trt.runtime.native.conv import ConvInput, NativeConv
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.rows import Rows


def test_callers_of_one_pool_take_turns(library: NativeLibrary) -> None:
    rng = np.random.default_rng(0)
    values = random_values(rng, (50, 64), ElementType.F32)
    weight = random_weight(rng, (64, 64, 3, 3), ElementType.F32)
    conv = NativeConv(library, ElementType.F32, [64], weight)
    rows = Rows.of(library, values, ElementType.F32)
    tables = [random_table(rng, (200, 9), 50) for _ in range(6)]
    with Pool(library, 1) as pool:
        expected = [conv(pool, [ConvInput(rows, t)], 200).padded.tobytes() for t in tables]
    with Pool(library, 3) as pool, ThreadPoolExecutor(6) as callers:

        def call(number: int) -> bool:
            table = tables[number]
            return all(
                conv(pool, [ConvInput(rows, table)], 200).padded.tobytes() == expected[number]
                for _ in range(20)
            )

        assert all(callers.map(call, range(6)))


def test_a_forked_child_is_told_to_make_a_pool_of_its_own(library: NativeLibrary) -> None:
    conv = NativeConv(library, ElementType.F32, [4], np.ones((4, 4, 1, 1), np.float32))
    rows = Rows.of(library, np.ones((9, 4)), ElementType.F32)

    def child(pool: Pool) -> int:
        signal.alarm(60)  # rather than a test that hangs
        try:
            conv(pool, [ConvInput(rows)], 9)
        except LcTrtError as error:
            if "forked" not in str(error):
                return 1
            pool.close()
            with Pool(library, 2) as own:
                return 0 if (conv(own, [ConvInput(rows)], 9).values == 4).all() else 2
        return 3

    with Pool(library, 2) as pool:
        conv(pool, [ConvInput(rows)], 9)
        number = os.fork()
        if number == 0:
            os._exit(child(pool))
        assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
        assert (conv(pool, [ConvInput(rows)], 9).values == 4).all()


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_numbers_of_threads(library: NativeLibrary, threads: int) -> None:
    with pytest.raises(LcTrtError, match="1 to 1024 threads"):
        Pool(library, threads)
