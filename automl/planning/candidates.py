"""The models that `auto` weighed, as a table: what each would cost and bring, and why not."""

from collections.abc import Sequence

from automl.plan import Candidate, Plan
from automl.planning.backbones import Backbone
from automl.planning.choice import Situation
from automl.planning.cost import seconds_per_image, steady_gflops
from automl.planning.model_rules import Contender
from automl.planning.settings import choose_epochs
from automl.planning.sizes import choose_crop, choose_image_size
from automl.planning.times import fewest_epochs, most_epochs
from automl.planning.trials import Measurement, MeasureModels, Transfer, TrialModel

FORWARD_SHARE = 1 / 3
"""Cost of scoring an image in units of training on it."""
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
    size: tuple[int, int],
    crop: tuple[int, int],
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
    return step_s * (at.train_images + FORWARD_SHARE * at.val_images * shown)


def judging_seconds(at: Situation, row: Backbone, size: tuple[int, int]) -> float:
    """Seconds of scoring the judged split at the end."""
    images = at.profile.images.get("test") or at.val_images
    speed, device = at.hardware.gflops, at.hardware.device
    return FORWARD_SHARE * images * seconds_per_image(row, size, device, speed)


def listed(at: Situation, weighed: list[Contender]) -> list[Candidate]:
    """What each would have been, the chosen one first."""
    return [_candidate(at, contender, weighed[0]) for contender in weighed]


def _candidate(at: Situation, contender: Contender, best: Contender) -> Candidate:
    row, transfer = contender.model.row, contender.measured.transfer
    size = choose_image_size(at, row).value
    crop = choose_crop(at, row, size).value
    pretrained = contender.model.pretrained
    bounds = (
        fewest_epochs(at, size, crop, pretrained=pretrained),
        most_epochs(at, size, crop, pretrained=pretrained),
    )
    steady = at.recipe.budget is None
    epochs = at.given("epochs")
    if epochs is None:
        epoch_s = epoch_seconds(at, row, size, crop, steady=steady)
        epochs = choose_epochs(at, bounds, epoch_s, judging_seconds(at, row, size)).value
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
        return f"{times:.1f} times the time, and worth {2**worse:.2f} times the error"
    if worse > dearer:
        return f"worth {2**worse:.2f} times the error, for {times:.1f} times the time"
    if contender.score > best.score:
        return f"{times:.1f} times the time: too long"
    return f"{times:.1f} times the time, for {2**worse:.2f} times the error"
