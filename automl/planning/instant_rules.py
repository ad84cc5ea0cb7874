"""Whether training starts from a head fitted on frozen features, and may end with it."""

from collections.abc import Mapping
from typing import Any, Literal

from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import PASSES, seconds_per_image, steady_gflops
from automl.planning.times import budget_seconds, in_words, usable

EXPORT_S = 1.0
"""Converting a net for ONNX Runtime and importing what that needs, on one core."""
LIGHT_STEPS = 200
"""What a decoder or a detector's heads learn on a frozen backbone, they learn in so many steps."""
LIGHT_BATCH = 4
"""Images of such a step: `engines.instant_dense.BATCH`."""
LIGHT_SHARE = 0.25
"""Of all images of the epochs, such steps see at most this share."""
STEP_COST = {"segmentation": 0.57, "detection": 0.25}
"""Of such a step in full ones: measured with U-Net and FCOS on EfficientNet-Lite0."""
MOST_IMAGES, LEAST_IMAGES = 20_000, 200
"""That a head is fitted on: a linear layer learns little from more, and too little from fewer."""
SAVED = 0.5
"""Share of torch's time for a forward pass that ONNX Runtime saves with convolutional nets."""
WITHIN = {"quick": 0.33, "standard": 0.5, "thorough": 0.0}
"""Share of the epochs by effort: the rest, at a low rate, adds little to what they reached."""


def instant_seconds(
    at: Situation, model: Model, size: tuple[int, int], how: str, images: int
) -> float:
    """Until a head is fitted on so many images, or has taken steps on as many, and is scored."""
    if how == "none":
        return 0.0
    steps_s = STEP_COST.get(at.task, 0.0) * images * _training_seconds(at, model, size)
    computed = min(at.train_images, images) + (at.val_images if at.task == "classification" else 0)
    features_s = _feature_seconds(at, model, size, how) * computed
    return features_s + steps_s + (EXPORT_S if how == "onnx" else 0.0)


def instant_images(at: Situation, values: Mapping[str, Any], epochs: int) -> int:
    """How many images the instant answer of a training of so many epochs sees, steps repeated."""
    if at.task == "classification":
        return int(values["instant_images"])
    steps = values.get("instant_steps", min(LIGHT_STEPS, _affordable_steps(at, epochs)))
    return int(steps) * LIGHT_BATCH


def _affordable_steps(at: Situation, epochs: int) -> int:
    return max(1, int(LIGHT_SHARE * epochs * at.train_images / LIGHT_BATCH))


def _feature_seconds(at: Situation, model: Model, size: tuple[int, int], how: str) -> float:
    """For the frozen features of an image, by what computes them."""
    forward_s = _training_seconds(at, model, size) / PASSES
    return forward_s * (1 - SAVED if how == "onnx" else 1.0)


def _training_seconds(at: Situation, model: Model, size: tuple[int, int]) -> float:
    """For a full step, per image: measured where it was."""
    measured = at.step_s.get(model.row.name)
    if measured is not None:
        return measured
    return seconds_per_image(model.row, size, at.hardware.device, at.hardware.gflops)


def choose_instant(
    at: Situation, model: Model, size: tuple[int, int]
) -> Choice[Literal["none", "torch", "onnx"]]:
    """What computes the features, if anything."""
    if not model.pretrained:
        return Choice("none", "nothing is pretrained: features would say little")
    if at.task != "classification" and (why := _dear(at, model)):
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


def choose_instant_images(
    at: Situation, model: Model, size: tuple[int, int], how: str
) -> Choice[int]:
    """As many as a budget has time for: a head fitted on some is better than a few steps."""
    most = min(at.train_images, MOST_IMAGES)
    if at.task != "classification" or how == "none":
        return Choice(0, "there is no head to fit")
    budget, all_s = budget_seconds(at.recipe.budget), instant_seconds(at, model, size, how, most)
    if budget is None or all_s <= usable(at, budget):
        why = "a linear layer learns little from more" if most == MOST_IMAGES else "all there are"
        return Choice(most, why)
    each = _feature_seconds(at, model, size, how)
    fitting = most - int((all_s - usable(at, budget)) / each)
    why = f"features of {most} images take about {in_words(all_s)}, more than the budget has"
    return Choice(max(min(LEAST_IMAGES, most), fitting), why, f"{most}: all")


def _dear(at: Situation, model: Model) -> str:
    """Why a segmenter or a detector does not begin with a frozen backbone; empty where it does."""
    if model.row.engine != "native" or model.row.source == "torchvision":
        return f"`{model.row.name}` does not tell its backbone from the rest"
    if at.on_gpu:
        return (
            "what it brings is not measured on a card, where a first epoch is a matter of seconds"
        )
    return ""


def choose_instant_steps(at: Situation, instant: str, epochs: int) -> Choice[int]:
    """Steps behind the frozen backbone of a segmenter or a detector."""
    if at.task == "classification":
        return Choice(0, "the head of a classifier is fitted at once")
    if instant == "none":
        return Choice(0, "there is no instant answer")
    affordable = _affordable_steps(at, epochs)
    if affordable < LIGHT_STEPS:
        why = f"a {LIGHT_SHARE:.0%} share of the images of {epochs} epochs"
        return Choice(affordable, why, f"{LIGHT_STEPS}: a better first answer")
    return Choice(LIGHT_STEPS, "more bring less than fine-tuning does in the same time")


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
