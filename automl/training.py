"""One training from start to end: what an engine does not know of journal, origin and record."""

import shutil
from functools import partial
from math import isnan

from automl import dvc_resume
from automl.clock import Clock
from automl.dataset import Dataset
from automl.engines import disk_space
from automl.engines.choose import engine
from automl.engines.protocol import Epoch, Trained
from automl.engines.torchrun import announce
from automl.epoch_log import log_event, score_epoch
from automl.files import write_text
from automl.model import bundle
from automl.plan import Plan
from automl.record.journal import Journal, last_training, read, told_epochs
from automl.record.mlflow_live import live
from automl.record.taint import recheck_data
from automl.run_dir import RunDir
from automl.talk import Talk
from automl.training_provenance import recording_provenance


def train(plan: Plan, dataset: Dataset, run: RunDir, talk: Talk, clock: Clock) -> Trained:
    """Trains, or goes on with, what the plan says; journal and provenance tell how it went."""
    anew = _forget_others(run, plan)
    if anew:
        clock.forget("train")
        if told_epochs(read(run.journal)):
            talk.say("train: no checkpoint of this plan is left; from the start")
    began, done, scored = clock.now(), not anew and _is_done(run), set[int]()
    disk_space.check(plan, dataset, run)
    journal = Journal(run.journal)
    about = {"recipe": run.recipe.name, "run": run.id, "model": plan.model, "task": plan.task}
    journal.write("start", **about, anew=anew)
    dvc_resume.keep(run)
    write_text(run.checkpoints / "plan.txt", plan.digest())  # after the journal says so

    def on_epoch(epoch: Epoch) -> float:
        origin.note_determinism()
        value = score_epoch(epoch, plan, dataset, run, talk)
        scored.add(epoch.number)
        following.epoch(epoch.number, epoch.total, epoch.seconds)
        clock.beat()
        return value

    def on_step(epoch: int, step: int, steps: int, loss: float) -> None:
        if epoch and clock.setup_s is None:
            clock.setup_s = clock.now() - began - clock.instant_s
        clock.beat()
        if isnan(loss):
            talk.progress("features for the instant answer", step, steps)
        else:
            label = f"epoch {epoch}" if epoch else "instant answer"
            talk.progress(label, step, steps, f"loss {loss:.3f}")

    with recording_provenance(run, plan, dataset) as origin, live(run) as following:
        announce(run, plan, len(dataset.split("train")))
        on_event = partial(log_event, run=run, talk=talk)
        trained = engine(plan.engine).train(plan, dataset, run, on_epoch, on_step, on_event, clock)
        origin.ended(trained, _data_again(run, dataset, talk, learnt=bool(scored) or not done))
    journal.write(
        "trained",
        best_epoch=trained.best_epoch,
        epochs=trained.epochs,
        stopped_early=trained.stopped_early,
        seconds=round(clock.passed().get("train", clock.now() - began), 3),
        weights_digest=bundle.read(trained.bundle).weights_sha256,
        **trained.facts,
    )
    dvc_resume.let_go(run)
    return trained


def _data_again(run: RunDir, dataset: Dataset, talk: Talk, *, learnt: bool) -> Dataset | None:
    """The data as it is at the end; None where nothing was learnt since it was looked at last."""
    again = recheck_data(run, dataset, talk, "train" if learnt else "resume")
    return again.dataset if learnt else None


def _is_done(run: RunDir) -> bool:
    """Whether the training that is gone on with has come to its end before."""
    return any(event["event"] == "trained" for event in last_training(read(run.journal)))


def _forget_others(run: RunDir, plan: Plan) -> bool:
    """Removes checkpoints that are not of this plan, or whose journal `dvc repro` has removed.

    True where nothing is left to go on with.
    """
    mark = run.checkpoints / "plan.txt"
    same = mark.is_file() and mark.read_text(encoding="utf-8") == plan.digest()
    if same:
        dvc_resume.bring_back(run)
    if same and run.journal.is_file():
        return False
    for folder in (run.checkpoints, run.engine):
        shutil.rmtree(folder, ignore_errors=True)
    return True
