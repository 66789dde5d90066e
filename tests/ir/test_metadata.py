"""Metadata of exchange models."""

from __future__ import annotations

import json
from dataclasses import replace

import onnx
import pytest

from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import (
    EncoderFacts,
    ModelInfo,
    decode_info,
    encode_info,
    read_info,
    write_info,
)

INFO = ModelInfo("cascade", "tiny", ("a", "b"), ((0, 0, 0), (1, 2, 3)), (30, 50), trained={"x": 1})


def test_metadata_survives_a_round_trip():
    assert decode_info(encode_info(INFO)) == INFO
    model = onnx.ModelProto()
    assert read_info(model) is None
    model.metadata_props.add(key="author", value="someone")
    write_info(model, INFO)
    write_info(model, INFO)
    assert read_info(model) == INFO
    assert [p.key for p in model.metadata_props] == ["author", "lc_trt"]


def test_metadata_of_another_format_is_refused():
    entry = json.loads(encode_info(INFO)) | {"format": 9}
    with pytest.raises(LcTrtError, match=r"has format 9, this lc-trt reads 1; export it again"):
        decode_info(json.dumps(entry))


ENCODER = EncoderFacts("e", (1.0, 2.0, 3.5), (4.0, 5.0, 6.0), "a package", "MIT")


def test_facts_of_an_encoder_survive_and_are_readable():
    info = replace(INFO, encoder=ENCODER)
    assert decode_info(encode_info(info)) == info
    assert ENCODER.weights == "a package (MIT)"
    assert ENCODER.normalisation == "(BGR - [1, 2, 3.5]) / [4, 5, 6]"
    assert replace(ENCODER, licence="").weights == "a package (licence not stated)"
    assert replace(ENCODER, source="").weights == "of no known source"


def test_files_from_before_encoders_load():
    entry = json.loads(encode_info(INFO))
    del entry["encoder"]
    assert decode_info(json.dumps(entry)) == INFO
