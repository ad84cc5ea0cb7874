"""What an engine tells in; lines of the journal and for the person out, and an epoch's score."""

from automl.data.stream import judged
from automl.dataset import Dataset
from automl.engines.protocol import Epoch, Event
from automl.plan import Plan
from automl.record import journal
from automl.record.journal import Journal
from automl.run_dir import RunDir
from automl.scoring.score import PRIMARY, score
from automl.talk import Talk, counted


def score_epoch(epoch: Epoch, plan: Plan, dataset: Dataset, run: RunDir, talk: Talk) -> float:
    """Scores the validation predictions, writes the journal, tells the person.

    Returns the primary metric; higher is better. An epoch whose line a killed process has left,
    but no checkpoint, is validated again and not written again.
    """
    primary = PRIMARY[plan.task]
    metrics = dict(epoch.metrics)
    if epoch.predictions is not None:
        total = len(dataset.split("val"))
        found = counted(epoch.predictions, talk, f"validation of epoch {epoch.number}", total)
        pairs = judged(dataset, "val", found)
        scores = score(plan.task, "val", dataset.names, pairs)
        primary, metrics = scores.primary, scores.metrics
    if epoch.number not in journal.told_epochs(journal.read(run.journal)):
        Journal(run.journal).write(
            "epoch",
            epoch=epoch.number,
            total=epoch.total,
            seconds=round(epoch.seconds, 3),
            lr=epoch.learning_rate,
            losses=epoch.losses,
            metrics=metrics,
        )
    losses = ", ".join(f"{name} {value:.3f}" for name, value in epoch.losses.items())
    talk.say(
        f"epoch {epoch.number}/{epoch.total}: {losses}; "
        f"val {primary} {metrics.get(primary, 0.0):.4f} ({epoch.seconds:.1f} s)"
    )
    return metrics.get(primary, 0.0)


def log_event(event: Event, run: RunDir, talk: Talk) -> None:
    """Writes the journal, tells the person."""
    Journal(run.journal).write(event.kind, **event.facts)
    if event.text:
        talk.say(event.text)
