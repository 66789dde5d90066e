"""Region convolution in training: gradients in float64, against finite differences and the
masked dense reference."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lc_trt.model.cascade import Cascade
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.layers import BatchNorm
from lc_trt.model.presets import initialise
from lc_trt.model.region import CompactRegion, MaskedRegion

KERNELS = [(1, 1), (1, 3), (7, 1), (3, 3)]
shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
shares = st.sampled_from([0.0, 0.3, 0.7, 1.0])


def random_problem(shape, share, kernel, seed):
    """A dense map, a region of about that share, a weight and a bias, all with gradients."""
    torch.manual_seed(seed)
    n, c, h, w = shape
    hard = torch.rand(n, 1, h, w) < share
    leaves = (torch.randn(shape), torch.randn(2, c, *kernel), torch.randn(2))
    return hard, [leaf.double().requires_grad_() for leaf in leaves]


def convolve(form, hard, dilation, x, weight, bias):
    """Region convolution as a dense map that is 0.5 outside the region."""
    dilations = tuple(dilation if k > 1 else 1 for k in weight.shape[2:])
    padding = tuple(d * (k // 2) for d, k in zip(dilations, weight.shape[2:], strict=True))
    if form is MaskedRegion:
        conv = torch.nn.Conv2d(*weight.shape[1::-1], weight.shape[2:], 1, padding, dilations)
        del conv.weight, conv.bias
        conv.weight, conv.bias = weight, bias
    else:
        conv = SimpleNamespace(
            weight=weight, bias=bias, kernel_size=tuple(weight.shape[2:]), dilation=dilations
        )
    region = form(hard)
    y = region.conv(region.gather(x), conv)
    return region.scatter(y, torch.full((x.shape[0], 2, *x.shape[2:]), 0.5).double())


@settings(max_examples=25)
@given(shapes, shares, st.sampled_from(KERNELS), st.sampled_from([1, 2, 24]), st.integers(0, 10**6))
def test_compact_convolution_passes_gradcheck(shape, share, kernel, dilation, seed):
    hard, leaves = random_problem(shape, share, kernel, seed)
    assert torch.autograd.gradcheck(
        lambda *leaves: convolve(CompactRegion, hard, dilation, *leaves), leaves
    )


@given(shapes, shares, st.sampled_from(KERNELS), st.sampled_from([1, 2, 24]), st.integers(0, 10**6))
def test_values_and_gradients_equal_the_masked_reference(shape, share, kernel, dilation, seed):
    hard, leaves = random_problem(shape, share, kernel, seed)
    found = []
    for form in (CompactRegion, MaskedRegion):
        y = convolve(form, hard, dilation, *leaves)
        pull = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
        found.append([y, *torch.autograd.grad((y * pull).sum(), leaves, allow_unused=True)])
    for compact, masked in zip(*found, strict=True):
        if compact is None or masked is None:  # an empty region reads nothing
            assert not hard.any()
        else:
            torch.testing.assert_close(compact, masked, atol=1e-12, rtol=1e-12)


@given(shapes, shares, st.sampled_from(KERNELS), st.integers(0, 10**6))
def test_gradients_flow_at_the_regions_positions_only(shape, share, kernel, seed):
    hard, (x, weight, bias) = random_problem(shape, share, kernel, seed)
    convolve(CompactRegion, hard, 1, x, weight, bias).sum().backward()
    outside = ~hard.expand_as(x)
    assert not x.grad[outside].any()
    assert not hard.any() or bool(x.grad[~outside].any())


@given(shapes, shares, st.sampled_from([1, 2]), st.integers(0, 10**6))
def test_max_pool_equals_the_masked_reference(shape, share, dilation, seed):
    hard, (x, _, _) = random_problem(shape, share, (1, 1), seed)
    found = []
    for form in (CompactRegion, MaskedRegion):
        region = form(hard)
        y = region.max_pool(region.gather(x.relu() + 0.1), 3, dilation)
        dense = region.scatter(y, torch.zeros(x.shape).double())
        found.append((dense, torch.autograd.grad((dense * dense).sum(), x)[0]))
    for compact, masked in zip(*found, strict=True):
        torch.testing.assert_close(compact, masked, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("rho", [(1.0, 1.0), (0.5, 0.5), (0.4, 0.6), (0.0, 0.0)])
def test_a_training_step_of_the_whole_network_in_both_forms(rho):
    """Batch norm is frozen as in fine-tuning: statistics over rows differ from a dense map's."""
    torch.manual_seed(0)
    model = initialise(Cascade(irnet_trunk((1, 2, 1), 0.125), 4, "plain", 8)).double().train()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.eval()
            torch.nn.init.normal_(module.bias, std=0.3)
    for head in model.heads:
        head.eval()  # dropout draws in another order in each form
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    images = torch.randn(3, 3, 40, 56).double()
    results = []
    for form in (CompactRegion, MaskedRegion):
        model.zero_grad()
        output = model(images, rho, form)
        total = sum(
            (logits * mask).square().mean()
            for logits, mask in zip(
                output.logits,
                [torch.ones_like(output.regions[0].hard), *(r.hard for r in output.regions)],
                strict=True,
            )
        )
        total.backward()
        grads = {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in model.named_parameters()
        }
        results.append((total.detach(), output.stages, grads))
    (total, stages, grads), (masked_total, masked_stages, masked_grads) = results
    torch.testing.assert_close(total, masked_total, rtol=1e-10, atol=0)
    assert torch.equal(stages, masked_stages)
    if rho == (0.5, 0.5):
        assert set(stages.unique().tolist()) == {1, 2, 3}
    for name, grad in grads.items():
        torch.testing.assert_close(grad, masked_grads[name], rtol=1e-8, atol=1e-12)
