"""What no plan may hold: impossible combinations, all named at once, each with its place."""

from collections.abc import Iterator

from automl.dataset import Profile
from automl.errors import Fault, RecipeError
from automl.plan import Plan
from automl.recipe.checks import Clash, clashes
from automl.recipe.schema import Recipe, TrainSettings

NOT_OF_ULTRALYTICS: dict[str, tuple[object, ...]] = {
    "instant": ("none",),
    "instant_steps": (0,),
    "beat_instant_within": (0,),
    "frozen_epochs": (0,),
    "backbone_lr": (0, 1),
    "layer_decay": (1,),
    "clip_norm": (),
    "ema": (),
    "fit": ("letterbox",),
}
"""Settings that Ultralytics' trainer does not have, and values that say what it does anyway."""


def check_plan(plan: Plan, recipe: Recipe, profile: Profile, *, native_bf16: bool) -> None:
    """RecipeError with every impossible combination of what was asked for and what was chosen."""
    found = [*clashes(plan.task, plan.train), *_with_data(plan, recipe.train, profile)]
    if plan.train.precision == "bf16" and plan.device == "cpu" and not native_bf16:
        message = "`train.precision: bf16` needs a graphics card, or a processor that knows bf16"
        found.append(("precision", message, "leave it out"))
    found += _with_model(plan, recipe)
    if not found:
        return
    faults = [Fault(message, recipe.place(f"train.{key}"), hint) for key, message, hint in found]
    raise RecipeError(f"{len(faults)} impossible settings in `train`", faults=faults)


def _with_model(plan: Plan, recipe: Recipe) -> Iterator[Clash]:
    """What a recipe asks for that the model's trainer passes over, or its weights forbid."""
    if plan.engine == "native":
        if plan.task == "detection" and plan.train.class_weights == "balanced":
            message = f"`train.class_weights: balanced` does not fit the model `{plan.model}`"
            yield "class_weights", message, "leave it out: the detector's loss sees to rare classes"
        if plan.weights.source == "none":
            yield from _frozen(recipe.train)
        return
    hint = "leave it out: Ultralytics' trainer has no such setting"
    for key, same in NOT_OF_ULTRALYTICS.items():
        given = getattr(recipe.train, key)
        if given is not None and given not in same:
            yield key, f"`train.{key}` does not fit the model `{plan.model}`", hint


def _frozen(asked: TrainSettings) -> Iterator[Clash]:
    """A backbone without weights has to learn."""
    freezes = {"backbone_lr": asked.backbone_lr == 0, "frozen_epochs": bool(asked.frozen_epochs)}
    for key in (key for key, does in freezes.items() if does):
        message = f"`train.{key}` keeps a backbone as it is that has not learnt anything"
        yield key, message, "leave it out, or choose a model whose weights are here"


def _with_data(plan: Plan, asked: TrainSettings, profile: Profile) -> Iterator[Clash]:
    train, images = plan.train, profile.images.get("train", 0)
    if train.batch_size > images:
        key = "batch_size" if asked.batch_size else "micro_batch"
        message = f"`train.{key}` is {getattr(train, key)}, but only {images} images train"
        yield key, message, f"set at most {images}, or leave it out"
