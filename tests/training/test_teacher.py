"""Teacher probabilities, and networks that are rejected as teachers."""

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import INFO, frames, run, session, tiny_model
from tiny_training import make_tree, tiny_config

from lc_trt.data.classes import IGNORE, numbered
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.training.config_file import read_config
from lc_trt.training.teacher import Teacher
from lc_trt.training.trainer import Trainer

SIZE = (64, 64)


def colours(path, classes=3, softmax=False):
    """A plain network: one class per image channel, at a quarter of the size."""
    weight = np.zeros((classes, 3, 1, 1), np.float32)
    weight[:3, :, 0, 0] = np.eye(3)[: min(classes, 3)]
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], strides=[4, 4])]
    graph = helper.make_graph(
        nodes, "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes, "a", "b"])],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def test_logits_of_a_plain_network_become_probabilities(tmp_path):
    teacher = Teacher(colours(tmp_path / "t.onnx"), numbered(3), 2, SIZE)
    images = frames(2, SIZE)
    probabilities = teacher(images)
    assert probabilities.shape == (2, 3, 16, 16) and probabilities.dtype == np.float32
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    scores = (images[:, ::4, ::4, ::-1] - mean) / std
    expected = torch.from_numpy(scores).softmax(3).permute(0, 3, 1, 2).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_a_cascade_teaches_by_its_last_head(tmp_path):
    onnx.save(tiny_model(), tmp_path / "t.onnx")
    teacher = Teacher(tmp_path / "t.onnx", numbered(len(INFO.classes)), 1, SIZE)
    images = frames(1, SIZE)
    confidence = teacher(images).max(1)
    expected = run(session(tiny_model()), images, (2, 2))["confidence"]
    np.testing.assert_allclose(confidence.reshape(expected.shape), expected, atol=1e-5)


def test_unsuitable_teachers_are_rejected(tmp_path):
    with pytest.raises(LcTrtError, match=r"t\.onnx: the teacher has 4 classes, expected 3"):
        Teacher(colours(tmp_path / "t.onnx", classes=4), numbered(3), 1, SIZE)
    with pytest.raises(LcTrtError, match=r"none\.onnx"):
        Teacher(tmp_path / "none.onnx", numbered(3), 1, SIZE)


def test_unlabelled_images_need_a_teacher(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("distil: {unlabelled: photos}\nphases: [{loss: deep, epochs: 1}]\n")
    with pytest.raises(UsageError, match="unlabelled images need a teacher"):
        read_config(path)


def test_a_run_learns_what_only_the_teacher_knows(tmp_path):
    """Training labels are all void: what is learned comes from the teacher."""
    teacher = colours(tmp_path / "t.onnx")
    tree = make_tree(tmp_path / "data")
    for path in (tree / "train" / "labels").iterdir():
        cv2.imwrite(str(path), np.full((64, 96), IGNORE, np.uint8))
    distil = {
        "teacher": str(teacher), "unlabelled": str(tree / "val" / "images"), "part": 0.5,
        "weight": 2.0,
    }  # fmt: skip
    config = tiny_config(tree, distil=distil, deep={"epochs": 12}, cascade=None)
    losses = []
    trainer = Trainer(config, tmp_path / "run", on_step=lambda p: losses.append(sum(p.losses)))
    assert trainer.batches.unlabelled_count == 1
    trainer.run()
    images, _ = trainer.batches[0]
    taught = trainer.loss.teacher(images).argmax(1)
    model = trainer.updates.average.module.eval()
    with torch.no_grad():
        labels = model.deep(trainer.loss.to_input(images))[-1].argmax(1).numpy()
    assert losses[-1] < losses[0]
    assert (labels == taught[:, ::2, ::2][:, : labels.shape[1], : labels.shape[2]]).mean() > 0.6
