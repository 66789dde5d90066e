"""Linear stand-ins for what a region's neighbours would have computed, fitted to dense maps."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.layers import Conv, double

PENALTY = 1e-3  # of squared weights, in units of the inputs' mean variance


class RidgeRegression:
    """Least squares with a penalty on squared weights, accumulated over maps.

    Minimises ``mean |W x + b - y|^2 + penalty * v * |W|^2`` over all pixels, v the mean variance
    of the inputs (A. Hoerl, R. Kennard, 1970); b has no penalty.

    Args:
        inputs: number of input channels C.
        targets: number of target channels K.
        penalty: see above.
    """

    def __init__(self, inputs: int, targets: int, penalty: float = PENALTY) -> None:
        self.penalty, self.count = penalty, 0
        self._x, self._y, self._yy = (torch.zeros(n).double() for n in (inputs, targets, targets))
        self._xx = torch.zeros(inputs, inputs).double()
        self._xy = torch.zeros(inputs, targets).double()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add maps.

        Args:
            x: inputs, float [N, C, H, W].
            y: targets, float [N, K, H, W].
        """
        # Products in the maps' own type, sums of them in float64.
        x, y = (m.detach().movedim(1, -1).flatten(0, -2) for m in (x, y))
        self.count += len(x)
        for total, part in (
            (self._x, x.sum(0)),
            (self._y, y.sum(0)),
            (self._yy, y.square().sum(0)),
            (self._xx, x.T @ x),
            (self._xy, x.T @ y),
        ):
            total += part.cpu()

    def solve(self) -> tuple[Tensor, Tensor, float]:
        """Solve for the weights.

        Returns:
            Weights, float32 [K, C], biases, float32 [K], and the share of the targets' variance
            that they explain on the maps added, at most 1.

        Raises:
            ValueError: no map was added.
        """
        if not self.count:
            raise ValueError("no map to fit to")
        x, y = self._x / self.count, self._y / self.count
        covariance = self._xx / self.count - torch.outer(x, x)
        cross = self._xy / self.count - torch.outer(x, y)
        variance = (self._yy / self.count - y.square()).sum()
        ridge = self.penalty * covariance.diagonal().mean().clamp(min=1e-12)
        weight = torch.linalg.solve(covariance + ridge * torch.eye(len(x)).double(), cross)
        missed = variance - 2 * (weight * cross).sum() + (weight * (covariance @ weight)).sum()
        explained = float(1 - missed / variance) if variance > 0 else 1.0
        return weight.T.float(), (y - weight.T @ x).float(), explained


def stand_in_names(model: nn.Module) -> frozenset[str]:
    """Names of the stand-ins' tensors in a network's state.

    Args:
        model: of any kind; only an `EncoderCascade` with stand-ins has some.
    """
    return frozenset(name for name in model.state_dict() if name.startswith("stand_in"))


def fit_stand_ins(model: EncoderCascade, images: Iterable[Tensor]) -> tuple[float, float]:
    """Fit the stand-ins of both stages to the dense maps that they stand for.

    Args:
        model: with stand-ins, which are overwritten.
        images: normalised BGR images, float [N, 3, H, W] each.

    Returns:
        The share of the maps' variance that each explains.
    """
    convs: tuple[Conv, Conv] = (model.stand_in2, model.stand_in3)
    fits = [RidgeRegression(c.conv.in_channels, c.conv.out_channels) for c in convs]
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for x in images:
            _, maps = model.trunk(x)
            fits[0].add(maps.guide, model.context(maps.features))
            fits[1].add(double(maps.guide, maps.detail), maps.detail)
        explained = []
        for conv, fit in zip(convs, fits, strict=True):
            weight, bias, share = fit.solve()
            conv.conv.weight.copy_(weight[:, :, None, None])
            assert conv.conv.bias is not None, "a stand-in has no batch norm"
            conv.conv.bias.copy_(bias)
            explained.append(share)
    model.train(was_training)
    return explained[0], explained[1]
