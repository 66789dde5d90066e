"""The weights that a run starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from lc_trt.data.datasets import Dataset
from lc_trt.data.images import spread
from lc_trt.errors import UsageError
from lc_trt.model.cascade import Cascade
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.encoders.weights import NONE, PYPI, load_pretrained, package_facts
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec, TrainableNetwork
from lc_trt.model.stand_in import fit_stand_ins, stand_in_names
from lc_trt.training.batches import Image
from lc_trt.training.checkpoint import load_into, load_weights
from lc_trt.training.config import Encoder, TrainConfig

FITTED_LATER = ("exit_rules.",)  # to the network that a run ends with
FIT_IMAGES = 32  # to fit linear stand-ins to
CHECKPOINT = ".safetensors"  # an encoder's name with this end is a file


@dataclass(frozen=True)
class InitialWeights:
    """What was loaded.

    Attributes:
        summary: one line; empty where the weights are random, or those of ``init``.
        pretrained: source and licence of an encoder's weights, for the metadata of a checkpoint.
        lacks_stand_ins: whether the network has stand-ins that the weights do not have.
    """

    summary: str = ""
    pretrained: Mapping[str, str] | None = None
    lacks_stand_ins: bool = False


def load_initial_weights(model: TrainableNetwork, config: TrainConfig) -> InitialWeights:
    """Load the weights that a configuration names into its network.

    Args:
        model: changed in place.
        config: the configuration.

    Returns:
        What was loaded.

    Raises:
        UsageError: no such source of weights for the network.
        LcTrtError: missing or unfit weights.
    """
    if config.init is not None:
        stand_ins = stand_in_names(model)
        metadata = load_into(model, Path(config.init), stand_ins, FITTED_LATER)
        neighbours = NetworkSpec.from_metadata(metadata).neighbours
        return InitialWeights(
            pretrained=metadata.get("pretrained"),
            lacks_stand_ins=bool(stand_ins) and neighbours is not Neighbours.STAND_IN,
        )
    if config.imagenet is not None:
        from lc_trt.model.imagenet import load_imagenet

        return InitialWeights(str(load_imagenet(cast(Cascade, model), config.imagenet)))
    if config.encoder is None:
        return InitialWeights()
    source = encoder_weights(config.encoder)
    if source == NONE:
        return InitialWeights()
    loaded = load_pretrained(cast(EncoderCascade, model).encoder, source)
    return InitialWeights(str(loaded), loaded.as_metadata())


def fit_new_stand_ins(
    model: TrainableNetwork, samples: Dataset, prepare: Callable[[Image], Tensor]
) -> None:
    """Fit the stand-ins of a network whose initial weights have none.

    Args:
        model: a cascade with stand-ins, which are changed.
        samples: images to fit them to, of which `FIT_IMAGES` are read.
        prepare: converts BGR images, uint8 [N, H, W, 3], to the network's input.
    """
    chosen = (samples[i] for i in spread(len(samples), FIT_IMAGES))
    inputs = (prepare(sample.image[None]) for sample in chosen)
    fit_stand_ins(cast(EncoderCascade, model), inputs)


def encoder_name(encoder: Encoder) -> str:
    """The name of an encoder that is given by name, or by a checkpoint that has it.

    Args:
        encoder: section of a configuration.

    Raises:
        UsageError: a checkpoint of a network without an encoder.
        LcTrtError: no such checkpoint.
    """
    if not encoder.name.endswith(CHECKPOINT):
        return encoder.name
    name = NetworkSpec.from_metadata(load_weights(Path(encoder.name))[1]).encoder
    if not name:
        raise UsageError(
            f"encoder.name {encoder.name}: this network has no encoder; expected a checkpoint of "
            "a cascade with exact regions"
        )
    return name


def encoder_weights(encoder: Encoder) -> str:
    """The source of an encoder's weights, as `load_pretrained` takes it.

    Args:
        encoder: section of a configuration.
    """
    own = encoder.weights == "auto" and encoder.name.endswith(CHECKPOINT)
    return encoder.name if own else encoder.weights


def pretrained_facts(metadata: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Source and licence of the weights that a checkpoint's encoder started from.

    Args:
        metadata: of the checkpoint; from before it had such a field, its configuration says it.

    Returns:
        ``source`` and ``licence``; None for random weights, or if unknown.
    """
    facts: Mapping[str, str] | None = metadata.get("pretrained")
    encoder = metadata.get("config", {}).get("encoder") or {}
    if "pretrained" not in metadata and encoder.get("weights") == PYPI:
        facts = package_facts(metadata.get("encoder", ""))
    return facts
