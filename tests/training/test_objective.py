import pytest
import torch
from tiny_encoder import tiny_encoder_cascade
from tiny_training import TINY

from lc_trt.model.baselines.ddrnet import DDRNet
from lc_trt.model.cascade import Cascade
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.presets import initialise
from lc_trt.training.config import Phase
from lc_trt.training.losses import (
    cross_entropy,
    deep_losses,
    distillation_loss,
    resize_for_loss,
)
from lc_trt.training.objective import TeacherTarget, objective
from lc_trt.training.peer_losses import peer_losses


@pytest.fixture
def model():
    torch.manual_seed(0)
    trunk = TINY.trunk(TINY.blocks, TINY.width)
    return initialise(Cascade(trunk, 3, "plain", 8)).eval()


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randn(2, 3, 40, 52), torch.randint(0, 3, (2, 40, 52), dtype=torch.uint8)


def phase(loss, **values):
    return Phase.model_validate({"loss": loss, "epochs": 1, **values})


def of_stage(model, batch, stage):
    return cross_entropy(*resize_for_loss(model.deep(batch[0])[stage], batch[1]), None)


def test_final_learns_from_the_last_stage_alone(model, batch):
    result = objective(model, *batch, phase("final"), None)
    torch.testing.assert_close(result.total, of_stage(model, batch, 2))
    assert [float(part.detach()) for part in result.stage_losses[:2]] == [0, 0]
    assert result.shares is None
    result.total.backward()
    assert all(p.grad is None for head in (0, 1) for p in model.heads[head].parameters())


def test_a_peer_has_the_terms_of_its_own_loss(batch):
    torch.manual_seed(0)
    peer = initialise(DDRNet(3, width=4)).eval()
    result = objective(peer, *batch, phase("published"), None)
    expected = peer_losses(peer.supervised(batch[0]), batch[1], None)
    assert result.names == ("main", "auxiliary") and result.shares is None
    torch.testing.assert_close(result.total, expected["main"] + 0.4 * expected["auxiliary"])
    torch.testing.assert_close(result.stage_losses, list(expected.values()))


def test_deep_is_the_weighted_sum_of_all_stages(model, batch):
    result = objective(model, *batch, phase("deep"), None)
    expected = sum(w * of_stage(model, batch, s) for s, w in enumerate((0.2, 0.2, 1.0)))
    torch.testing.assert_close(result.total, expected)
    other = objective(model, *batch, phase("deep", weights=[1, 0, 0]), None)
    torch.testing.assert_close(other.total, of_stage(model, batch, 0))


def test_without_exits_the_cascade_loss_is_weighted_deep_supervision(model, batch):
    result = objective(model, *batch, phase("cascade", exit={"rho": [1, 1]}), None)
    expected = sum(w * of_stage(model, batch, s) for s, w in enumerate((0.33, 0.33, 0.8 + 0.2)))
    torch.testing.assert_close(result.total, expected, rtol=1e-4, atol=1e-5)
    assert result.shares == [0, 0, 1]


def test_stage_3_is_also_trained_where_all_pixels_leave(model, batch):
    """The loss on all pixels trains later stages even when no pixel reaches them."""
    everyone = {"exit": {"rho": [0, 0]}}
    result = objective(model, *batch, phase("cascade", **everyone), None)
    assert result.shares == [1, 0, 0]
    assert [float(part.detach()) for part in result.stage_losses[1:]] == [0, 0]
    result.total.backward()
    for stage in (1, 2):
        assert max(p.grad.abs().max() for p in model.stages[stage].parameters()) > 0
    model.zero_grad()
    objective(model, *batch, phase("cascade", final_on_all=0, **everyone), None).total.backward()
    for stage in (1, 2):
        assert max(p.grad.abs().max() for p in model.stages[stage].parameters()) == 0


def test_a_share_of_the_batch_is_representative(model, batch):
    half = phase("cascade", exit={"rho": [0, 0]}, final_on_all_part=0.5)
    result = objective(model, *batch, half, None)
    first = of_stage(model, (batch[0][:1], batch[1][:1]), 2)
    torch.testing.assert_close(result.total, 0.33 * result.stage_losses[0] + 0.2 * first)


def test_pixels_may_exit_by_the_probability_of_the_true_class(model, batch):
    x, label = batch
    with torch.no_grad():
        probabilities = model.deep(x)[0].softmax(1)
    largest = float(probabilities.amax(1).min())
    label[:] = probabilities.mean((0, 2, 3)).argmin().to(torch.uint8)  # the least likely class
    exits = {"rho": [largest * 0.999, 0.999]}
    by_largest = objective(model, x, label, phase("cascade", exit=exits), None)
    by_truth = objective(model, x, label, phase("cascade", exit={**exits, "by": "truth"}), None)
    assert by_largest.shares[0] == 1
    true = probabilities[:, int(label[0, 0, 0])]
    assert by_truth.shares[0] == pytest.approx(float((true > exits["rho"][0]).float().mean()))
    label[:] = 255  # nobody knows their class: the largest decides
    nobody = objective(model, x, label, phase("cascade", exit={**exits, "by": "truth"}), None)
    assert nobody.shares[0] == 1


def test_labels_are_sampled_at_the_centre_of_each_feature_pixel(model):
    """40 x 52 pixels are 5 x 7 feature pixels; the centre of the last column is the last pixel."""
    x = torch.randn(1, 3, 40, 52)
    with torch.no_grad():
        probabilities = model.deep(x)[0].softmax(1)
    best = probabilities.argmax(1)[0]
    label = torch.full((1, 40, 52), 255, dtype=torch.uint8)
    for i in range(5):
        for j in range(7):
            wrong = (best[i, j] + 1) % 3 if (i, j) == (2, 6) else best[i, j]
            label[0, 8 * i + 4, min(8 * j + 4, 51)] = wrong
    rho = float(probabilities.amax(1).min()) * 0.999
    true = {"by": "truth", "rho": [rho, 1]}
    result = objective(model, x, label, phase("cascade", exit=true), None)
    second = float(probabilities[0, int((best[2, 6] + 1) % 3), 2, 6])
    stays = 0 if second > rho else 1
    assert result.shares[0] == pytest.approx(1 - stays / 35)


@pytest.mark.parametrize("loss", ["final", "deep", "cascade"])
def test_the_teacher_covers_every_stage_and_unlabelled_pixels(model, batch, loss):
    x, label = batch
    teacher = TeacherTarget(torch.rand(2, 3, 5, 7).softmax(1), 0.5)
    here = phase(loss, exit={"rho": [1, 1]}, final_on_all=0)
    plain = objective(model, x, label, here, None)
    result = objective(model, x, label, here, None, teacher=teacher)
    away = [0.5 * distillation_loss(one, teacher.probabilities) for one in model.deep(x)]
    if loss == "final":
        away[:2] = [torch.zeros(()), torch.zeros(())]
    for part, before, more in zip(result.stage_losses, plain.stage_losses, away, strict=True):
        torch.testing.assert_close(part, before + more, rtol=1e-4, atol=1e-5)
    unknown = objective(model, x, torch.full_like(label, 255), here, None, teacher=teacher)
    torch.testing.assert_close(
        torch.stack(unknown.stage_losses), torch.stack(away), rtol=1e-4, atol=1e-5
    )


def test_the_teacher_is_masked_in_later_stages_where_pixels_left(model, batch):
    teacher = TeacherTarget(torch.rand(2, 3, 5, 7).softmax(1), 1.0)
    here = phase("cascade", exit={"rho": [0, 0]}, final_on_all=1.0, final_on_all_part=0.5)
    result = objective(model, *batch, here, None, teacher=teacher)
    assert [float(part.detach()) for part in result.stage_losses[1:]] == [0, 0]
    first = TeacherTarget(teacher.probabilities[:1], 1.0)
    dense = objective(model, batch[0][:1], batch[1][:1], phase("final"), None, teacher=first)
    torch.testing.assert_close(result.total, 0.33 * result.stage_losses[0] + dense.total)


@pytest.mark.parametrize("form", [Neighbours.ZEROS, Neighbours.STAND_IN])
def test_stages_of_two_strides_are_trained_with_exits(form, batch):
    model = tiny_encoder_cascade(3, neighbours=form)
    x, label = batch
    everyone = objective(model, x, label, phase("cascade", exit={"rho": [1, 1]}), None)
    expected = deep_losses(model.deep(x), label, None, model.strides)
    torch.testing.assert_close(torch.stack(everyone.stage_losses), torch.stack(expected))
    part = sum(w * loss for w, loss in zip((0.33, 0.33, 0.8 + 0.2), expected, strict=True))
    torch.testing.assert_close(everyone.total, part)
    with torch.no_grad():
        rho = float(model.probabilities(model.deep(x)[0], 1).amax(1).median())
    some = objective(model, x, label, phase("cascade", exit={"rho": [rho, 1]}), None)
    assert 0 < some.shares[0] < 1
    assert some.stage_losses[1] != everyone.stage_losses[1]
