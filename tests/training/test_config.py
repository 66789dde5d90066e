import json

import pytest
import yaml
from pydantic import ValidationError

from lc_trt.training.config import Phase, Section, TrainConfig
from lc_trt.training.config_file import fields

RUN = {"phases": [{"loss": "deep", "epochs": 1}]}


def make(**changes):
    return TrainConfig.model_validate({**RUN, **changes})


def phase(**changes):
    return {"phases": [{"loss": "deep", "epochs": 1, **changes}]}


def test_as_dict_survives_json_and_yaml():
    values = make().as_dict()
    assert json.loads(json.dumps(values)) == values
    assert yaml.safe_load(yaml.safe_dump(values)) == values
    assert TrainConfig.model_validate(values) == make()
    assert values["augment"]["crop"] == [320, 416]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"phases": []}, "phases"),
        (phase(epochs=0), "phases.0.epochs"),
        (phase(loss="wide"), "phases.0.loss"),
        (phase(name="../x"), "phases.0.name"),
        (phase(weights=[1, 1]), "phases.0.weights.2"),
        (phase(exit={"rho": [0.5, 1.5]}), "phases.0.exit.rho.1"),
        (phase(optimizer={"rate": 0}), "phases.0.optimizer.rate"),
        (phase(optimizer={"rate": float("nan")}), "phases.0.optimizer.rate"),
        (phase(optimizer={"name": "lion"}), "phases.0.optimizer.name"),
        (phase(schedule={"gamma": 0}), "phases.0.schedule.gamma"),
        ({"batch": 0}, "batch"),
        ({"augment": {"crop": [16, 64]}}, "augment.crop.0"),
        ({"augment": {"scale": [0, 1]}}, "augment.scale.0"),
        ({"augment": {"scale": [1.5, 0.5]}}, "augment.scale"),
        ({"augment": {"focus_scale": [3, 2]}}, "augment.focus_scale"),
        ({"distil": {"scale": [3, 2]}}, "distil.scale"),
        ({"augment": {"aspect": 0.9}}, "augment.aspect"),
        ({"augment": {"jitter": 1}}, "augment.jitter"),
        ({"ema": 1}, "ema"),
        ({"precision": "fp8"}, "precision"),
        ({"colour": 1}, "colour"),
        ({"data": {"folder": "x"}}, "data.folder"),
    ],
)
def test_invalid_configurations_are_refused(change, place):
    with pytest.raises(ValidationError) as caught:
        make(**change)
    assert ".".join(str(key) for key in caught.value.errors()[0]["loc"]) == place


def test_phases_need_distinct_names():
    twice = [{"loss": "deep", "epochs": 1}, {"loss": "deep", "epochs": 2}]
    with pytest.raises(ValidationError, match="two phases are called 'deep'"):
        make(phases=twice)
    twice[1]["name"] = "longer"
    assert [p.title for p in make(phases=twice).phases] == ["deep", "longer"]


def test_init_and_imagenet_exclude_each_other():
    with pytest.raises(ValidationError, match="init and imagenet: expected one of them"):
        make(init="a", imagenet="b")


@pytest.mark.parametrize(
    ("loss", "weights"),
    [("final", (0, 0, 1)), ("deep", (0.2, 0.2, 1)), ("cascade", (0.33, 0.33, 0.8))],
)
def test_the_papers_weights_are_the_default(loss, weights):
    assert Phase(loss=loss, epochs=1).stage_weights == weights
    assert Phase(loss=loss, epochs=1, weights=(1, 2, 3)).stage_weights == (1, 2, 3)


def test_every_field_is_documented():
    names = [name for name, _, meaning in fields() if not meaning]
    assert names == []
    assert {"data.layout", "phases.N.exit.rho", "batch"} <= {name for name, _, _ in fields()}
    for section in Section.__subclasses__():
        assert section.__doc__
