"""Whether training starts from a head fitted on frozen features, and may end with it."""

from bisect import bisect_right
from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Any, Literal

from automl.dataset import Task
from automl.planning.backbones import Backbone
from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import PASSES, decode_seconds, seconds_per_image, steady_gflops
from automl.planning.head_cost import head_seconds
from automl.planning.times import budget_seconds, in_words, usable

Size = tuple[int, int]
Sizes = tuple[Size, Size]
"""Of an image in front of the net, and of what a training step sees of it."""

EXPORT_S = 1.0
"""Converting a net for ONNX Runtime and importing what that needs, on one core."""
LIGHT_STEPS = 800
"""What a decoder or a detector's heads learn on a frozen backbone, they learn in so many steps: of
twice as many as 400 the digits gain much, bccd next to nothing (benchmarks/RESULTS.md)."""
LEAST_LIGHT = {"segmentation": 600, "detection": 200}
"""Steps below which a smaller image, and so more of them, makes a better use of a budget: a rule
of thumb, by the digits alone."""
FEWEST_LIGHT = 10
"""Steps that are taken even where a budget has no time for them."""
LIGHT_BATCH = 4
"""Images of such a step: many small ones bring more than few large ones."""
LIGHT_SHARE = 0.25
"""Of the time of all epochs, such steps take at most this share."""
STEP_COST = {"segmentation": 0.57, "detection": 0.25}
"""Of such a step in full ones: measured with U-Net and FCOS on EfficientNet-Lite0."""
MOST_IMAGES, LEAST_IMAGES = 20_000, 200
"""That a head is fitted on: a linear layer learns little from more, and too little from fewer."""
SAVED = 0.5
"""Share of torch's time for a forward pass that ONNX Runtime saves with convolutional nets."""
WITHIN = {"quick": 0.33, "standard": 0.5, "thorough": 0.0}
"""Share of the epochs by effort: the rest, at a low rate, adds little to what they reached."""


def instant_seconds(at: Situation, model: Model, sizes: Sizes, how: str, images: int) -> float:
    """Until a head is fitted on so many images, or has taken steps on as many, and is scored.

    What a segmenter or a detector is scored by are passes through the whole net.
    """
    if how == "none":
        return 0.0
    export_s = EXPORT_S if how == "onnx" else 0.0
    features_s = _feature_seconds(at, model, sizes, how) * min(at.train_images, images)
    if at.task == "classification":
        scored_s = _feature_seconds(at, model, sizes, how) * at.val_images
        learnt_s = head_seconds(images, at.profile.classes, at.hardware.gflops)
    else:
        scored_s = _with_decoding(at, forward_seconds(at, model, sizes)) * at.val_images
        learnt_s = STEP_COST[at.task] * images * _step_seconds(at, model, sizes[1])
    return export_s + features_s + learnt_s + scored_s


def instant_images(values: Mapping[str, Any]) -> int:
    """How many images the instant answer of a plan sees, steps repeated."""
    return int(values["instant_images"]) or int(values["instant_steps"]) * LIGHT_BATCH


def light_images(task: Task, steps: int) -> float:
    """What such steps cost, in images of a full one."""
    return steps * LIGHT_BATCH * STEP_COST[task]


def answers_first(at: Situation, model: Model) -> bool:
    """Whether a budget's first use is an instant answer, which nothing equals in so short a time.

    Not so for thumbnails: features say less of them, and their epochs are short.
    """
    if at.recipe.budget is None or not model.pretrained or at.given("instant") == "none":
        return False
    if at.task == "classification":
        return not at.low_resolution
    return not why_not_frozen(at, model.row)


def answer_images(at: Situation, model: Model, sizes: Sizes, steps: int) -> float:
    """What it costs with its two judgings, in images of a full step; `steps` of dense tasks."""
    (height, width), crop = sizes
    forward = height * width / (crop[0] * crop[1]) / PASSES
    if at.task == "classification":
        share = 1.0 if at.on_gpu or model.row.transformer else 1 - SAVED
        seen = min(at.train_images, MOST_IMAGES) + at.val_images
        return forward * (share * seen + at.judged_images)
    seen = min(at.train_images, steps * LIGHT_BATCH) + at.val_images + at.judged_images
    return light_images(at.task, steps) + forward * seen


def forward_seconds(at: Situation, model: Model, sizes: Sizes) -> float:
    """For a whole image, by the time of a step on a crop."""
    (height, width), crop = sizes
    return _step_seconds(at, model, crop) * height * width / (crop[0] * crop[1]) / PASSES


def judging_seconds(at: Situation, model: Model, sizes: Sizes) -> float:
    """Seconds of scoring the finished model."""
    return _with_decoding(at, forward_seconds(at, model, sizes)) * at.judged_images


def _feature_seconds(at: Situation, model: Model, sizes: Sizes, how: str) -> float:
    """For the frozen features of an image, by what computes them."""
    net_s = forward_seconds(at, model, sizes) * (1 - SAVED if how == "onnx" else 1.0)
    return _with_decoding(at, net_s)


def _with_decoding(at: Situation, net_s: float) -> float:
    """For an image that the net sees: beside a card the cores have nothing to do but decode."""
    decoded_s = decode_seconds(at.profile.width * at.profile.height, at.hardware.cores)
    return max(net_s, decoded_s) if at.on_gpu else net_s + decoded_s


def _step_seconds(at: Situation, model: Model, crop: Size) -> float:
    """For a full step, per image: measured where it was."""
    measured = at.step_s.get(model.row.name)
    if measured is not None:
        return measured
    return seconds_per_image(model.row, crop, at.hardware.device, at.hardware.gflops)


def choose_instant(
    at: Situation, model: Model, size: tuple[int, int]
) -> Choice[Literal["none", "torch", "onnx"]]:
    """What computes the features, if anything."""
    if not model.pretrained:
        return Choice("none", "nothing is pretrained: features would say little")
    if at.task != "classification" and (why := why_not_frozen(at, model.row)):
        return Choice("none", why, "onnx" if model.row.engine == "native" else "")
    images = at.train_images + at.val_images
    if at.on_gpu:
        return Choice("torch", f"the card takes {images} images at once", "none")
    if model.row.transformer:
        return Choice("torch", "ONNX Runtime is faster with convolutions only", "none")
    speed = steady_gflops(at.hardware)
    forward = seconds_per_image(model.row, size, at.hardware.device, speed) / PASSES
    saved = SAVED * forward * images
    if saved > EXPORT_S:
        why = f"ONNX Runtime saves about {saved:.0f} s on {images} images, converting costs "
        return Choice("onnx", f"{why}{EXPORT_S:.0f}", "torch")
    why = f"{images} images are too few to convert the net for ONNX Runtime"
    return Choice("torch", why, "onnx")


def choose_instant_images(at: Situation, model: Model, sizes: Sizes, how: str) -> Choice[int]:
    """As many as a budget has time for: a head fitted on some is better than a few steps."""
    most = min(at.train_images, MOST_IMAGES)
    if at.task != "classification" or how == "none":
        return Choice(0, "there is no head to fit")
    budget, all_s = budget_seconds(at.recipe.budget), instant_seconds(at, model, sizes, how, most)
    left = inf if budget is None else _left_seconds(at, model, sizes, budget)
    if all_s <= left:
        why = "a linear layer learns little from more" if most == MOST_IMAGES else "all there are"
        return Choice(most, why)
    least = min(LEAST_IMAGES, most)
    seconds = partial(instant_seconds, at, model, sizes, how)
    fitting = bisect_right(range(least, most), left, key=seconds) + least - 1
    why = f"a head on {most} images takes about {in_words(all_s)}, more than the budget has"
    return Choice(max(least, fitting), why, f"{most}: all")


def why_not_frozen(at: Situation, row: Backbone) -> str:
    """Why a segmenter or a detector does not begin with a frozen backbone; empty where it does."""
    if row.engine != "native" or row.source == "torchvision":
        return f"`{row.name}` does not tell its backbone from the rest"
    if at.on_gpu:
        return (
            "what it brings is not measured on a card, where a first epoch is a matter of seconds"
        )
    return ""


def choose_instant_steps(
    at: Situation, model: Model, sizes: Sizes, how: str, epochs: int
) -> Choice[int]:
    """Steps behind the frozen backbone of a segmenter or a detector.

    They bring more in their time than epochs do, so a budget is theirs first.
    """
    if at.task == "classification":
        return Choice(0, "the head of a classifier is fitted at once")
    if how == "none":
        return Choice(0, "there is no instant answer")
    steps = _share_steps(at, epochs)
    why = f"a {LIGHT_SHARE:.0%} share of the time of {epochs} epochs"
    budget = budget_seconds(at.recipe.budget)
    if budget is not None and (fitting := _fitting_steps(at, model, sizes, how, budget)) < steps:
        steps, why = fitting, "as many as the budget has time for: they bring more than epochs do"
    if steps < LIGHT_STEPS:
        return Choice(steps, why, f"{LIGHT_STEPS}: a better first answer")
    return Choice(LIGHT_STEPS, "more bring less than fine-tuning does in the same time")


def most_instant_steps(at: Situation, how: str, epochs: int) -> int | None:
    """How many there may be where a budget turns out to have time for more; None without one."""
    if at.recipe.budget is None or at.task == "classification" or how == "none":
        return None
    given: int | None = at.given("instant_steps")
    return min(LIGHT_STEPS, _share_steps(at, epochs)) if given is None else given


def _share_steps(at: Situation, epochs: int) -> int:
    """Steps that take their share of the time of the epochs."""
    trained = epochs * at.train_images / at.hardware.processes
    return max(1, int(LIGHT_SHARE * trained / light_images(at.task, 1)))


def _left_seconds(at: Situation, model: Model, sizes: Sizes, budget: float) -> float:
    """Of a budget, before the finished model is judged."""
    return usable(at, budget) - judging_seconds(at, model, sizes)


def _fitting_steps(at: Situation, model: Model, sizes: Sizes, how: str, budget: float) -> int:
    """In what a budget leaves for them: the answer is judged twice, as epoch 0 and as the model."""
    each = _feature_seconds(at, model, sizes, how)
    step_s = light_images(at.task, 1) * _step_seconds(at, model, sizes[1])
    left = _left_seconds(at, model, sizes, budget) - instant_seconds(at, model, sizes, how, 0)
    steps = (left - each * at.train_images) / step_s
    if steps * LIGHT_BATCH < at.train_images:  # not every image is looked at
        steps = left / (step_s + each * LIGHT_BATCH)
    return max(FEWEST_LIGHT, int(steps))


def choose_beat_instant_within(at: Situation, chosen: Mapping[str, Any]) -> Choice[float]:
    """How long fine-tuning may go on without beating it."""
    effort = at.recipe.effort
    if chosen["instant"] == "none":
        return Choice(0.0, "there is no instant answer")
    if at.task != "classification" and effort != "quick":
        return Choice(0.0, "fine-tuning of all layers brings most of the score here", "0.5")
    if not WITHIN[effort]:
        return Choice(0.0, f"{effort} effort fine-tunes to the end and keeps the better", "0.5")
    if chosen["backbone_lr"] == 0 and at.task == "classification":
        why = "the best head on features that stay as they are is there: the training ends with it"
        return Choice(WITHIN[effort], why, "0: trains it on, on augmented images")
    why = f"{effort} effort ends where fine-tuning has gained nothing over the instant answer"
    return Choice(WITHIN[effort], f"{why} by then", "0: fine-tunes to the end")


def choose_frozen_epochs(at: Situation, model: Model) -> Choice[int]:
    """First epochs in which only new layers learn; what it does to the score is not measured."""
    if at.task == "classification" or model.row.engine != "native" or not model.pretrained:
        return Choice(0, "no new decoder or detector sits on a pretrained backbone")
    if model.weights.covers == "all":
        return Choice(0, "the pretrained weights cover more than the backbone")
    return Choice(0, "all layers learn from the first on", "1: a usable model in half the time")
