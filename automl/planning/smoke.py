"""The smoke run: a plan's values shrunk until the whole line takes seconds; the model stays."""

from typing import Any

from automl.plan import Augment, Reason
from automl.planning.augmentation import POLICIES
from automl.planning.choice import Situation
from automl.planning.model_row import Backbone
from automl.planning.sizes import STORED
from automl.recipe.checks import STRIDE

EPOCHS = 2
STEPS = 4
CLASSIFICATION_SIDE = 64
LONG_SIDE = 128
BATCH = 4
BECAUSE = "smoke run: the smallest that still passes every stage"


def shrink(
    at: Situation,
    row: Backbone,
    values: dict[str, Any],
    reasons: dict[str, Reason],
    augment: Augment,
) -> Augment:
    """Overwrites sizes, amounts and what only long trainings need; a recipe's list stays."""
    size = _size(at, row)
    batch = min(BATCH, at.train_images)
    small = {
        "image_size": size,
        "crop": size,
        "stored_size": values["stored_size"] and round(max(size) * STORED),
        "beat_instant_within": 0.0,
        "instant_steps": min(values["instant_steps"], STEPS),
        "epochs": EPOCHS,
        "batch_size": batch,
        "micro_batch": batch,
        "warmup_epochs": 0.0,
        "mosaic": 0.0,
        "ema": 0.0,
        "patience": 0,
        "workers": 0,
    }
    values.update(small)
    reasons.update({f"train.{name}": Reason(because=BECAUSE) for name in small})
    if augment.policy in ("custom", "none", "light"):
        return augment
    kept = {name for step in augment.transforms for name in step}
    light = tuple(step for step in POLICIES[at.task]["light"] if step.keys() <= kept)
    for key in ("augment.policy", "augment.transforms"):
        reasons[key] = Reason(because=BECAUSE)
    return Augment(policy="light", transforms=light)


def _size(at: Situation, row: Backbone) -> tuple[int, int]:
    """A small image in the set's shape, or the one size that a transformer knows."""
    if row.task == "classification":
        side = row.image_size if row.fixed_size else CLASSIFICATION_SIDE
        return side, side
    height, width = at.profile.height, at.profile.width
    scale = LONG_SIDE / max(height, width, 1)
    rounded = [max(2 * STRIDE, round(s * scale / STRIDE) * STRIDE) for s in (height, width)]
    return rounded[0], rounded[1]
