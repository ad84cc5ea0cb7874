"""Which model and which weights: the table, the data and the machine in, a row out."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from automl.errors import MachineError, RecipeError
from automl.planning.backbones import TABLE, Backbone, find
from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import seconds_per_image, steady_gflops
from automl.planning.instant_rules import LIGHT_STEPS, answer_images, answers_first
from automl.planning.sizes import choose_crop, choose_fit, choose_image_size, whole_image_size
from automl.planning.times import LONGEST, fewest_epochs, goal_seconds, in_words
from automl.planning.trials import (
    MEASURING_SHARE,
    NOT_MEASURED,
    Measurement,
    MeasureModels,
    TrialModel,
    blended,
    steady,
)
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
SLOW_HEADS = {"ssd": 1.0}
"""What a head loses, in halvings of the error, where a budget leaves it few steps behind a frozen
backbone: in 60 s on the digits SSD had an AP of 0.21, RetinaNet 0.62, FCOS 0.69."""
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
FEWER_STEPS = 0.4
"""What half as many steps behind a frozen backbone cost, where a budget has no time for all, in
halvings of the error: a rule of thumb between 0.3 and 1.3, which the digits gave."""
GOOD_FEATURES = 0.85
"""Accuracy of a head on frozen features from which on fine-tuning has little to add: a rule of
thumb."""
DENSE_LEAD = 0.6
"""What is left of an encoder's lead on ImageNet in other tasks, where a budget cuts them short: a
rule of thumb."""
LOW_RESOLUTION = 0.1
"""What is left of a net's lead on ImageNet where images are thumbnails; at 64 px little is."""
FEW_IMAGES = 500
MEASURING_S = 3.0
"""Seconds of measuring a candidate: it is built, and some steps are timed."""
MEASURING_BUDGET_SHARE = 0.15
"""Share of the training time of a budget that measuring candidates may take."""
LARGE_NET = 42.0
"""Nets above this many million parameters overfit on fewer than `FEW_IMAGES` images."""


WORTH_MEASURING = 1.5
"""Halvings of the error by which a model may trail the table's first and still be measured."""
MOST_MEASURED = 6


@dataclass(frozen=True)
class Contender:
    """A row with what it would cost in seconds and bring in halvings of the error."""

    model: Model
    seconds: float
    quality: float
    price: float
    measured: Measurement = NOT_MEASURED

    @property
    def score(self) -> float:
        """Quality less what the time beyond the goal costs, in halvings of the error."""
        return self.quality - self.price


def choose_model(
    at: Situation, at_hand: AtHand, measure: MeasureModels | None = None
) -> tuple[Choice[Model], list[Contender]]:
    """The named model, or the one that promises most for its time; what it was weighed with."""
    name = at.recipe.model
    if name != "auto":
        row = find(name, at.task)
        model = Model(row, weights_of(row, at, at_hand))
        check_licence(model, at)
        _check_pretrained([model], at)
        return Choice(model, at.recipe.set_by("model")), []
    models = _allowed_models(at, at_hand)
    ranked = _affordable([_judge(m, at) for m in models], at)
    close = [c for c in ranked if c.score > ranked[0].score - WORTH_MEASURING][:MOST_MEASURED]
    if measure is not None and len(close) > 1:
        close = _affordable(_measured(close, at, measure), at)
    return _explain(close, at, len(ranked)), close


def _time_to_measure(at: Situation, candidates: int) -> bool:
    """Whether a budget, if there is one, has time to measure so many nets before it trains one."""
    return (
        at.recipe.budget is None
        or MEASURING_S * candidates <= MEASURING_BUDGET_SHARE * goal_seconds(at)
    )


def _allowed_models(at: Situation, at_hand: AtHand) -> list[Model]:
    """Every model that the licence policy allows; those with weights at hand, if there are any."""
    rows = [row for row in TABLE if row.task == at.task and not row.for_tests]
    models = [Model(row, weights_of(row, at, at_hand)) for row in rows]
    models = [m for m in models if _allowed(m, at)]
    _check_pretrained(models, at)
    return [m for m in models if m.pretrained] or models


def _measured(close: list[Contender], at: Situation, measure: MeasureModels) -> list[Contender]:
    """The same, judged by what is measured of each here, or was before if now there is no time."""
    training_s = goal_seconds(at) if at.recipe.budget else min(c.seconds for c in close)
    seconds = MEASURING_SHARE * training_s if _time_to_measure(at, len(close)) else 0.0
    asked = [_asked(c.model, at) for c in close]
    found = measure(asked, seconds)
    known = [found.get(c.model.row.name, NOT_MEASURED) for c in close]
    if not seconds and any(m.step_s is None for m in known):
        return close
    if any(m.transfer is None for m in known):  # else those without would be judged by less
        known = [replace(m, transfer=None) for m in known]
    return [_judge(c.model, at, m) for c, m in zip(close, known, strict=True)]


def _asked(model: Model, at: Situation) -> TrialModel:
    """A model at the sizes that the plan would choose for it."""
    size = choose_image_size(at, model).value
    crop, fit = choose_crop(at, size).value, choose_fit(at, size).value
    expected = seconds_per_image(model.row, crop, at.hardware.device, at.hardware.gflops)
    return TrialModel(model.row, model.weights, size, crop, fit, expected)


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


def _judge(model: Model, at: Situation, measured: Measurement = NOT_MEASURED) -> Contender:
    """Expected time, and quality less what the time beyond the goal costs."""
    row = model.row
    size = choose_image_size(at, model).value
    crop = choose_crop(at, size).value
    epochs = fewest_epochs(at, size, crop, pretrained=model.pretrained)
    speed = steady_gflops(at.hardware)
    step_s = seconds_per_image(row, crop, at.hardware.device, speed)
    if measured.step_s is not None:
        step_s = steady(measured.step_s)
    seconds = epochs * at.train_images * step_s / at.hardware.processes
    fewer_steps, reduced = 0.0, 1.0
    if answers_first(at, model) and _fits(measured):
        seconds = min(seconds, answer_images(at, model, (size, crop), LIGHT_STEPS) * step_s)
        fewer_steps, reduced = FEWER_STEPS, _reduced(at, row, crop)
    doublings = math.log2(max(seconds, 1e-6) * reduced / goal_seconds(at))
    beyond = max(0.0, doublings)
    price = DOUBLED_TIME * doublings + fewer_steps * beyond + BEYOND_GOAL * beyond**2
    return Contender(model, seconds, _quality(model, at, measured), price, measured)


def _fits(measured: Measurement) -> bool:
    """Whether a classifier's features are as good as fine-tuning would make them in a short time.

    They are thought to be where that is not measured.
    """
    return measured.transfer is None or measured.transfer.accuracy >= GOOD_FEATURES


def _reduced(at: Situation, row: Backbone, crop: tuple[int, int]) -> float:
    """How many times the pixels of a step there would be if a budget did not make images smaller.

    A net that is affordable only with smaller images is the dearer one, not the cheaper.
    """
    if at.given("image_size") is not None:
        return 1.0
    whole = choose_crop(at, whole_image_size(at, row).value).value
    return whole[0] * whole[1] / (crop[0] * crop[1])


def _quality(model: Model, at: Situation, measured: Measurement) -> float:
    """How often the error of a random guess is halved, by what the publisher measured."""
    row = model.row
    halvings = -math.log2(1 - min(row.published, 99.0) / 100)
    if model.weights.covers == "all" and row.task == "detection":
        halvings = COCO_QUALITY + 2 * halvings
    elif row.source in ("torchvision", "ultralytics") and row.task == "detection":
        halvings += 1.0  # known by their COCO score only
    elif row.task != "classification" and at.recipe.budget:
        halvings = COCO_QUALITY + DENSE_LEAD * (halvings - COCO_QUALITY)
    if at.task == "classification" and at.low_resolution:
        halvings *= LOW_RESOLUTION
    halvings = blended(halvings, measured.transfer)
    quality = halvings + HEAD_BONUS.get(row.head, 0.0)
    if answers_first(at, model):
        quality -= SLOW_HEADS.get(row.head, 0.0)
    smallest = at.profile.object_size[0] if at.profile.object_size else 1.0
    limit, heads = COARSE.get(at.task, (0.0, ()))
    if smallest < limit and row.head in heads:
        quality -= COARSE_PENALTY
    if at.train_images < FEW_IMAGES and row.parameters > LARGE_NET:
        quality -= 0.3
    return quality - (0.0 if model.pretrained else SCRATCH_PENALTY)


def _affordable(contenders: list[Contender], at: Situation) -> list[Contender]:
    """Best first; those beyond the longest time, if others are within it, stand behind."""
    limit = max(LONGEST * goal_seconds(at), 1.5 * min(c.seconds for c in contenders))
    return sorted(contenders, key=lambda c: (c.seconds > limit, -c.score, c.seconds))


def _explain(ranked: list[Contender], at: Situation, count: int) -> Choice[Model]:
    """The best candidate, with the numbers that made it so."""
    best = ranked[0]
    row = best.model.row
    known = "with weights at hand" if best.model.pretrained else "(none has weights at hand)"
    because = (
        f"best of {count} {at.recipe.licence} {at.task} models {known} for "
        f"{at.train_images} images and {at.profile.classes} classes: {row.parameters:g} M "
        f"parameters, about {in_words(best.seconds)} on {at.hardware.name or at.hardware.device}"
        f"{_by(best, at)}"
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


def _by(best: Contender, at: Situation) -> str:
    """What the choice was made by: measurements, or the table where there are none."""
    measured = best.measured
    if measured.step_s is None:
        return ""
    if measured.transfer is None:
        return "; speed measured, quality by the publishers' scores"
    return f"; speed measured, quality by its features on {measured.transfer.images} images too"


def explain_weights(model: Model, at: Situation) -> str:
    """Why the training starts where it does."""
    if at.recipe.weights == "none":
        return f"{at.recipe.set_by('weights')}: trained from scratch"
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
