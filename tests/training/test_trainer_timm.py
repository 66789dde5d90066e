"""A network of timm's as the encoder of a cascade: trained, resumed, exported, built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_networks import session
from tiny_training import tiny_config
from torchvision_operators import require_timm

from lc_trt.cli.app import main
from lc_trt.ir.metadata import read_info
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import load_into, load_weights
from lc_trt.training.export import export_file
from lc_trt.training.normalise import Normalise
from lc_trt.training.trainer import Trainer

NAME = "test_resnet"


@pytest.mark.slow
def test_a_network_of_timm_goes_all_the_way(tree: Path, tmp_path: Path) -> None:
    require_timm()
    import timm

    torch.manual_seed(1)
    state = timm.create_model(NAME).state_dict()
    torch.save(state, tmp_path / "timm.pth")
    encoder = {"name": NAME, "weights": str(tmp_path / "timm.pth"), "frozen": 8}
    config = tiny_config(tree, encoder=encoder, cascade=None, ema=0.5)
    trainer = Trainer(config, tmp_path / "run")
    trainer.run(lambda: trainer.step >= 2)
    trainer = Trainer(config, tmp_path / "run")
    trainer.run()
    assert trainer.step == 3 and trainer.skipped == 0
    weights, metadata = load_weights(trainer.best_path)
    assert metadata["encoder"] == NAME
    assert metadata["pretrained"] == {"source": "timm.pth", "licence": ""}
    first, last = "encoder.network.conv1.0.weight", "encoder.network.layer4.0.conv1.weight"
    assert torch.equal(weights[first], state["conv1.0.weight"])
    assert not torch.equal(weights[last], state["layer4.0.conv1.weight"])

    info = export_file(tmp_path / "m.onnx", checkpoint=trainer.best_path, size=(64, 96))
    model = onnx.load(tmp_path / "m.onnx")
    assert read_info(model) == info
    assert info.encoder is not None and info.encoder.source == "timm.pth"
    spec = NetworkSpec.from_metadata(metadata)
    network = spec.build(3).eval()
    load_into(network, trainer.best_path)
    prepare = Normalise(*spec.normalisation)
    for size in ((64, 96), (45, 61)):
        image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
        rho = np.array([0.4, 0.4], np.float32)
        (confidence,) = session(model).run(["confidence"], {"image": image, "rho": rho})
        with torch.inference_mode():
            expected = network(prepare(image), rho.tolist()).confidence[:, 0]
        np.testing.assert_allclose(confidence, expected, atol=1e-4)
    assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
    assert main(["build", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.lct")]) == 0
