"""Sweeps of exit rules against the cascade itself, and what every curve must be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_checkpoints import build_tiny, save_tiny
from tiny_training import make_tree

from lc_trt.data.classes import find_classes
from lc_trt.data.datasets import Dataset, open_dataset
from lc_trt.data.metrics import Confusion, stage_shares
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.exit_curves import ORACLE, ExitCurve, ExitPoint, compare_rules
from lc_trt.model.exits import FITTED, RULES
from lc_trt.model.network import NetworkSpec
from lc_trt.training.normalise import Normalise
from lc_trt.training.trained_network import TrainedNetwork, open_network

SIZE = (64, 96)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_tree(tmp_path_factory.mktemp("data") / "data", val=3)
    return open_dataset("folder", root, "val", find_classes("3"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainedNetwork]:
    with pytest.MonkeyPatch.context() as patch:
        build_tiny(patch)
        path = tmp_path_factory.mktemp("weights") / "w.safetensors"
        yield open_network(save_tiny(path, fitted_rules=FITTED))


@pytest.fixture(scope="module")
def curves(network: TrainedNetwork, samples: Dataset) -> dict[str, ExitCurve]:
    found = compare_rules(network, samples, SIZE, lambda _, two, three: 0.5 + two / 4 + three / 4)
    return {curve.rule: curve for curve in found}


def test_every_rule_and_the_oracle_have_a_curve(curves: dict[str, ExitCurve]) -> None:
    assert list(curves) == [*RULES, ORACLE]
    rhos = {tuple(point.rho for point in curve.points) for curve in curves.values()}
    assert len(rhos) == 1
    (along,) = rhos
    assert along == tuple(sorted(along)) and along[-1] == 1


def test_a_curve_ends_with_the_whole_network(curves: dict[str, ExitCurve]) -> None:
    for curve in curves.values():
        last = curve.points[-1]
        assert (last.shares, last.changed, last.operations) == ((0, 0, 1), 0, 1)
        assert last.miou == curves["largest"].points[-1].miou


def test_more_cells_go_on_at_higher_thresholds(curves: dict[str, ExitCurve]) -> None:
    for curve in curves.values():
        passed = [point.passed for point in curve.points]
        assert (np.diff([two for two, _ in passed]) > -1e-9).all()
        for point in curve.points:
            two, three = point.passed
            assert point.operations == pytest.approx(0.5 + two / 4 + three / 4)


@pytest.mark.parametrize("rule", RULES)
def test_points_are_those_of_the_cascade(
    rule: str, network: TrainedNetwork, samples: Dataset, curves: dict[str, ExitCurve]
) -> None:
    model, prepare = network.model, Normalise(*network.spec.normalisation)
    model.exit_rules.chosen = rule
    for point in curves[rule].points[4:-1:9]:
        confusion, changed, shares = Confusion(3), [], []
        for sample in samples:
            x = prepare(sample.image[None])
            with torch.inference_mode():
                output, whole = model(x, (point.rho, point.rho)), model(x, (1, 1))
            labels, reference = (
                model.upsample(o.probabilities, SIZE).argmax(1)[0].numpy().astype(np.uint8)
                for o in (output, whole)
            )
            confusion.add(labels, sample.label)
            changed.append(np.mean(labels != reference))
            shares.append(stage_shares(output.stages.numpy()))
        assert_allclose(point.changed, np.mean(changed), atol=1e-3)
        assert_allclose(point.shares, np.mean(shares, 0), atol=1e-3)
        assert_allclose(point.miou, confusion.miou(), atol=1e-3)
    model.exit_rules.chosen = "largest"


def test_no_rule_changes_fewer_labels_than_the_oracle(curves: dict[str, ExitCurve]) -> None:
    oracle = curves[ORACLE].points
    passed = [point.operations for point in oracle]
    changed = [point.changed for point in oracle]
    for rule in RULES:
        for point in curves[rule].points:
            least = np.interp(point.operations, passed, changed)
            assert point.changed >= least - 1e-9


def test_images_are_brought_to_the_networks_size(
    network: TrainedNetwork, samples: Dataset, curves: dict[str, ExitCurve]
) -> None:
    (other, *_) = compare_rules(network, samples, (40, 52), lambda *_: 1)
    assert other.points[-1].miou != curves["largest"].points[-1].miou


def test_a_network_whose_later_stages_have_one_stride_is_compared_too(samples: Dataset) -> None:
    spec = NetworkSpec("irnet-small")
    torch.manual_seed(0)
    network = TrainedNetwork(spec.build(3).eval(), spec, find_classes("3"), {})
    found = compare_rules(network, samples, SIZE, lambda *_: 1)
    assert [curve.rule for curve in found] == [r for r in RULES if r not in FITTED] + [ORACLE]
    assert all(curve.points[-1].changed == 0 for curve in found)


def test_images_without_labels_are_refused(network: TrainedNetwork, samples: Dataset) -> None:
    class Unlabelled(list):
        classes = 3

    blank = Unlabelled([samples[0].__class__("a", samples[0].image, samples[0].label * 0 + 255)])
    with pytest.raises(LcTrtError, match="no labelled pixel in 1 images"):
        compare_rules(network, blank, SIZE, lambda *_: 1)


def point(changed: float, passed: float, miou: float) -> ExitPoint:
    return ExitPoint(1 - changed, (1 - passed, 0, passed), passed, changed, miou)


def test_a_crossing_is_interpolated() -> None:
    curve = ExitCurve("largest", (point(0.04, 0.1, 0.5), point(0.02, 0.3, 0.6), point(0, 1, 0.7)))
    found = curve.at(0.03)
    assert found is not None
    assert found.passed == pytest.approx((0.2, 0.2)) and found.operations == pytest.approx(0.2)
    assert found.lost == pytest.approx(0.15)
    assert curve.at(0.05) is None
    whole = curve.at(0)
    assert whole is not None and whole.passed == (1, 1) and whole.lost == 0
