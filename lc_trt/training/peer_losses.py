"""The published losses of peers.

PIDNet (J. Xu, Z. Xiong, S. Bhattacharyya, CVPR 2023, section 3.4): 0.4 cross-entropy of the
auxiliary head, 20 binary cross-entropy of boundaries, cross-entropy of the main head on its
hardest pixels (OHEM, A. Shrivastava et al., CVPR 2016), and cross-entropy of the main head on
pixels that the network takes for boundaries. DDRNet (Y. Hong et al., 2021): 0.4 cross-entropy of
the auxiliary head and that of the main head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lc_trt.data.classes import IGNORE
from lc_trt.model.baselines.peer import PeerOutput
from lc_trt.training.losses import LOSS_STRIDE, cross_entropy, resize_for_loss

WEIGHTS = {"main": 1.0, "auxiliary": 0.4, "boundary": 20.0, "at boundaries": 1.0}
HARD = 0.9  # OHEM keeps pixels whose true class has less than this probability,
KEPT = 131072 / (6 * 1024 * 1024)  # and at least this share: the authors' count per batch and GPU
AT_BOUNDARY = 0.8  # probability of a boundary above which a pixel counts for "at boundaries"
BOUNDARY_RADIUS = 2  # pixels of the label map on each side, as the authors' dilation by 4x4


def hard_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
    """Class-weighted mean cross-entropy over the hardest pixels.

    These are the pixels whose true class has a probability below `HARD`, and in any case the share
    `KEPT` with the smallest.

    Args:
        logits: float [N, K, H, W].
        label: class index per pixel, [N, H, W]; 255 is ignored.
        weight: float [K], one weight per class; None for equal weights.

    Returns:
        Scalar; 0, not NaN, if all pixels are ignored.
    """
    target = label.long()
    valid = target != IGNORE
    with torch.no_grad():
        known = torch.where(valid, target, 0)[:, None]
        probability = logits.float().softmax(1).gather(1, known)[:, 0]
        ordered = probability[valid].sort().values
        if len(ordered) == 0:
            return logits.sum() * 0.0
        last = ordered[min(int(KEPT * len(ordered)), len(ordered) - 1)]
        hard = probability <= last.clamp(min=HARD)
    return cross_entropy(logits, label, weight, hard)


def boundaries(label: Tensor, radius: int = BOUNDARY_RADIUS) -> Tensor:
    """Pixels near another class.

    Args:
        label: class index per pixel, [N, H, W]; 255 is no class.
        radius: the window has 2 * radius + 1 pixels per side.

    Returns:
        float [N, H, W]: 1 where the window around a labelled pixel has several classes, else 0.
    """
    values = label.float()[:, None]
    valid = values != IGNORE
    side = 2 * radius + 1

    def largest(x: Tensor) -> Tensor:
        return functional.max_pool2d(x, side, stride=1, padding=radius)

    # Pixels without a class are neither the largest nor the smallest.
    high = largest(torch.where(valid, values, -1.0))
    low = -largest(torch.where(valid, -values, -float(IGNORE)))
    return ((high > low) & valid)[:, 0].float()


def boundary_loss(logits: Tensor, label: Tensor, boundary: Tensor) -> Tensor:
    """Mean binary cross-entropy; each of the two classes is weighted by the share of the other.

    Args:
        logits: float [N, 1, H, W].
        label: class index per pixel, [N, H, W]; pixels with 255 are ignored.
        boundary: 0 or 1, float [N, H, W].

    Returns:
        Scalar; 0, not NaN, if all pixels are ignored.
    """
    valid = (label != IGNORE).float()
    count = valid.sum().clamp(min=1)
    share = (boundary * valid).sum() / count
    weight = valid * torch.where(boundary > 0, 1 - share, share)
    loss = functional.binary_cross_entropy_with_logits(
        logits[:, 0].float(), boundary, weight, reduction="sum"
    )
    return loss / count


def peer_losses(output: PeerOutput, label: Tensor, weight: Tensor | None) -> dict[str, Tensor]:
    """The losses of all heads, at half resolution.

    Args:
        output: of the peer in training.
        label: class index per pixel, uint8 [N, H, W]; 255 is ignored.
        weight: float [K], one weight per class; None for equal weights.

    Returns:
        Scalars by name, to be weighted by `WEIGHTS`.
    """
    logits, target = resize_for_loss(output.logits, label)
    auxiliary, _ = resize_for_loss(output.auxiliary, label)
    losses = {
        "main": hard_cross_entropy(logits, target, weight),
        "auxiliary": cross_entropy(auxiliary, target, weight),
    }
    if output.boundary is not None:
        scores, _ = resize_for_loss(output.boundary, label)
        truth = boundaries(label)[:, ::LOSS_STRIDE, ::LOSS_STRIDE]
        near = scores.detach()[:, 0].sigmoid() > AT_BOUNDARY
        losses["boundary"] = boundary_loss(scores, target, truth)
        losses["at boundaries"] = cross_entropy(logits, target, weight, near)
    return losses


def weighted_sum(losses: dict[str, Tensor]) -> Tensor:
    """The loss to minimise.

    Args:
        losses: of `peer_losses`.
    """
    return torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
