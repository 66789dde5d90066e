import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.model.irnet import inception_resnet_v2_trunk, irnet_trunk
from lc_trt.model.layers import BatchNorm
from lc_trt.model.region import CompactRegion, MaskedRegion

KERNELS = [(1, 1), (1, 3), (3, 1), (1, 7), (7, 1), (3, 3)]
shapes = st.tuples(st.sampled_from([1, 3]), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
shares = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


def random_region(shape, share, seed):
    """A dense map and a region of about that share."""
    generator = torch.Generator().manual_seed(seed)
    n, _, h, w = shape
    x = torch.randn(shape, generator=generator)
    return x, torch.rand(n, 1, h, w, generator=generator) < share


def conv2d(cin, cout, kernel, dilation, seed=0):
    torch.manual_seed(seed)
    padding = tuple(dilation * (k // 2) for k in kernel)
    return torch.nn.Conv2d(cin, cout, kernel, padding=padding, dilation=dilation)


def in_both_forms(x, hard, operation):
    """The operation's result as a dense map, zero outside the region, in each form."""
    maps = []
    for form in (CompactRegion, MaskedRegion):
        region = form(hard)
        y = operation(region, region.gather(x))
        channels = y.shape[1]
        maps.append(region.scatter(y, torch.zeros(x.shape[0], channels, *x.shape[2:])))
    return maps


@given(
    shapes,
    shares,
    st.sampled_from(KERNELS),
    st.sampled_from([1, 2, 4, 24]),
    st.integers(1, 5),
    st.integers(0, 1000),
)
def test_compact_convolution_equals_the_masked_reference(
    shape, share, kernel, dilation, cout, seed
):
    x, hard = random_region(shape, share, seed)
    conv = conv2d(shape[1], cout, kernel, dilation, seed)
    compact, masked = in_both_forms(x, hard, lambda region, y: region.conv(y, conv))
    torch.testing.assert_close(compact, masked, atol=1e-5, rtol=1e-5)


@given(shapes, st.sampled_from(KERNELS), st.sampled_from([1, 2]), st.integers(0, 1000))
def test_a_full_region_is_a_plain_convolution(shape, kernel, dilation, seed):
    x, hard = random_region(shape, 2.0, seed)
    conv = conv2d(shape[1], 3, kernel, dilation, seed)
    compact, _ = in_both_forms(x, hard, lambda region, y: region.conv(y, conv))
    torch.testing.assert_close(compact, conv(x), atol=1e-5, rtol=1e-5)


@given(shapes, shares, st.sampled_from([1, 2]), st.integers(0, 1000))
def test_max_pool_in_both_forms(shape, share, dilation, seed):
    x, hard = random_region(shape, share, seed)
    compact, masked = in_both_forms(
        x.relu(), hard, lambda region, y: region.max_pool(y, 3, dilation)
    )
    assert torch.equal(compact, masked)


def test_convolution_follows_its_definition():
    """A neighbour outside the region or the image reads 0."""
    x, hard = random_region((2, 2, 4, 5), 0.6, 5)
    conv = conv2d(2, 3, (3, 3), 2)
    expected = torch.zeros(2, 3, 4, 5)
    for n, i, j in hard[:, 0].nonzero().tolist():
        total = conv.bias.clone()
        for a in range(3):
            for b in range(3):
                y, z = i + 2 * (a - 1), j + 2 * (b - 1)
                if 0 <= y < 4 and 0 <= z < 5 and hard[n, 0, y, z]:
                    total += conv.weight[:, :, a, b] @ x[n, :, y, z]
        expected[n, :, i, j] = total
    for result in in_both_forms(x, hard, lambda region, y: region.conv(y, conv)):
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def test_an_empty_region_stays_empty():
    hard = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    region = CompactRegion(hard)
    rows = region.gather(torch.randn(2, 3, 4, 5))
    assert tuple(rows.shape) == (0, 3)
    for kernel in KERNELS:
        assert tuple(region.conv(rows, conv2d(3, 7, kernel, 2)).shape) == (0, 7)
    assert tuple(region.max_pool(rows, 3, 1).shape) == (0, 3)
    base = torch.randn(2, 3, 4, 5)
    assert torch.equal(region.scatter(rows, base), base)


@given(shapes, shares, st.integers(0, 1000))
def test_gather_then_scatter_writes_the_region_only(shape, share, seed):
    x, hard = random_region(shape, share, seed)
    base = x + 1
    region = CompactRegion(hard)
    assert torch.equal(region.scatter(region.gather(x), base), torch.where(hard, x, base))


@given(shapes, shares, st.integers(0, 1000))
def test_restrict_narrows_to_a_smaller_region(shape, share, seed):
    x, hard = random_region(shape, share, seed)
    narrow = hard & random_region(shape, 0.5, seed + 1)[1]
    outer, inner = CompactRegion(hard), CompactRegion(narrow)
    rows = inner.restrict(outer.gather(x), outer)
    assert torch.equal(rows, inner.gather(x))
    outer, inner = MaskedRegion(hard), MaskedRegion(narrow)
    assert torch.equal(inner.restrict(outer.gather(x), outer), inner.gather(x))


def test_index_is_row_plus_one_and_zero_elsewhere():
    hard = torch.tensor([[0, 1, 0], [1, 1, 0]], dtype=torch.bool).view(1, 1, 2, 3)
    region = CompactRegion(hard)
    assert region.rows.tolist() == [1, 3, 4]
    assert region.index.tolist() == [0, 1, 0, 2, 3, 0]
    assert region.neighbours((1, 3), (1, 1)).tolist() == [[0, 1, 0], [0, 2, 3], [2, 3, 0]]


def test_images_of_a_batch_are_separate_regions():
    """The last row of an image is no neighbour of the first row of the next."""
    x = torch.ones(2, 1, 2, 2)
    conv = conv2d(1, 1, (3, 1), 1)
    compact, _ = in_both_forms(
        x, torch.ones(2, 1, 2, 2, dtype=torch.bool), lambda region, y: region.conv(y, conv)
    )
    torch.testing.assert_close(compact[0], compact[1])
    torch.testing.assert_close(compact, conv(x))


@pytest.mark.parametrize("trunk", [irnet_trunk, inception_resnet_v2_trunk])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_whole_stages_in_both_forms(trunk, share):
    torch.manual_seed(0)
    stages = trunk((1, 2, 2), 0.125).stages
    for stage in stages:
        stage.eval()
        for module in stage.modules():
            if isinstance(module, BatchNorm):  # a shift that would leak into the outside
                torch.nn.init.normal_(module.bias)
    with torch.inference_mode():
        x = stages[0](torch.randn(2, 3, 48, 64))
        hard = torch.rand(2, 1, 6, 8) < share
        compact, masked = in_both_forms(
            x, hard, lambda region, y: stages[2](stages[1](y, region), region)
        )
        torch.testing.assert_close(compact, masked, atol=1e-5, rtol=1e-4)
        if share == 1.0:
            torch.testing.assert_close(compact, stages[2](stages[1](x)), atol=1e-5, rtol=1e-4)


def test_a_region_is_a_bool_map():
    with pytest.raises(ValueError, match="bool"):
        CompactRegion(torch.ones(1, 1, 2, 2))
    with pytest.raises(ValueError, match="bool"):
        MaskedRegion(torch.ones(1, 2, 2, dtype=torch.bool))
    compact = CompactRegion(torch.ones(1, 1, 2, 2, dtype=torch.bool))
    with pytest.raises(TypeError, match="CompactRegion"):
        compact.restrict(torch.zeros(4, 1), MaskedRegion(compact.hard))
