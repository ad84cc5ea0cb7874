"""The straight line: recipe -> prepare -> plan -> train -> evaluate -> report -> record.

Each stage reads the files of the stage before from the run folder and leaves its own there, so
that a person, `dvc repro` and `run` take the same path. This module alone knows all layers.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from automl.clock import Clock, timed
from automl.credentials import notice
from automl.dataset import Dataset, Profile
from automl.errors import DataError
from automl.files import write_json
from automl.plan import Plan
from automl.recipe.schema import Recipe
from automl.run_dir import RunDir, needed
from automl.stage_inputs import matched, planned, prepared, trained
from automl.talk import Talk, counted

if TYPE_CHECKING:
    import numpy as np

    from automl.engines.protocol import Trained
    from automl.errors import Fault
    from automl.prediction import Prediction
    from automl.record.dvc_workspace import DvcRecord
    from automl.record.mlflow_delivery import PreparedDelivery
    from automl.record.mlflow_store import MlflowRecord
    from automl.scoring.scores import Scores

SMOKE_IMAGES = {"train": 16, "val": 8}
"""How many images per split `--smoke` keeps: enough for every stage to have work."""


@dataclass(frozen=True)
class Recorded:
    """Where a run can be found again; None where that record is turned off."""

    mlflow: "MlflowRecord | None"
    dvc: "DvcRecord | None"


@dataclass(frozen=True)
class Finished:
    """What `run` leaves; `scores` is None in a process that only helped to train."""

    run: RunDir
    scores: "Scores | None"
    report: Path | None
    recorded: Recorded | None


def run(
    recipe: Recipe,
    run: RunDir,
    talk: Talk,
    *,
    device: str | None = None,
    smoke: bool = False,
    age: float = 0.0,
) -> Finished:
    """The whole line in one process. A folder that holds a started run is gone on with.

    `age`: seconds since the command began, which count where a time is promised.
    """
    from automl.engines.torchrun import help_training, leads
    from automl.planning.hardware import require_device
    from automl.planning.overhead import load_factor, record_overhead
    from automl.record import mlflow_delivery
    from automl.record.journal import Journal

    if not leads():
        help_training()
        return Finished(run, None, None, None)
    clock, journal = Clock(run.times, age=age), Journal(run.journal)
    if not run.plan.is_file():
        require_device(device)  # before the data is read, which may take long
        prepare(recipe, run, talk, smoke=smoke, clock=clock)
        plan(recipe, run, talk, device=device, smoke=smoke, clock=clock)
    train(run, talk, clock)
    with mlflow_delivery.prepared_delivery(run, recipe) as delivery:
        scores = evaluate(run, talk, clock)
        journal.write("scores", split=scores.split, metrics=scores.metrics)
        report(run, talk, clock)
        journal.write("end", seconds=round(clock.spent, 3))
        recorded = record(run, talk, clock, delivery)
    record_overhead(recipe, clock, load_factor())
    return Finished(run, scores, run.report, recorded)


def prepare(
    recipe: Recipe, run: RunDir, talk: Talk, *, smoke: bool = False, clock: Clock | None = None
) -> Dataset:
    """Data on disk -> `dataset.json`, `findings.json`, `profile.json`; fatal findings stop here."""
    with timed(run.times, "prepare", clock):
        return _prepare(recipe, run, talk, smoke=smoke)


def _prepare(recipe: Recipe, run: RunDir, talk: Talk, *, smoke: bool) -> Dataset:
    from automl.data.decoders import end_workers
    from automl.data.finding_messages import counted, refuse_fatal, warnings
    from automl.data.prepare import prepare as read_data
    from automl.data.split import shrink
    from automl.recipe.schema import write_recipe
    from automl.record import dvc_cache

    run.root.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, run.recipe)
    if notice(recipe.track.mlflow):
        talk.say(notice(recipe.track.mlflow))
    dvc_cache.check(Path(recipe.data.path), talk)
    read = read_data(recipe, talk)
    end_workers()  # training needs their memory
    write_json(run.findings, [asdict(f) for f in read.findings])
    refuse_fatal(read.findings)
    dataset = shrink(read.dataset, **SMOKE_IMAGES) if smoke else read.dataset
    dataset.write(run.dataset)
    replace(read.profile, images=dataset.counts()).write(run.profile)
    counts = ", ".join(f"{n} {split}" for split, n in dataset.counts().items())
    classes = f"{len(dataset.classes)} class{'es' if len(dataset.classes) != 1 else ''}"
    talk.say(f"data: {dataset.format}, {counts} images, {classes}{counted(read.findings)}")
    for line in warnings(read.findings):
        talk.say(line)
    return dataset


def plan(
    recipe: Recipe,
    run: RunDir,
    talk: Talk,
    *,
    device: str | None = None,
    smoke: bool = False,
    clock: Clock | None = None,
) -> Plan:
    """Profile + recipe + hardware -> `plan.yaml`, in which nothing is open any more."""
    with timed(run.times, "plan", clock) as running:
        return _plan(recipe, run, talk, device, smoke=smoke, clock=running)


def _plan(
    recipe: Recipe, run: RunDir, talk: Talk, device: str | None, *, smoke: bool, clock: Clock
) -> Plan:
    from automl.engines.micro_batch import fit_micro_batch
    from automl.engines.model_trials import bf16_gain, model_measurer
    from automl.engines.transforms import check_custom_transforms
    from automl.model.weights import at_hand
    from automl.planning.hardware import probe
    from automl.planning.overhead import load_factor, overhead_seconds
    from automl.planning.rules import make_plan
    from automl.recipe.schema import TrainSettings, write_recipe

    dataset = prepared(run, recipe.task)
    profile = Profile.read(needed(run.profile, "prepare"))
    machine = replace(probe(device), overhead_s=overhead_seconds(recipe, clock, load_factor()))
    made = make_plan(
        recipe,
        dataset,
        profile,
        machine,
        at_hand,
        measure=model_measurer(dataset, machine.device, talk),
        measure_gain=bf16_gain,
        smoke=smoke,
    )
    check_custom_transforms(made, recipe.place("augment"))
    asked: TrainSettings = recipe.train
    made = fit_micro_batch(made, dataset, asked.micro_batch)
    made.write(run.plan)
    write_recipe(recipe, run.recipe)  # what was planned, should it differ from what was prepared
    height, width = made.train.image_size
    talk.say(
        f"plan: {made.model}, {made.train.epochs} epochs at {height}x{width} px, "
        f"batch {made.train.batch_size}, weights {made.weights.name or 'from scratch'}, "
        f"on {made.device}"
    )
    if made.hopeless:
        talk.say(f"warning: budget {made.reasons['budget_s'].because}")
    return made


def train(run: RunDir, talk: Talk, clock: Clock | None = None) -> "Trained | None":
    """Plan + dataset -> bundle in `model/`, or on from a checkpoint; None where it only helps."""
    from automl import training
    from automl.engines.torchrun import help_training, leads

    if not leads():
        help_training()
        return None
    with timed(run.times, "train", clock) as running:
        return training.train(*planned(run), run, talk, running)


def evaluate(run: RunDir, talk: Talk, clock: Clock | None = None) -> "Scores":
    """Bundle + dataset -> `predictions/`, `metrics.json`, `evaluation.json`, `plots/`."""
    with timed(run.times, "evaluate", clock):
        return _evaluate(run, talk)


def _evaluate(run: RunDir, talk: Talk) -> "Scores":
    from automl.data.stream import images, judged
    from automl.engines.choose import engine
    from automl.record.dvc_cache import check_bundle
    from automl.record.predictions import written
    from automl.record.taint import recheck_data
    from automl.report.tables import write_plots
    from automl.scoring.score import score

    plan, dataset = planned(run)
    check_bundle(run.model, talk)
    bundle = trained(run)
    split = plan.judge_on
    found = engine(bundle.engine).predict(run.model, images(dataset, split), plan.device)
    total = len(dataset.split(split))
    shown = counted(found, talk, f"evaluate on {split}", total)
    pairs = judged(dataset, split, written(shown, run.predictions))
    scores = score(plan.task, split, dataset.names, pairs)
    scores.write(run.metrics, run.evaluation)
    write_plots(run)
    recheck_data(run, dataset, talk, "evaluate", split)
    talk.say(f"scores: {scores.primary} {scores.value:.4f} on {total} {split} images")
    return scores


def report(run: RunDir, talk: Talk, clock: Clock | None = None) -> Path:
    """Everything in the run folder -> one page, `report.html`."""
    from automl.report.page import write

    needed(run.evaluation, "evaluate")
    matched(run)  # else the page would tell of two runs
    with timed(run.times, "report", clock):
        page = write(run)
    talk.say(f"report: {page}")
    return page


def record(
    run: RunDir, talk: Talk, clock: Clock | None = None, delivery: "PreparedDelivery | None" = None
) -> Recorded:
    """Run folder -> DVC-tracked data and model, MLflow run and registered model."""
    from automl.recipe.schema import read_recipe
    from automl.record import dvc_workspace, mlflow_delivery, promise

    recipe = read_recipe(needed(run.recipe, "prepare"))
    _, dataset = matched(run)
    needed(run.metrics, "evaluate")
    with timed(run.times, "record", clock) as running:
        tracked = dvc_workspace.track(run, dataset, recipe)
        if tracked is not None and tracked.note:
            talk.say(f"dvc: {tracked.note}")
        left = promise.left_s(run, running.spent) if clock else inf
        return Recorded(mlflow_delivery.record(run, recipe, tracked, talk, left, delivery), tracked)


def check_goal(run: RunDir, talk: Talk) -> None:
    """Raises GateError where the scores miss the plan's goal; a smoke run has none to reach."""
    from automl.scoring.goal import check

    plan = Plan.read(needed(run.plan, "plan"))
    if plan.goal is not None and plan.smoke:
        talk.say("goal: not checked in a smoke run")
    else:
        check(plan.goal, needed(run.metrics, "evaluate"))


def predict(
    model: Path,
    images: Iterable[Path],
    talk: Talk,
    *,
    device: str | None = None,
    unread: "list[Fault]",
) -> "Iterator[tuple[Path, Prediction]]":
    """Predicts image files by a bundle, or a run's bundle; needs neither data nor recipe.

    An image that cannot be read is left out and told in `unread`: the others are worth their time.
    """
    from automl.data.images import read_image
    from automl.engines.choose import engine
    from automl.model import bundle as bundles
    from automl.planning.hardware import require_device
    from automl.record.dvc_cache import check_bundle

    folder = RunDir(model).model if RunDir(model).model.is_dir() else model
    check_bundle(folder, talk)
    bundle = bundles.read(folder)
    paths = list(images)
    read: deque[Path] = deque()

    def loaded() -> "Iterator[tuple[str, np.ndarray]]":
        for path in paths:
            try:
                pixels = read_image(path, bundle.frame)
            except DataError as error:
                unread.extend(error.faults)
                continue
            read.append(path)
            yield str(path), pixels

    found = engine(bundle.engine).predict(folder, loaded(), require_device(device))
    for prediction in counted(found, talk, "predict", len(paths)):
        yield read.popleft(), prediction


def show_augmented(run: RunDir, count: int, path: Path) -> Path:
    """A contact sheet of training images as the model will see them, annotations drawn."""
    from automl.engines.choose import engine
    from automl.report.contact_sheet import contact_sheet

    plan, dataset = planned(run)
    images, captions = engine(plan.engine).augmented(plan, dataset, count)
    contact_sheet(images, captions, path)
    return path
