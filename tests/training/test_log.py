"""The log, read as TensorBoard does: TFRecords of Event messages."""

import pytest
from tensorboard_events import events, scalars
from tensorboardX.proto.event_pb2 import SessionLog

from lc_trt.training.log import Log, StepReport


def test_steps_and_validations_are_logged_by_step(tmp_path):
    log = Log(tmp_path, 1)
    log.step(StepReport("deep", 1, 2, [1.0, 2.0, 3.0], None, 0.1, 0, 1.0))
    log.step(StepReport("cascade", 2, 2, [0.5, 1.0, 1.5], [0.5, 0.3, 0.2], 0.05, 0, 0.0))
    log.validation(2, {"miou": 0.25}, [0.4, 0.4, 0.2])
    log.close()
    found = scalars(tmp_path)
    assert found[1, "loss/stage3"] == 3.0
    assert found[2, "loss/stage1"] == 0.5
    assert found[2, "rate"] == pytest.approx(0.05)
    assert found[2, "train_left/stage2"] == pytest.approx(0.3)
    assert found[2, "val/miou"] == 0.25
    assert found[2, "val_left/stage1"] == pytest.approx(0.4)
    assert (1, "train_left/stage1") not in found


def test_losses_are_logged_by_name_and_stages_may_be_absent(tmp_path):
    log = Log(tmp_path, 1)
    names = ("main", "at boundaries")
    log.step(StepReport("published", 1, 2, [1.0, 2.0], None, 0.1, 0, 1.0, names))
    log.validation(1, {"miou": 0.25}, None)
    log.close()
    tags = {tag for _, tag in scalars(tmp_path)}
    assert tags == {"loss/main", "loss/at_boundaries", "rate", "val/miou"}


def test_a_resumed_run_replaces_repeated_steps(tmp_path):
    Log(tmp_path, 1).close()
    Log(tmp_path, 5).close()
    starts = [e.step for e in events(tmp_path) if e.session_log.status == SessionLog.START]
    assert starts == [1, 5]
