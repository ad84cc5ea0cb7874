"""The plan: a recipe in which nothing is open any more, and the reason for every value.

`Train` declares every training setting once; `recipe.schema` derives from it the optional `train:`
section, so whatever a plan holds a recipe can set.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from automl.dataset import Task
from automl.files import read_yaml, told_as_damage, write_text
from automl.weights import Weights

Positive = Annotated[int, Field(gt=0)]
Images = Annotated[int, Field(gt=0, le=65536)]
Pixels = Annotated[int, Field(gt=0, le=8192)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


class Strict(BaseModel):
    """Unknown keys and wrong types are errors; values are frozen.

    A model is built when it first reads something: a recipe's fault is told without the plan's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Train(Strict):
    """Everything that steers the training; sizes in pixels, `lr` for the whole effective batch."""

    image_size: Annotated[
        tuple[Pixels, Pixels],
        Field(
            description="height and width that the model sees, in pixels; one number means a square"
        ),
    ]
    crop: Annotated[
        tuple[Pixels, Pixels],
        Field(
            description="height and width of a training crop (segmentation); image_size: no crop"
        ),
    ]
    fit: Annotated[
        Literal["crop", "squash", "letterbox"],
        Field(description="how an image is brought to image_size"),
    ]
    stored_size: Annotated[
        int,
        Field(
            ge=0,
            le=8192,
            description="longest short side at which images are kept for random crops "
            "(classification); 0 = all their pixels",
        ),
    ] = 0
    mosaic: Annotated[
        Share,
        Field(
            description="share of the training images that are put together from four (detection)"
        ),
    ] = 0.0
    instant: Annotated[
        Literal["none", "torch", "onnx"],
        Field(
            description="what computes the frozen features that a first head is fitted on, as "
            "epoch 0; none: the head starts from random weights"
        ),
    ] = "none"
    instant_images: Annotated[
        int,
        Field(
            ge=0,
            description="most training images that the head is fitted on, evenly spread "
            "(classification)",
        ),
    ] = 20_000
    instant_steps: Annotated[
        int,
        Field(
            ge=0,
            description="steps that all but the backbone then learns from those features "
            "(segmentation, detection)",
        ),
    ] = 0
    beat_instant_within: Annotated[
        Share,
        Field(
            description="share of the epochs in which fine-tuning must score above that head, or "
            "the training ends with it: at once where the backbone does not learn, or nothing is "
            "left to gain; 0: fine-tunes to the end"
        ),
    ] = 0.0
    frozen_epochs: Annotated[
        int,
        Field(
            ge=0,
            description="first epochs in which a pretrained backbone stays as it is: they cost no "
            "backward pass through it, and a first usable model comes sooner",
        ),
    ] = 0
    epochs: Annotated[Positive, Field(description="passes over the training split")]
    batch_size: Annotated[Images, Field(description="images per optimiser step")]
    micro_batch: Annotated[
        Images, Field(description="images per forward pass; gradients add up to batch_size")
    ]
    optimiser: Annotated[Literal["adamw", "sgd"], Field(description="update rule")]
    lr: Annotated[float, Field(gt=0, description="peak learning rate of the head")]
    backbone_lr: Annotated[
        NonNegative,
        Field(description="learning rate of the backbone as a multiple of lr; 0 freezes it"),
    ]
    layer_decay: Annotated[
        Share, Field(description="further factor per backbone stage towards the input; 1 = off")
    ]
    weight_decay: Annotated[
        NonNegative, Field(description="decoupled weight decay of weight matrices")
    ]
    warmup_epochs: Annotated[NonNegative, Field(description="epochs of linear warm-up")]
    schedule: Annotated[
        Literal["cosine", "constant"], Field(description="learning rate after the warm-up")
    ]
    clip_norm: Annotated[NonNegative, Field(description="largest gradient norm; 0 = off")]
    ema: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        Field(description="decay of the averaged weights that are validated and kept; 0 = off"),
    ]
    patience: Annotated[
        int,
        Field(
            ge=0, description="epochs without a better validation score before stopping; 0 = off"
        ),
    ]
    label_smoothing: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        Field(description="share of the target spread over all classes (classification)"),
    ]
    class_weights: Annotated[
        Literal["none", "balanced"], Field(description="weight of each class in the loss")
    ]
    precision: Annotated[
        Literal["fp32", "bf16"], Field(description="precision of forward and backward passes")
    ]
    compile: Annotated[
        bool, Field(description="compile the net before its first step (classification, masks)")
    ] = False
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=256,
            description="processes that read and augment; 0 = threads of the training process",
        ),
    ]
    threads: Annotated[
        int,
        Field(
            gt=0,
            le=1024,
            description="CPU threads; part of what makes a run repeatable to the bit",
        ),
    ]
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of everything that is drawn")]


class Augment(Strict):
    """The name of a policy and what it does, in order, by Albumentations' names and arguments.

    A recipe's list (`custom`) is done by that library, the others in one pass by OpenCV.
    """

    policy: Literal["none", "light", "medium", "heavy", "custom"]
    transforms: tuple[dict[str, dict[str, Any]], ...] = ()


class Goal(Strict):
    """A gate: the run exits 5 where the metric on the judged split is below `at_least`."""

    metric: Annotated[str, Field(description="a name in metrics.json, such as `accuracy`")]
    at_least: Annotated[float, Field(description="the lowest value that passes")]


class Reason(Strict):
    """Why a value was chosen, and what would have been next."""

    because: str
    runner_up: str = ""


EXPECTED = ("candidates", "reasons", "expected_train_s", "expected_s", "expected_memory_gb")
"""Parts of a plan that say something and decide nothing."""
AFTER = ("report", "record", "end")
"""Stages behind the training and the judging."""


class Candidate(Strict):
    """A model that `model: auto` weighed, by what was measured of it here.

    `transfer` is the accuracy of a linear head on its frozen features of `images` images, each
    predicted by the others; `unexplained` is the share of the classes' variance that it leaves.
    """

    model: str
    parameters: float
    image_size: tuple[int, int]
    ms_per_image: float
    measured: bool
    epochs: int
    transfer: float | None = None
    unexplained: float | None = None
    images: int = 0
    expected_s: float
    verdict: str


class Plan(Strict):
    """Everything decided. `reasons` has one entry per leaf, keyed by dotted path (`train.lr`)."""

    task: Task
    dataset_digest: str
    model: str
    engine: Literal["native", "yolo"]
    weights: Weights
    augment: Augment
    train: Train
    device: str
    budget_s: float | None = None
    most_epochs: int | None = None
    most_instant_steps: int | None = None
    expected_train_s: float | None = None
    expected_s: dict[str, float] = {}
    expected_memory_gb: float | None = None
    judge_on: Literal["val", "test"] = "val"
    goal: Goal | None = None
    smoke: bool = False
    candidates: tuple[Candidate, ...] = ()
    reasons: dict[str, Reason] = {}

    @property
    def after_s(self) -> float:
        """Seconds that are kept for what follows the training, judging excepted."""
        return sum(self.expected_s.get(name, 0.0) for name in AFTER)

    @property
    def hopeless(self) -> bool:
        """Whether a budget is shorter than all that a run does beside training."""
        return self.budget_s is not None and sum(self.expected_s.values()) >= self.budget_s

    def write(self, path: Path) -> None:
        """Writes `plan.yaml`, each value followed by its reason as a comment."""
        from automl.plan_text import to_yaml

        write_text(path, to_yaml(self))

    def digest(self) -> str:
        """SHA-256 of all that the training depends on: not of reasons, expectations or the goal,
        nor of whether the values are those of a smoke run.
        """
        from hashlib import sha256

        beside = {*EXPECTED, "judge_on", "goal", "smoke"}
        later = {"most_epochs": self.most_epochs, "most_instant_steps": self.most_instant_steps}
        beside |= {name for name, value in later.items() if value is None}  # as digests were before
        return sha256(self.model_dump_json(exclude=beside).encode()).hexdigest()

    @staticmethod
    def read(path: Path) -> "Plan":
        """Reads what `write` wrote; DataError where it is anything else."""
        with told_as_damage(path, "plan"):
            return Plan.model_validate(read_yaml(path, "plan"))
