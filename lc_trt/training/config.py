"""What a training run is: the fields of its YAML file, each with its meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MIN_CROP = 32  # a side in pixels; below that the feature map is all border


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("expected the smaller number first")
    return limits


Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Side = Annotated[int, Ge(MIN_CROP)]
Range = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
Triple = tuple[float, float, float]

# X. Li et al., CVPR 2017: weights of the stages' losses by kind of loss.
STAGE_WEIGHTS: dict[str, Triple] = {
    "final": (0.0, 0.0, 1.0),
    "deep": (0.2, 0.2, 1.0),
    "cascade": (0.33, 0.33, 0.8),
}


class Section(BaseModel):
    """A part of the file; a field that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """The labelled images."""

    root: str = Field("", description="folder of the data set; lc-trt train --data gives it too")
    layout: Literal["folder", "voc", "cityscapes"] = Field(
        "folder", description="how it lies on disk; docs/training.md shows each"
    )
    train: str = Field("train", description="split to learn from")
    val: str = Field("val", description="split to validate on")


class Augment(Section):
    """What is drawn anew for every image a step sees."""

    crop: tuple[Side, Side] = Field((320, 416), description="height and width in pixels")
    scale: Range = Field(
        (0.6, 2.2), description="smallest and largest scale, drawn evenly over its logarithm"
    )
    aspect: Annotated[float, Ge(1)] = Field(
        1.5, description="largest stretch of one axis against the other"
    )
    mirror: bool = Field(True, description="mirror every second image, left to right")
    jitter: Annotated[float, Ge(0), Lt(1)] = Field(
        0.35, description="brightness, contrast and saturation vary by 1 - jitter to 1 + jitter"
    )
    blur: Annotated[float, Ge(0)] = Field(
        0.0, description="every fourth image is blurred, by up to this many pixels (sigma)"
    )
    focus: Share = Field(
        0.0,
        description="part of the crops that hold a pixel of a class drawn evenly from the image's",
    )
    focus_scale: Range = Field(
        (1.0, 3.0), description="scale of those crops: what is rare is often small"
    )


class Optimizer(Section):
    """How a gradient becomes a step."""

    name: Literal["adamw", "sgd"] = Field("adamw", description="the update rule")
    rate: Positive = Field(1e-3, description="peak learning rate")
    head_rate: Positive = Field(1.0, description="factor on the rate of the heads (new layers)")
    momentum: Annotated[float, Ge(0), Lt(1)] = Field(0.9, description="sgd only")
    weight_decay: Annotated[float, Ge(0)] = Field(
        0.02, description="on every parameter; adamw's is decoupled from the gradient"
    )
    clip: Positive = Field(5.0, description="largest gradient norm; more is scaled down to it")


class Schedule(Section):
    """How the rate moves within a phase."""

    name: Literal["poly", "step", "constant"] = Field("poly", description="the curve")
    power: Positive = Field(0.9, description="poly: rate x (1 - part done) ^ power")
    milestones: tuple[Share, ...] = Field(
        (0.6, 0.85), description="step: parts of the phase after which the rate drops"
    )
    gamma: Annotated[float, Gt(0), Le(1)] = Field(0.1, description="step: factor of a drop")
    warmup: Annotated[int, Ge(0)] = Field(60, description="steps of linear rise to the rate")


class Exit(Section):
    """When a pixel leaves while a cascade is trained."""

    by: Literal["largest", "truth"] = Field(
        "largest",
        description="probability that is asked: the largest, or the one of the true class",
    )
    rho: tuple[Share, Share] = Field(
        (0.95, 0.95), description="threshold a boundary; a pixel leaves where it is greater"
    )


class Phase(Section):
    """A part of the run with one loss and one schedule of its own."""

    name: str = Field(
        "",
        pattern=r"^[\w-]*$",
        description="its best weights are OUT/NAME.safetensors; the loss's name if empty",
    )
    loss: Literal["final", "deep", "cascade"] = Field(
        description="final: last stage only; deep: every stage on all pixels; cascade: a stage "
        "learns from the pixels that reach it"
    )
    epochs: Annotated[int, Gt(0)] = Field(description="passes over the training split")
    weights: Triple | None = Field(
        None,
        description="of the stages' losses; none: final 0, 0, 1; deep 0.2, 0.2, 1; "
        "cascade 0.33, 0.33, 0.8",
    )
    class_weights: Literal["log", "none"] = Field(
        "log", description="log: 1 / log(1.1 + share of pixels), so that rare classes count more"
    )
    final_on_all: Annotated[float, Ge(0)] = Field(
        0.2, description="cascade: weight of the last stage's loss on all pixels"
    )
    final_on_all_part: Annotated[float, Gt(0), Le(1)] = Field(
        1.0,
        description="cascade: part of the batch that it is taken on; it costs a dense pass",
    )
    exit: Exit = Field(Exit(), description="cascade: when a pixel leaves")
    freeze_batch_norm: bool = Field(False, description="keep the statistics as they are")
    optimizer: Optimizer = Field(Optimizer(), description="starts anew in each phase")
    schedule: Schedule = Field(Schedule(), description="runs over the phase")

    @property
    def title(self) -> str:
        """The name, or the loss where it has none."""
        return self.name or self.loss

    @property
    def stage_weights(self) -> Triple:
        """The weights of the stages' losses."""
        return self.weights or STAGE_WEIGHTS[self.loss]


class Distil(Section):
    """A larger network to learn from beside the labels."""

    teacher: str = Field(
        "", description="segmentation ONNX of the same classes, as lc-trt build takes; empty: none"
    )
    weight: Positive = Field(1.0, description="of the distance from it beside the labels' loss")
    temperature: Positive = Field(
        1.0, description="under 1 makes its probabilities p surer: p ^ (1 / temperature), rescaled"
    )
    unlabelled: str = Field(
        "", description="folder of photographs without labels, of which only the teacher speaks"
    )
    part: Annotated[float, Ge(0), Lt(1)] = Field(
        0.25, description="of each batch that is drawn from them, if there are any"
    )
    scale: Range = Field(
        (1.0, 3.0), description="of them, as augment.scale; at 1 the crop just fits into one"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unlabelled and not self.teacher:
            raise ValueError("unlabelled photographs teach nothing without a teacher")
        return self


class TrainConfig(Section):
    """A run."""

    preset: str = Field("irnet-small", description="the network: lc-trt export --help lists them")
    heads: Literal["plain", "aspp"] | None = Field(
        None, description="classifier form; none: the preset's"
    )
    classes: str = Field("camvid", description="camvid, voc, cityscapes or a number of classes")
    init: str | None = Field(
        None, description="weights to start from (.safetensors of a run); none: random"
    )
    imagenet: str | None = Field(
        None,
        description="timm's inception_resnet_v2: a file or a hub name; heads start at random",
    )
    data: Data = Field(Data(), description="the labelled images")
    augment: Augment = Field(Augment(), description="what every step draws anew")
    distil: Distil = Field(Distil(), description="a larger network to learn from")
    phases: tuple[Phase, ...] = Field(min_length=1, description="one after the other")
    batch: Annotated[int, Gt(0)] = Field(4, description="images a step")
    ema: Annotated[float, Ge(0), Lt(1)] = Field(
        0.998, description="decay of the weights' moving average, which is what is kept; 0: off"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast")
    seed: Annotated[int, Ge(0)] = Field(0, description="of weights, batches and dropout")
    validate_epochs: Annotated[int, Gt(0)] = Field(3, description="epochs between validations")
    validate_rho: Share = Field(0.985, description="threshold at which a cascade is validated")
    checkpoint_seconds: Annotated[float, Ge(0)] = Field(
        60.0, description="how much work a kill may cost"
    )
    workers: Annotated[int, Ge(0)] = Field(
        2, description="threads that prepare the next batches; 0: none"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        titles = [phase.title for phase in self.phases]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"two phases are called {twice[0]!r}: give one another name")
        if self.init is not None and self.imagenet is not None:
            raise ValueError("init and imagenet: expected one of them")
        return self

    def as_dict(self) -> dict[str, Any]:
        """Plain values, tuples as lists, as JSON and YAML keep them."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return values
