import pytest

from lc_trt.errors import UsageError
from lc_trt.training.config import TrainConfig


def test_as_dict_is_what_json_gives_back():
    import json

    values = TrainConfig(data="x").as_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["crop"] == [192, 256]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deep_epochs": 0, "cascade_epochs": 0}, r"epochs \(0, 0\)"),
        ({"deep_epochs": -1}, "epochs"),
        ({"batch": 0}, "batch 0: expected 1 or more"),
        ({"crop": (16, 64)}, r"crop \(16, 64\): expected 32 pixels"),
        ({"scale": (1.5, 0.5)}, r"scale \(1.5, 0.5\)"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"aspect": 0.9}, "aspect 0.9: expected 1 or more"),
        ({"rate": 0.0}, "learning rate"),
        ({"cascade_rate": float("nan")}, "learning rate"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        TrainConfig(data="x", **change)
