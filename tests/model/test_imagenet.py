"""ImageNet weights, against the network and the names that timm publishes, repeated here.

Nothing here is taken from our own network: `PUBLISHED` has the names and shapes, and `Published`
computes with them at the published strides.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.imagenet import load_imagenet
from lc_trt.model.presets import build_cascade, build_dense, find_preset

# Module (with how often it is repeated), channels in and out, kernel height x width. Each is a
# convolution without bias and its batch norm; "bias" marks a plain convolution.
PUBLISHED = """
conv2d_1a 3 32 3x3
conv2d_2a 32 32 3x3
conv2d_2b 32 64 3x3
conv2d_3b 64 80 1x1
conv2d_4a 80 192 3x3
mixed_5b.branch0 192 96 1x1
mixed_5b.branch1.0 192 48 1x1
mixed_5b.branch1.1 48 64 5x5
mixed_5b.branch2.0 192 64 1x1
mixed_5b.branch2.1 64 96 3x3
mixed_5b.branch2.2 96 96 3x3
mixed_5b.branch3.1 192 64 1x1
repeat[10].branch0 320 32 1x1
repeat[10].branch1.0 320 32 1x1
repeat[10].branch1.1 32 32 3x3
repeat[10].branch2.0 320 32 1x1
repeat[10].branch2.1 32 48 3x3
repeat[10].branch2.2 48 64 3x3
repeat[10].conv2d 128 320 1x1 bias
mixed_6a.branch0 320 384 3x3
mixed_6a.branch1.0 320 256 1x1
mixed_6a.branch1.1 256 256 3x3
mixed_6a.branch1.2 256 384 3x3
repeat_1[20].branch0 1088 192 1x1
repeat_1[20].branch1.0 1088 128 1x1
repeat_1[20].branch1.1 128 160 1x7
repeat_1[20].branch1.2 160 192 7x1
repeat_1[20].conv2d 384 1088 1x1 bias
mixed_7a.branch0.0 1088 256 1x1
mixed_7a.branch0.1 256 384 3x3
mixed_7a.branch1.0 1088 256 1x1
mixed_7a.branch1.1 256 288 3x3
mixed_7a.branch2.0 1088 256 1x1
mixed_7a.branch2.1 256 288 3x3
mixed_7a.branch2.2 288 320 3x3
repeat_2[9].branch0 2080 192 1x1
repeat_2[9].branch1.0 2080 192 1x1
repeat_2[9].branch1.1 192 224 1x3
repeat_2[9].branch1.2 224 256 3x1
repeat_2[9].conv2d 448 2080 1x1 bias
block8.branch0 2080 192 1x1
block8.branch1.0 2080 192 1x1
block8.branch1.1 192 224 1x3
block8.branch1.2 224 256 3x1
block8.conv2d 448 2080 1x1 bias
conv2d_7b 2080 1536 1x1
"""
PARAMETERS = 55_843_464  # of the whole network with its 1000 classes


def published_shapes():
    shapes = {}
    for line in PUBLISHED.split("\n")[1:-1]:
        name, cin, cout, kernel, *bias = line.split()
        head, _, tail = name.partition("[")
        count, _, rest = tail.partition("]")
        names = [f"{head}.{i}{rest}" for i in range(int(count))] if count else [name]
        weight = (int(cout), int(cin), *(int(k) for k in kernel.split("x")))
        for each in names:
            if bias:
                shapes |= {f"{each}.weight": weight, f"{each}.bias": weight[:1]}
                continue
            shapes[f"{each}.conv.weight"] = weight
            for value in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{each}.bn.{value}"] = weight[:1]
            shapes[f"{each}.bn.num_batches_tracked"] = ()
    return shapes | {"classif.weight": (1000, 1536), "classif.bias": (1000,)}


SHAPES = published_shapes()


def random_state():
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in SHAPES.items():
        value = torch.rand(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(0)
        elif name.endswith("running_var"):
            value = 0.01 + 0.02 * value  # so small that batch norm's epsilon shows
        elif name.endswith("bn.weight"):
            value = 0.5 + value
        elif len(shape) == 4:
            value = (value - 0.5) * (0.6 / (shape[1] * shape[2] * shape[3]) ** 0.5)
        else:
            value = 0.2 * (value - 0.5)
        state[name] = value
    return state


class Published:
    """The published network in plain functions, at its own strides and paddings."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, stride=1, same=True):
        weight = self.state[f"{name}.conv.weight"]
        padding = [k // 2 for k in weight.shape[2:]] if same else 0
        x = functional.conv2d(x, weight, None, stride, padding)
        kinds = ("running_mean", "running_var", "weight", "bias")
        values = [self.state[f"{name}.bn.{kind}"] for kind in kinds]
        return functional.batch_norm(x, *values, eps=0.001).relu()

    def branch(self, x, name, stride=1):
        """One convolution or several; the stride is the last one's, which then has no padding."""
        steps = 0
        while f"{name}.{steps}.conv.weight" in self.state:
            steps += 1
        names = [f"{name}.{i}" for i in range(steps)] or [name]
        for each in names[:-1]:
            x = self.conv(x, each)
        return self.conv(x, names[-1], stride, same=stride == 1)

    def block(self, x, name, branches, scale, relu=True):
        parts = [self.branch(x, f"{name}.branch{i}") for i in range(branches)]
        weight, bias = self.state[f"{name}.conv2d.weight"], self.state[f"{name}.conv2d.bias"]
        x = x + scale * functional.conv2d(torch.cat(parts, 1), weight, bias)
        return x.relu() if relu else x

    def reduce(self, x, name, branches):
        parts = [self.branch(x, f"{name}.branch{i}", 2) for i in range(branches)]
        return torch.cat([*parts, functional.max_pool2d(x, 3, 2)], 1)

    def stem(self, x):
        x = self.conv(x, "conv2d_1a", 2, same=False)
        x = self.conv(x, "conv2d_2a", same=False)
        x = functional.max_pool2d(self.conv(x, "conv2d_2b"), 3, 2)
        x = self.conv(self.conv(x, "conv2d_3b"), "conv2d_4a", same=False)
        return functional.max_pool2d(x, 3, 2)

    def trunk(self, x):
        parts = [self.branch(x, f"mixed_5b.branch{i}") for i in range(3)]
        pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = torch.cat([*parts, self.conv(pooled, "mixed_5b.branch3.1")], 1)
        for i in range(10):
            x = self.block(x, f"repeat.{i}", 3, 0.17)
        x = self.reduce(x, "mixed_6a", 2)
        for i in range(20):
            x = self.block(x, f"repeat_1.{i}", 2, 0.10)
        x = self.reduce(x, "mixed_7a", 3)
        for i in range(9):
            x = self.block(x, f"repeat_2.{i}", 2, 0.20)
        return self.conv(self.block(x, "block8", 2, 1.0, relu=False), "conv2d_7b")


def on_meta(build, *args):
    """A network on the meta device, which has names and shapes only."""
    with torch.device("meta"):
        return build(*args)


@pytest.fixture(scope="module")
def published():
    with torch.inference_mode():
        yield Published(random_state())


@pytest.fixture(scope="module")
def loaded(published, tmp_path_factory):
    """Our cascade with the published weights, heads initialised to 3, and the report."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(published.state, path)
    model = on_meta(build_cascade, "inception-resnet-v2", 5).to_empty(device="cpu").eval()
    for tensor in model.heads.state_dict().values():
        tensor.fill_(3)
    report = load_imagenet(model, str(path))
    path.unlink()  # 220 MB
    return model, report


@pytest.fixture
def small(tmp_path):
    """Writes the changed published state dict as a small .pth: expanded zeros."""

    def write(name="weights.pth", **changes):
        zero = torch.zeros(())
        state = {key: zero.expand(shape) for key, shape in SHAPES.items()}
        for key, value in changes.items():
            if value is None:
                del state[key]
            else:
                state[key] = value
        torch.save(state, tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="module")
def cascade():
    return on_meta(build_cascade, "inception-resnet-v2", 5)


def test_the_reference_network_has_the_published_size():
    weights = [s for n, s in SHAPES.items() if n.split(".")[-1] in ("weight", "bias")]
    assert sum(torch.Size(shape).numel() for shape in weights) == PARAMETERS
    assert len([n for n in SHAPES if n.endswith("conv.weight")]) == 204
    assert len([n for n in SHAPES if n.endswith("conv2d.weight")]) == 40


def test_report_and_heads(loaded):
    model, report = loaded
    trunk = [s for n, s in SHAPES.items() if "classif" not in n and "tracked" not in n]
    assert report.values == sum(torch.Size(shape).numel() for shape in trunk)
    assert report.unused == ("classif.weight", "classif.bias")
    assert str(report).endswith(
        "model.safetensors: loaded 54.4 M values into the trunk; unused: classif.weight, "
        "classif.bias; heads unchanged"
    )
    assert all((tensor == 3).all() for tensor in model.heads.state_dict().values())


def test_the_stem_equals_the_published_one(loaded, published):
    """Ours on BGR from 0 to 255 equals the published one on RGB from -1 to 1.

    It pads nowhere, so its position i is the pixel 8 i + 13 and ours, cut at 5, has it at i + 1;
    what our padding reaches is left out.
    """
    preset = find_preset("inception-resnet-v2")
    rgb = torch.rand(1, 3, 107, 139, generator=torch.Generator().manual_seed(1))
    bgr = rgb.flip(1)[:, :, 5:, 5:] * 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preset.mean, preset.std))
    with torch.inference_mode():
        expected = published.stem((rgb - 0.5) / 0.5)
        result = loaded[0].stages[0][:7]((bgr - mean) / std)
    assert expected.shape[2:] == (11, 15)
    torch.testing.assert_close(
        result[:, :, 2:11, 2:15],
        expected[:, :, 1:10, 1:14],
        rtol=1e-4,
        atol=1e-4 * float(expected.max()),
    )


def test_the_trunk_equals_the_published_one(loaded, published):
    """From the stem on; the published positions are every fourth of ours, from the third."""
    x = torch.rand(1, 192, 7, 11, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = published.trunk(x)
        result = loaded[0].stages[0][7:](x)
        for stage in loaded[0].stages[1:]:
            result = stage(result)
    assert expected.shape == (1, 1536, 1, 2)
    assert expected.std() > 0.01
    torch.testing.assert_close(
        result[:, :, 3::4, 3::4], expected, rtol=1e-4, atol=1e-4 * float(expected.max())
    )


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "pytorch_model.bin"])
def test_pickles_of_tensors_load(small, name):
    model = on_meta(build_dense, "inception-resnet-v2", 5)
    state = {"classif.weight": None, "classif.bias": None}
    assert load_imagenet(model, small(name, **state)).unused == ()


def test_half_precision_and_no_counters_load(small, cascade):
    changes = {n: None for n in SHAPES if n.endswith("tracked")}
    changes["conv2d_1a.conv.weight"] = torch.zeros(32, 3, 3, 3, dtype=torch.float16)
    load_imagenet(cascade, small(**changes))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"repeat_1.7.branch1.1.conv.weight": None},
            r"lacks 'repeat_1\.7\.branch1\.1\.conv\.weight', expected \(160, 128, 1, 7\)",
        ),
        ({"block8.conv2d.bias": None}, r"lacks 'block8\.conv2d\.bias', expected \(2080,\)"),
        (
            {"mixed_5b.branch1.1.conv.weight": torch.zeros(64, 48, 3, 3)},
            r"branch1\.1\.conv\.weight' is float32 \(64, 48, 3, 3\), expected float \(64, 48, 5",
        ),
        (
            {"repeat.3.branch0.bn.running_var": torch.zeros(32, dtype=torch.int8)},
            r"'repeat\.3\.branch0\.bn\.running_var' is int8 \(32,\), expected float \(32,\)",
        ),
        (
            {"repeat.10.conv2d.bias": torch.zeros(320)},
            r"holds 'repeat\.10\.conv2d\.bias' \(320,\), which inception_resnet_v2 does not have",
        ),
        (
            {"block8.conv2d.num_batches_tracked": torch.tensor(0)},
            r"holds 'block8\.conv2d\.num_batches_tracked' \(\), which",
        ),
        ({"epoch": 3}, r"weights\.pth: not a dictionary of tensors"),
    ],
)
def test_a_wrong_tensor_is_named(cascade, small, changes, line):
    with pytest.raises(LcTrtError, match=line):
        load_imagenet(cascade, small(**changes))


def test_one_wrong_tensor_leaves_the_network_unchanged(loaded, small):
    model = loaded[0]
    before = model.stages[0][0].conv.weight.clone()
    with pytest.raises(LcTrtError, match="holds 'one_more'"):
        load_imagenet(model, small(one_more=torch.zeros(1)))
    assert torch.equal(model.stages[0][0].conv.weight, before)


class Code:
    """Creates a folder when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_code_in_a_file_does_not_run(cascade, tmp_path):
    trap = tmp_path / "trap"
    torch.save({"conv2d_1a.conv.weight": Code(str(trap))}, tmp_path / "weights.pth")
    with pytest.raises(LcTrtError, match=r"weights\.pth: .*more than tensors"):
        load_imagenet(cascade, str(tmp_path / "weights.pth"))
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.safetensors", b"no weights", "not a safetensors file"),
        ("a.pth", b"no weights", "unreadable, or holds more"),
        ("a.bin", b"", "unreadable, or holds more"),
        ("a.pth", None, "no such file"),
        ("inception_resnet_v2.safetensors", None, "no such file"),
        (
            "a.h5",
            b"",
            r"not ImageNet weights; expected a \.safetensors.*inception_resnet_v2\[\.TAG",
        ),
        ("resnet101", None, r"resnet101: not ImageNet weights"),
    ],
)
def test_unusable_weight_files_are_refused(cascade, tmp_path, name, content, line):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LcTrtError, match=line):
        load_imagenet(cascade, str(tmp_path / name))


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("inception_resnet_v2", "timm/inception_resnet_v2.tf_in1k"),
        ("inception_resnet_v2.tf_ens_adv_in1k", "timm/inception_resnet_v2.tf_ens_adv_in1k"),
        ("hf-hub:timm/inception_resnet_v2.tf_in1k", "timm/inception_resnet_v2.tf_in1k"),
        ("hf-hub:someone/tuned", "someone/tuned"),
    ],
)
def test_hub_names(cascade, small, monkeypatch, source, repository):
    requests, path = [], small()

    def hf_hub_download(*args):
        requests.append(args)
        return path

    fake = SimpleNamespace(hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    assert str(load_imagenet(cascade, source).path) == path
    assert requests == [(repository, "model.safetensors")]


def test_without_the_hub_package(cascade, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        LcTrtError, match=r"_v2: downloading needs huggingface_hub: pip install huggingface_hub"
    ):
        load_imagenet(cascade, "inception_resnet_v2")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("timm/inception_resnet_v2.tf_in1k", "find the requested files"),
        ("no name", "Repo id must use"),
    ],
)
def test_a_hub_out_of_reach_is_one_line(cascade, monkeypatch, tmp_path, name, reason):
    """huggingface_hub itself, in offline mode."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    line = rf"^hf-hub:{name}: cannot download model\.safetensors of {name} \(.*{reason}.*give the"
    with pytest.raises(LcTrtError, match=line) as caught:
        load_imagenet(cascade, f"hf-hub:{name}")
    assert "\n" not in str(caught.value)


def test_a_file_in_the_hubs_cache_needs_no_network(cascade, monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--timm--inception_resnet_v2.tf_in1k"
    commit = "0123456789abcdef" * 2 + "01234567"
    for folder, name, text in (
        ("refs", "main", commit),
        (f"snapshots/{commit}", "model.safetensors", "no weights"),
    ):
        (cache / folder).mkdir(parents=True)
        (cache / folder / name).write_text(text)
    with pytest.raises(LcTrtError, match=rf"{commit}/model\.safetensors: not a safetensors file"):
        load_imagenet(cascade, "inception_resnet_v2")


@pytest.mark.parametrize(
    ("build", "name"),
    [(build_cascade, "irnet"), (build_cascade, "irnet-small"), (build_dense, "resnet101")],
)
def test_no_weights_are_public_for_other_networks(build, name, small):
    line = "exist for preset inception-resnet-v2 only.*--preset inception-resnet-v2"
    with pytest.raises(UsageError, match=line):
        load_imagenet(on_meta(build, name, 5), small())
