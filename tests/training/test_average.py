import pytest
import torch
from torch import nn

from lc_trt.model.layers import BatchNorm
from lc_trt.training.average import moving_average


def test_the_decay_ramps_up():
    model = nn.Linear(1, 1, bias=False)
    average = moving_average(model, 0.5)
    expected = None
    for n, value in enumerate([1.0, 3.0, -2.0, 5.0, 4.0, 7.0, 1.0, 9.0, 3.0, 8.0, 6.0, 2.0]):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_decay_0_copies_the_weights():
    model = nn.Linear(2, 2)
    average = moving_average(model, 0.0)
    for _ in range(3):
        with torch.no_grad():
            model.weight.normal_()
        average.update_parameters(model)
    assert torch.equal(average.module.weight, model.weight)


def test_batch_norms_statistics_are_averaged_too():
    norm = BatchNorm(2)
    average = moving_average(norm, 0.9)
    average.update_parameters(norm)
    norm.running_mean.fill_(1.0)
    average.update_parameters(norm)
    decay = 2 / 11
    torch.testing.assert_close(average.module.running_mean, torch.full((2,), 1 - decay))


def test_counters_are_copied():
    norm = nn.BatchNorm2d(2)
    average = moving_average(norm, 0.9)
    for count in (3, 7):
        norm.num_batches_tracked.fill_(count)
        average.update_parameters(norm)
        assert average.module.num_batches_tracked.item() == count
