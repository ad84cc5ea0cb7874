"""Whether training starts from a head fitted on frozen features, and may end with it."""

from collections.abc import Mapping
from typing import Any, Literal

from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import PASSES, seconds_per_image, steady_gflops

EXPORT_S = 2.0
"""Converting a net for ONNX Runtime and importing what that needs, on one core."""
SAVED = 0.4
"""Share of torch's time for a forward pass that ONNX Runtime saves with convolutional nets."""
WITHIN = {"quick": 0.33, "standard": 0.5, "thorough": 0.0}
"""Share of the epochs by effort: the rest, at a low rate, adds little to what they reached."""


def choose_instant(
    at: Situation, model: Model, size: tuple[int, int]
) -> Choice[Literal["none", "torch", "onnx"]]:
    """What computes the features, if anything."""
    if at.task != "classification":
        return Choice("none", f"no linear layer on a frozen backbone does {at.task}")
    if not model.pretrained:
        return Choice("none", "nothing is pretrained: features would say little")
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


def choose_beat_instant_within(at: Situation, chosen: Mapping[str, Any]) -> Choice[float]:
    """How long fine-tuning may go on without beating it."""
    effort = at.recipe.effort
    if chosen["instant"] == "none":
        return Choice(0.0, "there is no instant answer")
    if not WITHIN[effort]:
        return Choice(0.0, f"{effort} effort fine-tunes to the end and keeps the better", "0.5")
    if chosen["backbone_lr"] == 0:
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
