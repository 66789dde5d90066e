"""Any ONNX file as a segmentation network in exchange form."""

from __future__ import annotations

from pathlib import Path

import channel_network
import numpy as np
import onnx
import pytest
import tiny_networks

from lc_trt.compiler.frontend.import_model import ImportOptions, import_model, is_plain
from lc_trt.compiler.frontend.wrap_dense import Normalisation
from lc_trt.data.classes import find_classes, numbered
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import MODEL_INFO
from lc_trt.ir.metadata import read_info

OWN = tiny_networks.INFO


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An ONNX file of `lc-trt export`."""
    onnx.save(tiny_networks.tiny_model(), tmp_path / "own.onnx")
    return tmp_path / "own.onnx"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A foreign ONNX file."""
    return channel_network.write_network(tmp_path / "plain.onnx")


def test_an_exchange_model_is_not_changed(own: Path) -> None:
    imported = import_model(own, ImportOptions(size=(64, 64)))
    assert imported.unchanged and not is_plain(own)
    assert imported.model == onnx.load(own)
    assert imported.info == OWN, "its size is its own"


def test_classes_replace_names_only(own: Path) -> None:
    classes = numbered(tiny_networks.CLASSES)
    imported = import_model(own, ImportOptions(classes=classes))
    assert (imported.info.classes, imported.info.colours) == (classes.names, classes.colours)
    assert imported.unchanged == (OWN.classes == classes.names and OWN.colours == classes.colours)
    with pytest.raises(UsageError, match=r"own.onnx: has 5 classes, --classes voc has 21"):
        import_model(own, ImportOptions(classes=find_classes("voc")))


def test_normalisation_of_an_exchange_model_is_refused(own: Path) -> None:
    with pytest.raises(UsageError, match=r"own.onnx: normalises inside its graph; omit"):
        import_model(own, ImportOptions(normalisation=Normalisation()))


def test_options_complete_a_plain_network(plain: Path) -> None:
    options = ImportOptions(
        channel_network.SIZE,
        numbered(channel_network.CLASSES),
        Normalisation(channel_network.MEAN, channel_network.STD, rgb=False),
    )
    imported = import_model(plain, options)
    assert is_plain(plain) and not imported.unchanged
    assert imported.info == read_info(imported.model)
    assert (imported.info.kind, imported.info.size) == ("dense", channel_network.SIZE)
    image = np.random.default_rng(0).integers(0, 256, (*channel_network.SIZE, 3), np.uint8)
    session = tiny_networks.session(imported.model)
    (labels,) = session.run(["labels"], {"image": image[None]})
    assert np.array_equal(labels[0], channel_network.right_labels(image))


def test_metadata_is_read_first(own: Path, plain: Path, tmp_path: Path) -> None:
    model = onnx.load(own)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(
        LcTrtError,
        match=r"bare.onnx: has the inputs and outputs of an exchange model",
    ):
        import_model(tmp_path / "bare.onnx")
    later = onnx.load(plain)
    later.metadata_props.add(key=MODEL_INFO, value='{"format": 99}')
    onnx.save(later, tmp_path / "later.onnx")
    with pytest.raises(LcTrtError, match=r"later.onnx: .*99"):
        import_model(tmp_path / "later.onnx")
