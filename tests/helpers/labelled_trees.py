"""Folders of labelled images, as small as they can be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lc_trt.data.classes import IGNORE


def folder_tree(root: Path) -> Path:
    """ROOT/train with a JPEG and a PNG, ROOT/val with one image."""
    for split, names in (("train", ("b.jpg", "a.PNG")), ("val", ("c.webp",))):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for name in names:
            image = np.full((8, 12, 3), ord(name[0]), np.uint8)
            cv2.imwrite(str(root / split / "images" / name), image)
            label = np.full((8, 12), ord(name[0]) - ord("a"), np.uint8)
            label[0] = IGNORE
            cv2.imwrite(str(root / split / "labels" / f"{name[0]}.png"), label)
    (root / "train" / "images" / "notes.txt").write_text("no image")
    (root / "runs").mkdir()
    return root
