"""A finished epoch in; its score, a line of the journal and a line for the person out."""

from automl.data.stream import judged
from automl.dataset import Dataset
from automl.engines.protocol import Epoch
from automl.plan import Plan
from automl.record.journal import Journal
from automl.run_dir import RunDir
from automl.scoring.score import PRIMARY, score
from automl.talk import Talk


def score_epoch(epoch: Epoch, plan: Plan, dataset: Dataset, run: RunDir, talk: Talk) -> float:
    """Scores the validation predictions, writes the journal, tells the person.

    Returns the primary metric; higher is better.
    """
    primary = PRIMARY[plan.task]
    metrics = dict(epoch.metrics)
    if epoch.predictions is not None:
        pairs = judged(dataset, "val", epoch.predictions)
        scores = score(plan.task, "val", dataset.names, pairs)
        primary, metrics = scores.primary, scores.metrics
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
