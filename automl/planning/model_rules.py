"""Which model and which weights: the table, the data and the machine in, a row out."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from automl.errors import MachineError, RecipeError
from automl.planning.backbones import TABLE, Backbone, find
from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import seconds_per_image, steady_gflops
from automl.planning.sizes import choose_crop, choose_image_size
from automl.planning.times import LONGEST, fewest_epochs, goal_seconds, in_words
from automl.weights import Weights

AtHand = Callable[[Backbone], Weights | None]

HEAD_BONUS = {
    "unet": 0.0,
    "unetplusplus": 0.05,
    "fpn": -0.05,
    "deeplabv3plus": -0.05,
    "segformer": -0.1,
    "upernet": 0.05,
    "fcos": 0.1,
    "retinanet": 0.05,
    "ssd": -0.3,
    "fasterrcnn": 0.1,
    "yolo": 0.1,
}
"""What a head is worth in halvings of the error, between equal encoders: a rule of thumb."""
COCO_QUALITY = 1.7
"""A detector that has seen COCO starts where an ImageNet encoder of 70 % would, and gains twice."""
SCRATCH_PENALTY = 2.0
"""Starting from random weights, in halvings of the error."""
COARSE = {
    "segmentation": (0.03, ("fpn", "deeplabv3plus", "segformer", "upernet")),
    "detection": (0.06, ("ssd",)),
}
"""Heads that answer at a quarter of the resolution or less, and the size of objects, as a share of
the image side, below which that costs `COARSE_PENALTY`."""
COARSE_PENALTY = 0.5
DOUBLED_TIME = 0.1
"""How many halvings of the error a training of twice the time must bring, within the goal."""
BEYOND_GOAL = 0.2
"""The same beyond it, by the square of the doublings: twice the goal is fine, 8 times is not."""
LOW_RESOLUTION = 0.1
"""What is left of a net's lead on ImageNet where images are thumbnails; at 64 px little is."""
FEW_IMAGES = 500
LARGE_NET = 42.0
"""Nets above this many million parameters overfit on fewer than `FEW_IMAGES` images."""


@dataclass(frozen=True)
class Candidate:
    """A row with what it would cost and bring."""

    model: Model
    seconds: float
    score: float


def choose_model(at: Situation, at_hand: AtHand) -> Choice[Model]:
    """The named model, or the one that promises most for its time."""
    name = at.recipe.model
    if name != "auto":
        row = find(name, at.task)
        model = Model(row, weights_of(row, at, at_hand))
        check_licence(model, at)
        _check_pretrained([model], at)
        return Choice(model, "set in the recipe")
    rows = [row for row in TABLE if row.task == at.task and not row.for_tests]
    models = [Model(row, weights_of(row, at, at_hand)) for row in rows]
    models = [m for m in models if _allowed(m, at)]
    _check_pretrained(models, at)
    if any(m.pretrained for m in models):
        models = [m for m in models if m.pretrained]
    ranked = sorted((_judge(m, at) for m in models), key=lambda c: (-c.score, c.seconds))
    return _explain(_affordable(ranked, at), at)


def weights_of(row: Backbone, at: Situation, at_hand: AtHand) -> Weights:
    """What the model starts from under the recipe's policy."""
    nothing = Weights(source="none", covers="nothing")
    if at.recipe.weights == "none":
        return nothing
    return at_hand(row) or nothing


def _check_pretrained(models: list[Model], at: Situation) -> None:
    """MachineError where the recipe wants pretrained weights and no model has any."""
    if at.recipe.weights != "pretrained" or any(model.pretrained for model in models):
        return
    name = models[0].row.name
    raise MachineError(
        f"`weights: pretrained`, but there are none at hand for `{name}`",
        hint=f"`automl models --fetch {name}` gets them; `weights: auto` does without",
    )


def check_licence(model: Model, at: Situation) -> None:
    """RecipeError where a named model breaks the licence policy."""
    row = model.row
    if at.recipe.licence == "any" or row.permissive(pretrained=model.pretrained):
        return
    raise RecipeError(
        f"model `{row.name}` is not permissive: code {row.licence}, weights {row.weights_licence}",
        where=at.recipe.place("model"),
        hint="set `licence: any` if you accept that, or `model: auto`",
    )


def _allowed(model: Model, at: Situation) -> bool:
    return at.recipe.licence == "any" or model.row.permissive(pretrained=model.pretrained)


def _judge(model: Model, at: Situation) -> Candidate:
    """Expected time, and quality less what the time beyond the goal costs."""
    row = model.row
    size = choose_image_size(at, row).value
    crop = choose_crop(at, row, size).value
    epochs = fewest_epochs(at, size, crop, pretrained=model.pretrained)
    speed = steady_gflops(at.hardware)
    seconds = epochs * at.train_images * seconds_per_image(row, crop, at.hardware.device, speed)
    doublings = math.log2(max(seconds, 1e-6) / goal_seconds(at))
    price = DOUBLED_TIME * doublings + BEYOND_GOAL * max(0.0, doublings) ** 2
    return Candidate(model, seconds, _quality(model, at) - price)


def _quality(model: Model, at: Situation) -> float:
    """How often the error of a random guess is halved, by what the publisher measured."""
    row = model.row
    halvings = -math.log2(1 - min(row.published, 99.0) / 100)
    if model.weights.covers == "all" and row.task == "detection":
        halvings = COCO_QUALITY + 2 * halvings
    elif row.source in ("torchvision", "ultralytics") and row.task == "detection":
        halvings += 1.0  # known by their COCO score only
    if at.task == "classification" and at.low_resolution:
        halvings *= LOW_RESOLUTION
    quality = halvings + HEAD_BONUS.get(row.head, 0.0)
    smallest = at.profile.object_size[0] if at.profile.object_size else 1.0
    limit, heads = COARSE.get(at.task, (0.0, ()))
    if smallest < limit and row.head in heads:
        quality -= COARSE_PENALTY
    if at.train_images < FEW_IMAGES and row.parameters > LARGE_NET:
        quality -= 0.3
    return quality - (0.0 if model.pretrained else SCRATCH_PENALTY)


def _affordable(ranked: list[Candidate], at: Situation) -> list[Candidate]:
    """Those within the longest time, or near the cheapest where none is; the rest behind them."""
    limit = max(LONGEST * goal_seconds(at), 1.5 * min(c.seconds for c in ranked))
    return sorted(ranked, key=lambda c: c.seconds > limit)


def _explain(ranked: list[Candidate], at: Situation) -> Choice[Model]:
    """The best candidate, with the numbers that made it so."""
    best = ranked[0]
    row = best.model.row
    known = "with weights at hand" if best.model.pretrained else "(none has weights at hand)"
    because = (
        f"best of {len(ranked)} {at.recipe.licence} {at.task} models {known} for "
        f"{at.train_images} images and {at.profile.classes} classes: {row.parameters:g} M "
        f"parameters, about {in_words(best.seconds)} on {at.hardware.name or at.hardware.device}"
    )
    if len(ranked) == 1:
        return Choice(best.model, because)
    second = ranked[1]
    return Choice(
        best.model,
        because,
        f"{second.model.row.name}: {second.model.row.parameters:g} M parameters, "
        f"about {in_words(second.seconds)}",
    )


def explain_weights(model: Model, at: Situation) -> str:
    """Why the training starts where it does."""
    if at.recipe.weights == "none":
        return "set in the recipe: trained from scratch"
    if not model.pretrained:
        return (
            f"no weights of {model.row.name} are at hand, so it is trained from scratch; "
            f"`automl models --fetch {model.row.name}` gets them"
        )
    part = {"all": "the whole model", "backbone": "the backbone", "nothing": "nothing"}
    where = {
        "package": "an installed package",
        "store": "the folder AUTOML_WEIGHTS",
        "hub": "the publisher's hub",
        "none": "nowhere",
    }
    return f"{part[model.weights.covers]} is pretrained; from {where[model.weights.source]}"
