"""Facts of a run in, one MLflow run with its values out: asks what is there, sends what is not.

May be killed after any request: whatever was sent is found by the next delivery.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.record.mlflow_client import Store
from automl.record.mlflow_facts import TRAINING_TAG, Facts, Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def experiment_of(client: "MlflowClient", store: Store) -> str:
    """Its id; a new one in an SQLite file keeps its artefacts beside that file."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(store.experiment)
    if known is None:
        place = _artifacts(store.file.parent) if store.file else None
        try:
            return str(client.create_experiment(store.experiment, artifact_location=place))
        except MlflowException as error:
            known = client.get_experiment_by_name(store.experiment)  # another was quicker
            if known is None:
                raise error from None
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    return str(known.experiment_id)


def _artifacts(folder: Path) -> str:
    """The folder `mlartifacts`, hidden from Git when it is new: it will hold weights."""
    made = folder / "mlartifacts"
    if not made.exists():
        made.mkdir(parents=True)
        (made / ".gitignore").write_text("*\n", encoding="utf-8")
    return made.as_uri()


def run_of(client: "MlflowClient", experiment_id: str, facts: Facts) -> str:
    """The MLflow run of this training, found by its tag or made with the time of its start.

    A delivery that was killed while a slow server made the run may leave two: the first stays.
    """
    found = _tagged(client, experiment_id, facts.training)
    for extra in found[1:]:
        client.delete_run(extra.info.run_id)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(
        experiment_id,
        start_time=facts.started,
        run_name=facts.name,
        tags={TRAINING_TAG: facts.training},
    )
    return str(made.info.run_id)


def _tagged(client: "MlflowClient", experiment_id: str, training: str) -> "list[Run]":
    found = client.search_runs([experiment_id], f"tags.`{TRAINING_TAG}` = '{training}'", 1, 10)
    return sorted(found, key=lambda run: str(run.info.run_id))


def send_values(client: "MlflowClient", run_id: str, facts: Facts) -> int:
    """Parameters, metrics and tags in batches, each once; how many points were not there yet."""
    from mlflow.entities import Metric, Param, RunTag

    there = client.get_run(run_id).data
    known = there.params
    new = {key: value for key, value in facts.parameters.items() if key not in known}
    changed = {
        f"automl.now.{key}": value
        for key, value in facts.parameters.items()
        if known.get(key, value) != value  # a parameter is for ever; what changed since is a tag
    }
    wanted = {**facts.tags, **changed}
    parameters = [Param(key, value) for key, value in new.items()]
    tags = [RunTag(key, value) for key, value in wanted.items() if there.tags.get(key) != value]
    points = [Metric(*point) for point in _missing(client, run_id, set(there.metrics), facts)]
    for part in _parts(parameters, 100):
        client.log_batch(run_id, params=part)
    for part in _parts(tags, 100):
        client.log_batch(run_id, tags=part)
    for part in _parts(points, 500):
        client.log_batch(run_id, metrics=part)
    return len(points)


def send_points(
    client: "MlflowClient", run_id: str, points: Iterable[Point], sent: set[Point]
) -> None:
    """The points that are not in `sent`, which then holds them: for whoever follows a training."""
    from mlflow.entities import Metric

    fresh = [point for point in points if point not in sent]
    for part in _parts(fresh, 500):
        client.log_batch(run_id, metrics=[Metric(*point) for point in part])
        sent.update(part)


def _missing(client: "MlflowClient", run_id: str, known: set[str], facts: Facts) -> Iterator[Point]:
    """The points that the store does not hold.

    An epoch has one point per key, also where a crash made the run repeat it. A score may be
    given anew; some stores keep what is sent twice, hence the question.
    """
    history = {
        key: {(m.step, m.value) for m in client.get_metric_history(run_id, key)}
        for key in known & {point[0] for point in (*facts.points, *facts.scores)}
    }
    for point in facts.points:
        if point[3] not in {step for step, _ in history.get(point[0], ())}:
            yield point
    for point in facts.scores:
        if (point[3], point[1]) not in history.get(point[0], ()):
            yield point


def supersede(client: "MlflowClient", experiment_id: str, others: Iterable[str]) -> None:
    """Marks what earlier starts of the same folder left running: they never ended."""
    for training in others:
        for run in _tagged(client, experiment_id, training):
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")


def send_dataset(client: "MlflowClient", run_id: str, facts: Facts) -> None:
    """The data as the run's input; MLflow has room for 36 characters of the digest."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = facts.data
    described = MetaDataset(
        LocalArtifactDatasetSource(data.source), name=data.name, digest=data.digest[:36]
    ).to_dict()
    dataset = Dataset(
        name=described["name"],
        digest=described["digest"],
        source_type=described["source_type"],
        source=described["source"],
        profile=json.dumps({"digest": data.digest, **data.profile}),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
