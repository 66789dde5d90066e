"""Capsules of DLPack, against torch's and NumPy's own reading and writing of them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.runtime.cuda import dlpack

TYPES = ["uint8", "int32", "int64", "float16", "float32"]


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    dtype=st.sampled_from(TYPES),
    step=st.integers(1, 2),
)
def test_a_tensor_of_torch_is_described_as_it_is(shape, dtype, step):
    tensor = torch.zeros(shape, dtype=getattr(torch, dtype))[..., ::step]
    for capsule in (tensor.__dlpack__(), tensor.__dlpack__(max_version=(1, 0))):
        found = dlpack.describe(capsule)
        assert found.shape == tuple(tensor.shape) and found.dtype == np.dtype(dtype)
        assert found.device == (dlpack.CPU, 0)
        if tensor.numel() > 1:
            expected = tuple(stride * tensor.element_size() for stride in tensor.stride())
            assert found.strides == expected and found.address == tensor.data_ptr()


def test_an_array_of_numpy_with_an_offset():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[1:, 2:]
    found = dlpack.describe(array.__dlpack__())
    assert found.address == array.ctypes.data and found.strides == array.strides


class Exporter:
    """NumPy's memory through our capsules."""

    def __init__(self, array, versioned):
        self.array, self.versioned = array, versioned

    def __dlpack__(self, **_):
        array = self.array
        return dlpack.make_capsule(
            self, array.ctypes.data, array.shape, array.dtype, (dlpack.CPU, 0), self.versioned
        )

    def __dlpack_device__(self):
        return dlpack.CPU, 0


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("read", [torch.from_dlpack, np.from_dlpack])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_we_make_is_read_without_a_copy_and_lives_until_then(read, versioned, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    exporter = Exporter(array, versioned)
    alive = weakref.ref(exporter)
    read_back = read(exporter)
    del exporter
    gc.collect()
    assert alive() is not None
    array[0, 0, 0] = 7
    assert read_back.shape == (2, 3, 4) and np.array_equal(np.asarray(read_back), array)
    del read_back
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("versioned", [False, True])
def test_a_capsule_that_nobody_reads_lets_go_too(versioned):
    exporter = Exporter(np.zeros(3, np.float32), versioned)
    alive = weakref.ref(exporter)
    capsule = exporter.__dlpack__()
    del exporter
    assert alive() is not None
    del capsule
    assert alive() is None


def test_what_is_no_capsule_or_used_up_is_refused():
    with pytest.raises(ValueError, match="ndarray, expected a capsule"):
        dlpack.describe(np.zeros(3))
    capsule = torch.zeros(3).__dlpack__()
    torch.utils.dlpack.from_dlpack(capsule)
    with pytest.raises(ValueError, match="used_dltensor"):
        dlpack.describe(capsule)
    with pytest.raises(ValueError, match="DLPack type 5"):
        dlpack.describe(torch.zeros(3, dtype=torch.complex64).__dlpack__())
