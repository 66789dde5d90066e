"""One network in several forms of `Neighbours`, on the same stage 1, to compare them."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from typing_extensions import override

from lc_trt.model.cascade import Cascade, StagedNetwork
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.exits import Largest, simulate_exits
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.region import CompactRegion, RegionForm
from lc_trt.model.stand_in import fit_stand_ins
from lc_trt.model.stand_in_region import CascadeStandIns

FORMS = (Neighbours.ZEROS, Neighbours.STAND_IN, Neighbours.EXACT)


@dataclass(frozen=True)
class OpenImage:
    """Images behind stage 1.

    Attributes:
        maps: that the later stages read.
        logits: of all stages on all pixels.
        stand_ins: form of regions that reads these images' stand-ins; None where the network
            itself has some.
    """

    maps: Sequence[Tensor]
    logits: Sequence[Tensor]
    stand_ins: RegionForm | None = None


class NeighbourForms(abc.ABC):
    """A trained network in several forms.

    Attributes:
        network: without exits the same in all forms.
        trained_with: the form that its later stages were trained in.
        forms: those that it can run in.
        explained: shares of the variance of what they stand for that its fitted stand-ins explain;
            empty if none were fitted.
    """

    network: StagedNetwork
    trained_with: Neighbours
    forms: tuple[Neighbours, ...]
    explained: tuple[float, ...] = ()

    def open(self, x: Tensor) -> OpenImage:
        """Run stage 1, and the later stages on all pixels.

        Args:
            x: normalised BGR images, float [N, 3, H, W].
        """
        first, maps = self.network.trunk(x)
        return OpenImage(maps, [first, *self.network.later(maps)])

    @abc.abstractmethod
    def whole(self, image: OpenImage) -> Tensor:
        """Probabilities without exits, float [N, K, h, w].

        Args:
            image: of `open`.
        """

    @abc.abstractmethod
    def run(
        self, image: OpenImage, form: Neighbours, rho: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        """Run the cascade behind stage 1.

        Args:
            image: of `open`.
            form: one of `forms`.
            rho: one threshold per boundary.

        Returns:
            Merged probabilities, float [N, K, h, w], and exit stages, uint8 [N, 1, h, w].
        """


class PublishedForms(NeighbourForms):
    """A published cascade, trained with zeros: exact is merged from the stages' dense logits.

    Args:
        network: the cascade.
        images: to fit the stand-ins to, normalised, float [N, 3, H, W] each.
    """

    trained_with = Neighbours.ZEROS
    forms = FORMS

    def __init__(self, network: Cascade, images: Iterable[Tensor]) -> None:
        self.network: Cascade = network
        self._stand_ins, self._largest = CascadeStandIns(network), Largest()
        self.explained = (self._stand_ins.fit(images),)

    @override
    def open(self, x: Tensor) -> OpenImage:
        image = super().open(x)
        (features,) = image.maps
        return replace(image, stand_ins=self._stand_ins.region(features))

    @override
    def whole(self, image: OpenImage) -> Tensor:
        return image.logits[-1].float().softmax(1)

    @override
    def run(
        self, image: OpenImage, form: Neighbours, rho: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        if form is Neighbours.EXACT:
            probabilities = [logits.float().softmax(1) for logits in image.logits]
            exits = simulate_exits(probabilities, rho, lambda i, p: self._largest(i, p, None))
            return exits.probabilities, exits.stages
        region = CompactRegion if form is Neighbours.ZEROS else image.stand_ins
        assert region is not None, "of `open`"
        output = self.network.after_trunk(image.logits[0], image.maps, rho, region)
        return output.probabilities, output.stages


class EncoderForms(NeighbourForms):
    """A cascade on an encoder, built in each of its forms with the same weights.

    Args:
        networks: by form.
        trained_with: the form that its later stages were trained in.
        images: to fit the stand-ins to, normalised, float [N, 3, H, W] each; None where they were
            trained.
    """

    def __init__(
        self,
        networks: Mapping[Neighbours, EncoderCascade],
        trained_with: Neighbours,
        images: Iterable[Tensor] | None,
    ) -> None:
        self.network: EncoderCascade = networks[trained_with]
        self.trained_with, self.forms = trained_with, tuple(f for f in FORMS if f in networks)
        self._networks = networks
        if images is not None:
            self.explained = fit_stand_ins(networks[Neighbours.STAND_IN], images)

    @override
    def whole(self, image: OpenImage) -> Tensor:
        return self.network.probabilities(image.logits[-1], len(image.logits))

    @override
    def run(
        self, image: OpenImage, form: Neighbours, rho: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        output = self._networks[form].after_trunk(image.logits[0], image.maps, rho)
        return output.probabilities, output.stages
