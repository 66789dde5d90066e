"""What defines a network besides its weights and number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lc_trt.model.baselines import PEERS
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.cascade import StagedNetwork
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.encoders.registry import build_encoder
from lc_trt.model.exits import LARGEST
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.presets import build_cascade, build_peer, find_preset, initialise

TrainableNetwork: TypeAlias = StagedNetwork | PeerNetwork


@dataclass(frozen=True)
class NetworkSpec:
    """The definition of a network: a preset, a peer, or an encoder with exact regions.

    Attributes:
        preset: name of a preset or peer; empty with an encoder.
        heads: form of a preset's classifiers; None for the preset's.
        encoder: name of an encoder; empty with a preset.
        exit_rule: name of the rule by which cells exit (`lc_trt.model.exits`); a preset has the
            largest probability.
        fitted_rules: exit rules with parameters that the network has.
        neighbours: what region convolutions read outside the region, with an encoder; those of a
            preset read 0.
    """

    preset: str = ""
    heads: str | None = None
    encoder: str = ""
    exit_rule: str = LARGEST
    fitted_rules: tuple[str, ...] = ()
    neighbours: Neighbours = Neighbours.EXACT

    @property
    def name(self) -> str:
        """A short name, which also stands in the ONNX file."""
        return self.encoder or self.preset

    @property
    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation of the input, BGR, in units of 0..255."""
        if self.encoder:
            info = build_encoder(self.encoder).info
            return info.mean, info.std
        preset = PEERS[self.preset] if self.is_peer else find_preset(self.preset)
        return preset.mean, preset.std

    @property
    def is_peer(self) -> bool:
        """Whether it is a peer: dense, and with losses of its own."""
        return self.preset in PEERS

    @property
    def rgb(self) -> bool:
        """Whether it takes RGB images, as foreign networks do, instead of BGR."""
        return self.is_peer

    def build(self, classes: int) -> TrainableNetwork:
        """Create the network with random weights.

        Args:
            classes: number of classes.

        Raises:
            UsageError: unknown preset, encoder, exit rule or form of the classifiers.
        """
        if self.encoder:
            encoder = build_encoder(self.encoder)
            return initialise(
                EncoderCascade(
                    encoder,
                    classes,
                    exit_rule=self.exit_rule,
                    fitted_rules=self.fitted_rules,
                    neighbours=self.neighbours,
                )
            )
        if self.is_peer:
            return build_peer(self.preset, classes)
        return build_cascade(self.preset, classes, self.heads)

    def as_metadata(self) -> dict[str, Any]:
        """The fields of a checkpoint's metadata that `from_metadata` reads."""
        if self.encoder:
            return {
                "encoder": self.encoder,
                "exit_rule": self.exit_rule,
                "fitted_rules": list(self.fitted_rules),
                "neighbours": str(self.neighbours),
            }
        if self.is_peer:
            return {"preset": self.preset}
        return {"preset": self.preset, "heads": self.heads or find_preset(self.preset).heads}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> NetworkSpec:
        """Read the definition of a checkpoint's network.

        Args:
            metadata: of a checkpoint.
        """
        return cls(
            metadata.get("preset") or "",
            metadata.get("heads"),
            metadata.get("encoder") or "",
            metadata.get("exit_rule", LARGEST),
            tuple(metadata.get("fitted_rules", ())),
            Neighbours(metadata.get("neighbours", Neighbours.EXACT)),
        )
