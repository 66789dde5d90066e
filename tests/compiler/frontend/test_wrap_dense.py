"""Plain segmentation ONNX files become dense exchange models; others are refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from compilation import lowered
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import frames, run, session

from lc_trt.backends.load import open_onnx
from lc_trt.compiler.frontend.wrap_dense import Normalisation, wrap_plain
from lc_trt.data.classes import find_classes
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import read_info

SIZE = (48, 72)
PLAIN = Normalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), rgb=True)


def plain(
    *, shape=("n", 3, "h", "w"), stride=4, classes=3, opset=18, dtype=np.float32, kind="Conv"
) -> onnx.ModelProto:
    """One strided convolution from image to logits."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(classes, 3, 1, 1)).astype(dtype)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes, x = [], "pixels"
    if shape[1] != 3:
        nodes.append(helper.make_node("Transpose", ["pixels"], ["t"], perm=[0, 3, 1, 2]))
        x = "t"
    if kind == "Conv":
        nodes.append(helper.make_node("Conv", [x, "w"], ["logits"], strides=[stride, stride]))
        out = ["n", classes, None, None]
    else:
        nodes += [
            helper.make_node("Conv", [x, "w"], ["c"], strides=[stride, stride]),
            helper.make_node("GlobalAveragePool", ["c"], ["g"]),
            helper.make_node("Flatten", ["g"], ["logits"]),
        ]
        out = ["n", classes]
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("pixels", element, shape)],
        [helper.make_tensor_value_info("logits", element, out)],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def expected(images, stride, dtype=np.float32):
    """The same by hand in torch: RGB, normalised, upsampled, best class."""
    rgb = torch.from_numpy(images[..., ::-1].copy()).float()
    x = ((rgb - torch.tensor(PLAIN.mean)) / torch.tensor(PLAIN.std)).permute(0, 3, 1, 2)
    weight = np.random.default_rng(0).normal(size=(3, 3, 1, 1)).astype(dtype).astype(np.float32)
    logits = torch.nn.functional.conv2d(x, torch.from_numpy(weight), stride=stride)
    big = torch.nn.functional.interpolate(
        logits, images.shape[1:3], mode="bilinear", align_corners=False
    )
    return big.argmax(1).numpy(), logits.softmax(1).amax(1).numpy()


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"stride": 1}, {"shape": ("n", "h", "w", 3)}, {"shape": (2, 3, *SIZE)}, {"opset": 12}],
    ids=["dynamic", "full size", "channels last", "fixed", "opset 12"],
)
def test_a_plain_network_runs_as_a_dense_engine(backend, changes):
    model = wrap_plain(plain(**changes), "m.onnx", SIZE, PLAIN, None)
    info = read_info(model)
    assert info.kind == "dense" and info.classes == ("class0", "class1", "class2")
    compiled = lowered(model, backend, SIZE, 2).SerializeToString()
    images = frames(2, SIZE)
    labels, confidence = expected(images, changes.get("stride", 4))
    output = open_onnx(backend, compiled, threads=1).run(images)
    assert (output.labels == labels).mean() > 0.999
    np.testing.assert_allclose(output.confidence, confidence, atol=1e-4)


def test_half_precision_networks_run():
    model = wrap_plain(plain(dtype=np.float16), "m.onnx", SIZE, PLAIN, None)
    images = frames(1, SIZE)
    labels, confidence = expected(images, 4, np.float16)
    output = run(session(model), images, None)
    assert (output["labels"] == labels).mean() > 0.98
    np.testing.assert_allclose(output["confidence"], confidence, atol=0.02)


def test_bgr_networks_get_their_channels_unswapped():
    images = frames(1, SIZE)
    swapped = wrap_plain(plain(), "m", SIZE, Normalisation(PLAIN.mean, PLAIN.std, rgb=False), None)
    straight = wrap_plain(plain(), "m", SIZE, PLAIN, None)
    a = run(session(swapped), np.ascontiguousarray(images[..., ::-1]), None)
    b = run(session(straight), images, None)
    assert np.array_equal(a["labels"], b["labels"])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_networks_of_the_torch_exporter_are_wrapped(tmp_path):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 4, 1),
    ).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        network, (torch.zeros(1, 3, *SIZE),), path, dynamo=True, verbose=False,
        input_names=["x"], output_names=["out"],
    )  # fmt: skip
    model = wrap_plain(onnx.load(path), "net.onnx", SIZE, PLAIN, None)
    images = frames(1, SIZE)
    x = torch.from_numpy(images[..., ::-1].copy()).float()
    x = ((x - torch.tensor(PLAIN.mean)) / torch.tensor(PLAIN.std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        confidence = network(x).softmax(1).amax(1).numpy()
    compiled = lowered(model, "openvino", SIZE, 1).SerializeToString()
    output = open_onnx("openvino", compiled, threads=1).run(images)
    np.testing.assert_allclose(output.confidence, confidence, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "classifier"}, "not a segmentation network: outputs logits"),
        ({"shape": ("n", 1, "h", "w")}, "input 'pixels' is FLOAT"),
        ({"shape": (1, 3, 64, 64)}, "fixed at 64x64, not 48x72; use --size 64x64"),
        ({"classes": 1}, "not a segmentation network: outputs logits"),
    ],
    ids=["classifier", "grey", "other size", "one class"],
)
def test_unsupported_networks_are_a_one_line_error(changes, message):
    if changes.get("shape", ("", 3))[1] == 1:
        model = plain()
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    else:
        model = plain(**changes)
    with pytest.raises(LcTrtError, match=message) as error:
        wrap_plain(model, "m.onnx", SIZE, PLAIN, None)
    assert str(error.value).startswith("m.onnx: ") and "\n" not in str(error.value)


def test_the_number_of_classes_must_fit():
    with pytest.raises(LcTrtError, match="has 3 classes, --classes voc has 21"):
        wrap_plain(plain(), "m.onnx", SIZE, PLAIN, find_classes("voc"))


def test_a_network_with_two_inputs_is_refused():
    model = plain()
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(LcTrtError, match=r"2 inputs \(pixels, mask\)"):
        wrap_plain(model, "m.onnx", SIZE, PLAIN, None)


def test_node_names_are_made_unique() -> None:
    # ONNX asks for no names; passes tell nodes apart by them.
    source = plain()
    for node in source.graph.node:
        node.name = ""
    names = [n.name for n in wrap_plain(source, "m.onnx", SIZE, PLAIN, None).graph.node]
    assert "" not in names and len(set(names)) == len(names)
