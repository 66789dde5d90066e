import pytest
import torch

from lc_trt.errors import UsageError
from lc_trt.model.cascade import Cascade
from lc_trt.model.heads import classifier
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.layers import Conv, Sum
from lc_trt.model.presets import (
    PRESETS,
    build_cascade,
    build_dense,
    build_peer,
    count_parameters,
    find_network,
    find_preset,
    initialise,
)


def on_meta(build, *args):
    """A network on the meta device: shapes and counts only."""
    with torch.device("meta"):
        return build(*args)


def trunk_count(model):
    return count_parameters(model.stages)


def test_irnet_has_the_papers_parameters_and_operations():
    model = on_meta(build_cascade, "irnet", 21)
    assert count_parameters(model) == 35_502_683
    assert trunk_count(model) == 29_605_408


def test_irnet_small_count():
    model = on_meta(build_cascade, "irnet-small", 11)
    assert trunk_count(model) == 4_326_096
    assert 4.9e6 < count_parameters(model) < 5.2e6


@pytest.mark.parametrize(
    ("name", "heads", "classes"),
    [("irnet-small", "aspp", 2), ("irnet-small", "plain", 19), ("inception-resnet-v2", "plain", 5)],
)
def test_any_number_of_classes_in_both_head_forms(name, heads, classes):
    x = torch.zeros(2, 3, 40, 48, device="meta")
    cascade = on_meta(build_cascade, name, classes, heads)
    assert [tuple(y.shape) for y in cascade.deep(x)] == [(2, classes, 5, 6)] * 3
    assert cascade.classes == classes
    dense = on_meta(build_dense, name, classes, heads)
    assert tuple(dense(x).shape) == (2, classes, 5, 6)


def test_aspp_sums_five_dilations():
    head = on_meta(build_dense, "irnet", 21).heads[0]
    convs = [m for m in head.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.dilation[0] for m in convs] == [1, 6, 12, 18, 24]
    x = torch.randn(1, 4, 9, 9)
    aspp = classifier(4, 3, "aspp", 3)
    expected = sum(m(x) for m in aspp.modules() if isinstance(m, torch.nn.Conv2d))
    torch.testing.assert_close(aspp(x), expected)


def test_presets_keep_their_head_form():
    for preset in PRESETS.values():
        last = on_meta(build_cascade, preset.name, 3).heads[2][-1]
        assert isinstance(last, Sum if preset.heads == "aspp" else Conv)


def test_initialisation_is_seeded_and_nearly_uniform():
    def initialised():
        torch.manual_seed(3)
        return initialise(Cascade(irnet_trunk((1, 1, 1), 0.125), 4, "plain", 8))

    first, second = initialised(), initialised()
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with torch.inference_mode():
        output = first.eval()(torch.randn(1, 3, 32, 32), (1, 1))
    assert output.confidence.max() < 0.6


def test_unknown_names_are_usage_errors():
    with pytest.raises(UsageError, match=r"unknown preset 'irnt'.*irnet-small.*vgg16"):
        find_network("irnt")
    with pytest.raises(UsageError, match="unknown head form 'deeplab'"):
        build_cascade("irnet-small", 3, "deeplab")


def test_a_baseline_has_no_cascade_form():
    with pytest.raises(UsageError, match=r"'vgg16' has no cascade form.*irnet"):
        build_cascade("vgg16", 21)
    with pytest.raises(UsageError, match="'resnet101' has no cascade form"):
        find_preset("resnet101")
    with pytest.raises(UsageError, match="'pidnet-s' has no cascade form"):
        build_cascade("pidnet-s", 21)
    with pytest.raises(UsageError, match="one head form"):
        build_dense("vgg16", 21, "aspp")


def test_peers_are_built_by_name():
    assert on_meta(build_peer, "pidnet-s", 4).classes == 4
    with pytest.raises(UsageError, match="'vgg16' is no peer: expected one of pidnet-s, ddrnet"):
        build_peer("vgg16", 4)
    with pytest.raises(UsageError, match="'pidnet-s' is a peer"):
        build_dense("pidnet-s", 4)
