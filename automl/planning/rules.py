"""Recipe + dataset + profile + machine -> plan: every open field decided, each with its reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, TypeVar

from automl.dataset import Dataset, Profile
from automl.plan import Augment, Candidate, Plan, Reason, Train
from automl.planning import model_rules, settings, sizes
from automl.planning.augment_rules import choose_augment, choose_mosaic
from automl.planning.backbones import Backbone
from automl.planning.bf16 import MeasureGain, bf16_gain
from automl.planning.candidates import (
    bounds,
    epoch_seconds,
    epochs_in_time,
    likely_epochs,
    listed,
    step_seconds,
)
from automl.planning.checks import check_plan
from automl.planning.choice import Choice, Model, Situation
from automl.planning.expectation import budget_reason, expected_seconds, peak_gb
from automl.planning.hardware import Hardware
from automl.planning.instant_rules import (
    choose_beat_instant_within,
    choose_frozen_epochs,
    choose_instant,
    choose_instant_images,
    choose_instant_steps,
    instant_images,
    instant_seconds,
    judging_seconds,
    most_instant_steps,
)
from automl.planning.smoke import EPOCHS, shrink
from automl.planning.times import LEAST_S, budget_seconds, in_words
from automl.planning.trials import MeasureModels
from automl.recipe.schema import Recipe
from automl.scoring.goal import refuse_unscored
from automl.weights import Weights

T = TypeVar("T")


@dataclass
class Draft:
    """The decisions so far, in the order in which they are made."""

    situation: Situation
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Reason] = field(default_factory=dict)
    most_epochs: int = 0
    most_instant_steps: int | None = None
    smoke: bool = False
    candidates: tuple[Candidate, ...] = ()

    def note(self, key: str, choice: Choice[T]) -> T:
        """Writes down why, and hands the value on."""
        self.reasons[key] = Reason(because=choice.because, runner_up=choice.runner_up)
        return choice.value

    def train(self, name: str, rule: Callable[[], Choice[Any]]) -> Any:
        """A training setting: the recipe's, or what the rule says."""
        given = self.situation.given(name)
        choice = (
            rule()
            if given is None
            else Choice(given, self.situation.recipe.set_by(f"train.{name}"))
        )
        self.values[name] = self.note(f"train.{name}", choice)
        return self.values[name]


def make_plan(  # noqa: PLR0913  one for each thing that a plan follows from
    recipe: Recipe,
    dataset: Dataset,
    profile: Profile,
    hardware: Hardware,
    at_hand: Callable[[Backbone], Weights | None],
    *,
    measure: MeasureModels | None = None,
    measure_gain: MeasureGain | None = None,
    smoke: bool = False,
) -> Plan:
    """Decides everything that the recipe leaves open.

    `at_hand` says which weights a model may start from. Where `model: auto` has several candidates
    `measure` times and probes them; without it the table decides. `measure_gain` measures what bf16
    brings on a CPU. `smoke` keeps the model that the table names and shrinks all else.
    """
    refuse_unscored(recipe, dataset)
    profile = replace(profile, images=dataset.counts())  # of a smoke run: fewer
    at = Situation(recipe, profile, hardware)
    choice, weighed = model_rules.choose_model(at, at_hand, None if smoke else measure)
    at = replace(at, step_s=step_seconds(weighed))
    draft = Draft(at, smoke=smoke)
    model = draft.note("model", choice)
    _sizes(draft, model)
    _amounts(draft, model)
    _rates(draft, model)
    _machine(draft, model, bf16_gain(at, model, draft.values, None if smoke else measure_gain))
    _note_the_rest(draft, model, dataset)
    augment = draft.note("augment.policy", choose_augment(at, draft.values["epochs"]))
    draft.train("mosaic", lambda: choose_mosaic(at, model.row.engine, augment.policy))
    draft.reasons["augment.transforms"] = Reason(
        because=f"the {len(augment.transforms)} transforms of `{augment.policy}` by the names of "
        "Albumentations; moves are joined to one, changes of colour too"
        if augment.policy != "custom"
        else at.recipe.set_by("augment")
    )
    if smoke:
        draft.most_epochs, draft.most_instant_steps = EPOCHS, None
        augment = shrink(at, model.row, draft.values, draft.reasons, augment)
    else:
        draft.candidates = tuple(listed(at, weighed))
    plan = _assemble(draft, model, dataset, augment)
    check_plan(plan, recipe, profile, native_bf16=hardware.native_bf16)
    return plan


def _sizes(draft: Draft, model: Model) -> None:
    """Pixels, before anything that costs by the pixel."""
    at = draft.situation
    size = draft.train("image_size", lambda: sizes.choose_image_size(at, model))
    draft.train("crop", lambda: sizes.choose_crop(at, size))
    fit = draft.train("fit", lambda: sizes.choose_fit(at, size))
    draft.train("stored_size", lambda: sizes.choose_stored_size(at, fit, size))


def _instant_seconds(at: Situation, model: Model, values: Mapping[str, Any]) -> float:
    sizes = values["image_size"], values["crop"]
    return instant_seconds(at, model, sizes, values["instant"], instant_images(values))


def _amounts(draft: Draft, model: Model) -> None:
    """Batches and epochs."""
    at, size, crop = draft.situation, draft.values["image_size"], draft.values["crop"]
    seen = (size, crop)
    batch = draft.train("batch_size", lambda: settings.choose_batch_size(at))
    draft.train("micro_batch", lambda: settings.choose_micro_batch(at, model, crop, batch))
    instant = draft.train("instant", lambda: choose_instant(at, model, size))
    draft.train("instant_images", lambda: choose_instant_images(at, model, seen, instant))
    likely = likely_epochs(at, model, seen)
    draft.train("instant_steps", lambda: choose_instant_steps(at, model, seen, instant, likely))
    draft.most_instant_steps = most_instant_steps(at, instant, likely)
    instant_s = _instant_seconds(at, model, draft.values)
    epochs = draft.train("epochs", lambda: epochs_in_time(at, model, seen, instant_s))
    draft.most_epochs = max(bounds(at, model, seen)[1], epochs)
    if at.given("epochs"):
        draft.most_epochs = epochs


def _rates(draft: Draft, model: Model) -> None:
    """How the weights move."""
    at, epochs, batch = draft.situation, draft.values["epochs"], draft.values["batch_size"]
    steps = -(-at.train_images // batch)
    draft.train("frozen_epochs", lambda: choose_frozen_epochs(at, model))
    rule = draft.train("optimiser", lambda: settings.choose_optimiser(at))
    draft.train("lr", lambda: settings.choose_lr(at, model, batch, rule))
    draft.train("backbone_lr", lambda: settings.choose_backbone_lr(at, model))
    draft.train("beat_instant_within", lambda: choose_beat_instant_within(at, draft.values))
    draft.train("layer_decay", lambda: settings.choose_layer_decay(at, model))
    draft.train("weight_decay", lambda: settings.choose_weight_decay(at, model, rule))
    draft.train("warmup_epochs", lambda: settings.choose_warmup(at, epochs, steps, rule))
    draft.train("schedule", lambda: settings.choose_schedule(at))
    draft.train("clip_norm", lambda: settings.choose_clip(at, model))
    draft.train("ema", lambda: settings.choose_ema(at, steps * epochs))
    draft.train("patience", lambda: settings.choose_patience(at, epochs))
    draft.train("label_smoothing", lambda: settings.choose_label_smoothing(at))
    draft.train("class_weights", lambda: settings.choose_class_weights(at))


def _machine(draft: Draft, model: Model, gain: float | None) -> None:
    """How the machine is used."""
    at, values = draft.situation, draft.values
    size, crop = values["image_size"], values["crop"]
    train_s = values["epochs"] * epoch_seconds(at, model.row, size, crop, steady=True)
    draft.train("precision", lambda: settings.choose_precision(at, gain))
    draft.train("compile", lambda: settings.choose_compile(at, model, train_s))
    draft.train("workers", lambda: settings.choose_workers(at))
    draft.train("threads", lambda: settings.choose_threads(at))
    draft.train("seed", lambda: settings.choose_seed(at))


def _note_the_rest(draft: Draft, model: Model, dataset: Dataset) -> None:
    """Reasons of what is given or follows from a decision."""
    at, weights = draft.situation, model.weights
    explained = model_rules.explain_weights(model, at)
    goal = at.recipe.goal
    reasons = {
        "task": at.recipe.set_by("task"),
        "dataset_digest": f"{len(dataset.samples)} images of {dataset.format} format",
        "engine": f"trains `{model.row.name}`",
        "weights.source": explained,
        "weights.name": explained if weights.name else "no weights are loaded",
        "weights.sha256": "what the file must hash to"
        if weights.sha256
        else "not known beforehand",
        "weights.covers": explained,
        "device": f"{at.hardware.name or at.hardware.device}, {at.hardware.cores} cores",
        "smoke": "`--smoke` asks for it" if draft.smoke else "`--smoke` was not given",
        "judge_on": f"the set has {at.judged_images} {at.judge_on} images",
        **({"goal": "the recipe sets none"} if goal is None else {}),
    }
    if goal is not None:
        reasons |= {key: at.recipe.set_by(key) for key in ("goal.metric", "goal.at_least")}
    draft.reasons.update({key: Reason(because=text) for key, text in reasons.items()})


def _expect(draft: Draft, model: Model) -> dict[str, Any]:
    """Time and memory that the run should take."""
    at, values = draft.situation, draft.values
    size, crop, micro = values["image_size"], values["crop"], values["micro_batch"]
    epoch_s = epoch_seconds(at, model.row, size, crop, steady=False)
    seconds = expected_seconds(
        at,
        judging_seconds(at, model, (size, crop)),
        _instant_seconds(at, model, values),
    )
    budget, all_s = budget_seconds(at.recipe.budget), values["epochs"] * epoch_s
    left_s = inf if budget is None else max(LEAST_S, budget - sum(seconds.values()))
    train_s = float(f"{min(all_s, left_s):.3g}")
    timed = "as measured"
    if model.row.name not in at.step_s:
        timed = f"at {at.hardware.gflops:.0f} measured gflops/s"
    in_all = f"{in_words(train_s)} {'in all' if all_s <= left_s else 'are left of the budget'}"
    memory = peak_gb(at, model, crop, micro, values["optimiser"])
    because = {
        "budget_s": budget_reason(budget, seconds, at.recipe.set_by("budget")),
        "most_epochs": _why_most(at),
        "most_instant_steps": "where a budget turns out to have time for more than planned",
        "expected_train_s": f"{values['epochs']} epochs of {in_words(epoch_s)} {timed}, {in_all}",
        "expected_memory_gb": f"activations of {micro} images at once, weights and their copies",
        **{
            f"expected_s.{name}": "measured in this run, or typical on this machine"
            for name in seconds
        },
        "expected_s.setup": "typical on this machine, and the instant answer",
        "expected_s.evaluate": f"typical on this machine, and {at.judged_images} images",
    }
    draft.reasons.update({key: Reason(because=text) for key, text in because.items()})
    return {
        "budget_s": budget,
        "most_epochs": None if budget is None else draft.most_epochs,
        "most_instant_steps": draft.most_instant_steps,
        "expected_train_s": train_s,
        "expected_s": seconds,
        "expected_memory_gb": memory,
    }


def _why_most(at: Situation) -> str:
    if at.recipe.budget is None:
        return "without a budget `train.epochs` says it"
    if at.given("epochs"):
        return at.recipe.set_by("train.epochs")
    return "more gain nothing, however much time is left"


def _assemble(draft: Draft, model: Model, dataset: Dataset, augment: Augment) -> Plan:
    """The plan, with the time that it should take."""
    at, values = draft.situation, draft.values
    return Plan(
        task=at.task,
        dataset_digest=dataset.digest,
        model=model.row.name,
        engine=model.row.engine,
        weights=model.weights,
        augment=augment,
        train=Train(**values),
        device=at.hardware.device,
        judge_on=at.judge_on,
        goal=at.recipe.goal,
        smoke=draft.smoke,
        candidates=draft.candidates,
        **_expect(draft, model),
        reasons=draft.reasons,
    )
