"""The models that `auto` weighed, as a table: what each would cost and bring, and why not."""

from collections.abc import Sequence

from automl.plan import Candidate, Plan
from automl.planning.backbones import Backbone
from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import PASSES, seconds_per_image, steady_gflops
from automl.planning.instant_rules import (
    LIGHT_BATCH,
    Size,
    Sizes,
    choose_instant,
    choose_instant_images,
    choose_instant_steps,
    instant_seconds,
    judging_seconds,
)
from automl.planning.model_rules import Contender
from automl.planning.settings import choose_epochs
from automl.planning.sizes import choose_crop, choose_image_size
from automl.planning.times import fewest_epochs, most_epochs
from automl.planning.trials import Measurement, MeasureModels, Transfer, TrialModel

CHOSEN = "chosen"


def step_seconds(weighed: list[Contender]) -> dict[str, float]:
    """The measured seconds to train on one image, by model."""
    found = {c.model.row.name: c.measured.step_s for c in weighed}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def recorded_measurements(plan: Plan) -> MeasureModels:
    """What a plan has written down of its candidates, in place of measuring them again."""

    def measure(_asked: Sequence[TrialModel], _seconds: float) -> dict[str, Measurement]:
        return {c.model: _measured(c) for c in plan.candidates}

    return measure


def _measured(candidate: Candidate) -> Measurement:
    transfer = None
    if candidate.transfer is not None and candidate.unexplained is not None:
        transfer = Transfer(candidate.transfer, candidate.unexplained, candidate.images)
    return Measurement(candidate.ms_per_image / 1000 if candidate.measured else None, transfer)


def epoch_seconds(
    at: Situation,
    row: Backbone,
    size: Size,
    crop: Size,
    *,
    steady: bool,
) -> float:
    """Seconds of an epoch, validation included; the measured ones where the clock counts."""
    speed = steady_gflops(at.hardware) if steady else at.hardware.gflops
    device = at.hardware.device
    step_s = seconds_per_image(row, crop, device, speed)
    if not steady:
        step_s = at.step_s.get(row.name, step_s)
    shown = size[0] * size[1] / (crop[0] * crop[1])
    trained = at.train_images / at.hardware.processes
    return step_s * (trained + at.val_images * shown / PASSES)


def bounds(at: Situation, model: Model, sizes: Sizes) -> tuple[int, int]:
    """The fewest epochs that the effort takes, and the most that help."""
    return (
        fewest_epochs(at, *sizes, pretrained=model.pretrained),
        most_epochs(at, *sizes, pretrained=model.pretrained),
    )


def epochs_in_time(at: Situation, model: Model, sizes: Sizes, instant_s: float) -> Choice[int]:
    """How often the images are seen, in what an instant answer and the judging leave of the time.

    A budget is a promise about this very run, so there the speed of the moment counts.
    """
    epoch_s = epoch_seconds(at, model.row, *sizes, steady=at.recipe.budget is None)
    besides = judging_seconds(at, model, sizes) + instant_s
    return choose_epochs(at, bounds(at, model, sizes), epoch_s, besides)


def likely_epochs(at: Situation, model: Model, sizes: Sizes) -> int:
    """Before it is known how many the time allows."""
    fewest, most = bounds(at, model, sizes)
    return at.given("epochs") or (fewest if at.recipe.budget is None else most)


def _likely_instant_seconds(at: Situation, model: Model, sizes: Sizes) -> float:
    """Of the instant answer that the plan would have with this model."""
    how = at.given("instant") or choose_instant(at, model, sizes[0]).value
    images = at.given("instant_images") or choose_instant_images(at, model, sizes, how).value
    steps = at.given("instant_steps")
    if steps is None:
        likely = likely_epochs(at, model, sizes)
        steps = choose_instant_steps(at, model, sizes, how, likely).value
    return instant_seconds(at, model, sizes, how, images or steps * LIGHT_BATCH)


def listed(at: Situation, weighed: list[Contender]) -> list[Candidate]:
    """What each would have been, the chosen one first."""
    return [_candidate(at, contender, weighed[0]) for contender in weighed]


def _candidate(at: Situation, contender: Contender, best: Contender) -> Candidate:
    model, transfer = contender.model, contender.measured.transfer
    row, size = model.row, choose_image_size(at, model).value
    crop = choose_crop(at, size).value
    epochs = at.given("epochs")
    if epochs is None:
        instant_s = _likely_instant_seconds(at, model, (size, crop))
        epochs = epochs_in_time(at, model, (size, crop), instant_s).value
    epoch_s = epoch_seconds(at, row, size, crop, steady=False)
    step_s = at.step_s.get(row.name)
    if step_s is None:
        step_s = seconds_per_image(row, crop, at.hardware.device, at.hardware.gflops)
    return Candidate(
        model=row.name,
        parameters=row.parameters,
        image_size=size,
        ms_per_image=float(f"{1000 * step_s:.4g}"),
        measured=row.name in at.step_s,
        epochs=epochs,
        transfer=None if transfer is None else round(transfer.accuracy, 6),
        unexplained=None if transfer is None else round(transfer.error, 6),
        images=0 if transfer is None else transfer.images,
        expected_s=float(f"{epochs * epoch_s:.3g}"),
        verdict=_verdict(contender, best),
    )


def _verdict(contender: Contender, best: Contender) -> str:
    """Chosen, or in a few words why not."""
    if contender is best:
        return CHOSEN
    times = contender.seconds / best.seconds
    worse = best.quality - contender.quality
    dearer = contender.price - best.price
    if worse > 0.02 and dearer > 0.02:
        return f"{times:.1f} times the time, estimated error {2**worse:.2f} times as high"
    if worse > dearer:
        return f"estimated error {2**worse:.2f} times as high, in {times:.1f} times the time"
    if contender.score > best.score:
        return f"{times:.1f} times the time: too long"
    return f"{times:.1f} times the time, for an estimated error {2**worse:.2f} times as high"
