"""A data set of four classes of its own: coloured shapes on noisy ground."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CLASSES = ("ground", "disc", "square", "traffic cone")
COLOURS = ((90, 90, 90), (60, 60, 170), (170, 90, 60), (60, 150, 60))  # BGR


def draw_shapes(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image and its labels: a shape of every class at a random place."""
    height, width = size
    label = np.zeros(size, np.uint8)
    for kind in rng.permutation([1, 2, 3]):
        r = int(rng.integers(height // 7, height // 4))
        x, y = int(rng.integers(r, width - r)), int(rng.integers(r, height - r))
        if kind == 1:
            cv2.circle(label, (x, y), r, 1, -1)
        elif kind == 2:
            cv2.rectangle(label, (x - r, y - r), (x + r, y + r), 2, -1)
        else:
            corners = np.array([(x - r, y + r), (x + r, y + r), (x, y - r)], np.int32)
            cv2.fillPoly(label, [corners], (3,))
    image = np.array(COLOURS, np.float32)[label] + rng.normal(0, 25, (*size, 3))
    return np.clip(image, 0, 255).astype(np.uint8), label


def make_shapes(root: Path, train: int, val: int, size: tuple[int, int]) -> Path:
    """The data set in layout ``folder``, with ``classes.txt``; two classes have colours."""
    rng = np.random.default_rng(11)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            image, label = draw_shapes(rng, size)
            cv2.imwrite(str(root / split / "images" / f"{i:03}.png"), image)
            cv2.imwrite(str(root / split / "labels" / f"{i:03}.png"), label)
    colours = ["", ", 170, 60, 60", "", ", 60, 150, 60"]
    lines = [name + colour for name, colour in zip(CLASSES, colours, strict=True)]
    (root / "classes.txt").write_text("\n".join(lines) + "\n")
    return root
