"""A run folder in, the values that MLflow is fed with out. Pure: MLflow itself is not needed."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl.files import read_object, told_as_damage
from automl.plan import Plan
from automl.record import journal
from automl.record.provenance import git_commit, weights_digest, without_secrets
from automl.record.runs import recipe_name
from automl.record.taint import standing
from automl.run_dir import RunDir

TRAINING_TAG = "automl.training"
"""Identifies one training: the run's id and the moment when it began."""

LONGEST_TAG = 1000
"""Characters; longer facts, such as patches and lists of files, are in the artefacts alone."""

Event = dict[str, Any]
Point = tuple[str, float, int, int]
"""A metric's key, value, time in milliseconds and epoch."""


@dataclass(frozen=True)
class Data:
    """The dataset as MLflow knows one; `source` holds no secret."""

    name: str
    source: str
    digest: str
    profile: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """Everything about a run that MLflow keeps as values; times in milliseconds."""

    name: str
    recipe: str
    task: str
    started: int
    ended: int
    parameters: dict[str, str]
    points: list[Point]
    scores: list[Point]
    tags: dict[str, str]
    data: Data
    finished: bool
    others: list[str]

    @property
    def training(self) -> str:
        """What the MLflow run is found by."""
        return self.tags[TRAINING_TAG]


def read_facts(run: RunDir) -> Facts:
    """Reads the files of a run that trains or has trained; scores only of a finished training.

    `others` are the trainings that earlier starts in the same folder would have been.
    """
    plan = Plan.read(run.plan)
    everything = journal.read(run.journal)
    events = journal.last_training(everything)
    told = any(event["event"] == "tainted" for event in events)
    tainted = "true" if standing(events) else "false"
    events = [event for event in events if event["event"] in journal.EVENTS]
    times = [journal.milliseconds(event) for event in events]
    if not times:
        times = [round(run.plan.stat().st_mtime * 1000)]
    data = _data(run, plan)
    recipe = recipe_name(run.id) or data.name
    finished = run.metrics.is_file() and any(event["event"] == "trained" for event in events)
    starts = {journal.milliseconds(event) for event in everything if event["event"] == "start"}
    return Facts(
        name=run.id,
        recipe=recipe,
        task=plan.task,
        started=times[0],
        ended=times[-1],
        parameters=dict(_parameters(plan)),
        points=list(epoch_points(events)),
        scores=list(_final_points(run, events, times[-1])) if finished else [],
        tags={
            **_tags(run, plan, recipe, times[0], finished=finished),
            **({"automl.tainted": tainted} if told else {}),
        },
        data=data,
        finished=finished,
        others=[_training(run, start) for start in sorted(starts - {times[0]})],
    )


def _training(run: RunDir, started: int) -> str:
    return f"{run.id}@{started}"


def _parameters(plan: Plan) -> Iterator[tuple[str, str]]:
    """The plan, flat; its reasons stay in the artefact `plan.yaml`."""
    values = plan.model_dump(mode="json", exclude={"candidates", "reasons", "dataset_digest"})
    yield from _flat("", values)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield prefix, without_secrets(text)[:6000]


def epoch_points(events: list[Event]) -> Iterator[Point]:
    """What the epochs of one training left, at their times."""
    for event in journal.epochs(events):
        time, step = journal.milliseconds(event), int(event["epoch"])
        values = {
            **{f"loss/{name}": value for name, value in event.get("losses", {}).items()},
            **{f"val/{name}": value for name, value in event.get("metrics", {}).items()},
            "lr": event.get("lr"),
            "epoch_seconds": event.get("seconds"),
        }
        yield from ((key, float(v), time, step) for key, v in values.items() if _finite(v))


def _final_points(run: RunDir, events: list[Event], last: int) -> Iterator[Point]:
    """The scores of the judged split under their plain names, at the epoch of the kept model."""
    trained: Event = next((e for e in reversed(events) if e["event"] == "trained"), {})
    ended: Event = next((e for e in reversed(events) if e["event"] == "end"), {})
    step = int(trained.get("best_epoch", 0))
    values = {key: v for key, v in read_object(run.metrics, "evaluate").items() if key != "images"}
    values["train_seconds"] = trained.get("seconds")
    values["run_seconds"] = ended.get("seconds")
    yield from ((key, float(v), last, step) for key, v in values.items() if _finite(v))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _tags(run: RunDir, plan: Plan, recipe: str, started: int, *, finished: bool) -> dict[str, str]:
    provenance = read_object(run.provenance, "train")
    model = read_object(run.model / "model.json", "train") if finished else {}
    scores = read_object(run.metrics, "evaluate") if finished else {}
    tags = {
        TRAINING_TAG: _training(run, started),
        "automl.run": run.id,
        "automl.recipe": recipe,
        "automl.task": plan.task,
        "automl.model": plan.model,
        "automl.dataset_digest": plan.dataset_digest,
        "automl.split": str(scores.get("split", "")),
        "automl.weights_sha256": weights_digest(run.model) if finished else "",
        "automl.licence": str(model.get("licence", "")),
        "mlflow.source.name": "automl",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": str((provenance.get("git") or {}).get("commit", "")),
        "automl.git": git_commit(provenance),
        **dict(_provenance_tags(provenance)),
        **_dvc_tags(run),
    }
    return {key: without_secrets(value) for key, value in tags.items() if value}


def _provenance_tags(provenance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every short fact of `provenance.json`, flat; the whole of it is an artefact as well."""
    for key, value in _flat("provenance", provenance):
        name = re.sub(r"[^\w./ -]", "_", key)
        if value not in ("", "{}", "[]") and len(value) <= LONGEST_TAG:
            yield name[:250], value


def _dvc_tags(run: RunDir) -> dict[str, str]:
    """Paths and digests of what DVC tracks, as the run's record has them."""
    from automl.record.dvc_files import DvcOut
    from automl.record.dvc_workspace import DvcRecord

    known = read_object(run.record, "record").get("dvc")
    if not known:
        return {}
    with told_as_damage(run.record, "record"):
        outs = {key: DvcOut(**known[key]) for key in ("data", "model") if known.get(key)}
        return DvcRecord(data=outs.get("data"), model=outs.get("model")).tags()


def _data(run: RunDir, plan: Plan) -> Data:
    """From the head of `dataset.json` and the profile; the samples stay where they are."""
    dataset, profile = read_object(run.dataset, "prepare"), read_object(run.profile, "prepare")
    root = str(dataset.get("root", ""))
    known = ("images", "classes", "class_counts", "width", "height")
    return Data(
        name=Path(root).name or plan.task,
        source=without_secrets(root),
        digest=plan.dataset_digest,
        profile={key: profile[key] for key in known if key in profile},
    )
