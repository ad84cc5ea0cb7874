"""A run folder in, one MLflow run out; what is recorded twice is there once.

The journal and the files of the run are the truth, MLflow is fed from them after the fact, with
their times and epochs. A server that does not answer costs seconds and never the run.
"""

import json
import logging
import os
import shlex
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.errors import MachineError
from automl.recipe import Recipe
from automl.record.mlflow_facts import TRAINING_TAG, Facts, read_facts
from automl.record.mlflow_register import model_name, register
from automl.record.provenance import without_secrets
from automl.run_dir import RunDir

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from automl.record.dvc_workspace import DvcRecord

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}
"""Quiet, and bounded in time: a call to a hung server ends after at most 2 x 20 s."""

ANSWER_S = 5.0
"""How long a server may take to its first answer."""


@dataclass(frozen=True)
class MlflowRecord:
    """Where the run is in MLflow; `look` is its page, or the command that opens one."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    look: str
    model: str = ""
    version: str = ""


def record(run: RunDir, recipe: Recipe, dvc: "DvcRecord | None" = None) -> MlflowRecord | None:
    """Feeds the run to MLflow from its folder; None where the recipe says `off`.

    A store that cannot be reached is a MachineError: the run is good, and may be recorded later.
    """
    if recipe.track.mlflow == "off":
        return None
    uri = tracking_uri(recipe.track.mlflow)
    with _reached(uri):
        return _record(run, recipe.track.experiment, uri, read_facts(run, dvc))


def tracking_uri(wanted: str, folder: Path | None = None) -> str:
    """The store that `track.mlflow` means; `auto` is the environment's or an SQLite file here."""
    if wanted != "auto":
        return wanted
    here = (folder or Path.cwd()) / "mlflow.db"
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{here}"


def quiet() -> None:
    """Sets what MLflow must find in the environment before it is imported; the user's wins."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def _reached(uri: str) -> Iterator[None]:
    """Turns whatever a store may throw into one fault that says how to go on."""
    quiet()
    _knock(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own modules while importing them
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with _as_default(uri):
                yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise _unreached(uri, str(error)) from error


@contextmanager
def _as_default(uri: str) -> Iterator[None]:
    """The store as MLflow's default while it is fed.

    Its registry looks up a model in the default store, whichever store the client was made for.
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # None: none is set


def _knock(uri: str) -> None:
    """Asks a server for any answer, because MLflow itself would wait long and more than once."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(uri, timeout=ANSWER_S).close()  # noqa: S310
    except urllib.error.HTTPError as answer:
        answer.close()
        if answer.code >= 500:
            raise _unreached(uri, f"it answers {answer.code}") from None
    except OSError as error:
        raise _unreached(uri, str(getattr(error, "reason", error))) from None


def _unreached(uri: str, why: str) -> MachineError:
    first = without_secrets(why).strip().splitlines() or [""]
    return MachineError(
        f"not recorded in MLflow: {first[0][:300]}",
        where=without_secrets(uri),
        hint="the run itself is complete; `automl record RUN` delivers it later",
    )


def _record(run: RunDir, experiment: str, uri: str, facts: Facts) -> MlflowRecord:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment_id = _experiment(client, experiment, uri)
    run_id = _run(client, experiment_id, facts)
    _log_values(client, run_id, facts)
    _log_dataset(client, run_id, facts)
    _log_files(client, run_id, run)
    name = version = ""
    if (run.model / "model.json").is_file():
        name = model_name(experiment, facts.recipe)
        version = register(client, experiment_id, run_id, run, facts, name)
    client.set_terminated(run_id, "FINISHED", end_time=facts.ended)
    look = _look(uri, experiment_id, run_id)
    return MlflowRecord(run_id, experiment_id, without_secrets(uri), look, name, version)


def _experiment(client: "MlflowClient", name: str, uri: str) -> str:
    """Its id; a new one in an SQLite file keeps its artefacts beside that file."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        place = None
        if uri.startswith("sqlite:///") and ":memory:" not in uri:
            file = Path(uri.removeprefix("sqlite:///").partition("?")[0])
            place = _artifacts(file.absolute().parent)
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except MlflowException as error:
            known = client.get_experiment_by_name(name)  # another process was quicker
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


def _run(client: "MlflowClient", experiment_id: str, facts: Facts) -> str:
    """The MLflow run of this training, found by its tag or made with the time of its start."""
    training = facts.tags[TRAINING_TAG]
    found = client.search_runs([experiment_id], f"tags.`{TRAINING_TAG}` = '{training}'", 1)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(
        experiment_id,
        start_time=facts.started,
        run_name=facts.name,
        tags={TRAINING_TAG: training},
    )
    return str(made.info.run_id)


def _log_values(client: "MlflowClient", run_id: str, facts: Facts) -> None:
    """Parameters, metrics and tags in batches; a store drops points that it has already."""
    from mlflow.entities import Metric, Param, RunTag

    known = client.get_run(run_id).data.params
    new = {key: value for key, value in facts.parameters.items() if key not in known}
    changed = {
        f"automl.now.{key}": value
        for key, value in facts.parameters.items()
        if known.get(key, value) != value  # a parameter is for ever; what changed since is a tag
    }
    parameters = [Param(key, value) for key, value in new.items()]
    tags = [RunTag(key, value) for key, value in {**facts.tags, **changed}.items()]
    points = [Metric(*point) for point in facts.points]
    for part in _parts(parameters, 100):
        client.log_batch(run_id, params=part)
    for part in _parts(tags, 100):
        client.log_batch(run_id, tags=part)
    for part in _parts(points, 500):
        client.log_batch(run_id, metrics=part)


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _log_dataset(client: "MlflowClient", run_id: str, facts: Facts) -> None:
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


def _log_files(client: "MlflowClient", run_id: str, run: RunDir) -> None:
    """The run's small files; those that a person wrote go without the secrets in their URLs."""
    for path in (run.recipe, run.provenance):
        if path.is_file():
            text = without_secrets(path.read_text(encoding="utf-8"))
            client.log_text(run_id, text, path.name)
    files = (run.plan, run.findings, run.profile, run.journal)
    for path in (*files, run.metrics, run.evaluation, run.report):
        if path.is_file():
            client.log_artifact(run_id, str(path))
    if run.plots.is_dir():
        client.log_artifact(run_id, str(run.plots))


def _look(uri: str, experiment_id: str, run_id: str) -> str:
    """Where a person sees the run: a page, or the command that opens one.

    One worker is enough for one person, and starts where four, on a busy machine, are given up.
    """
    shown = without_secrets(uri).rstrip("/")
    if uri.startswith(("http://", "https://")):
        return f"{shown}/#/experiments/{experiment_id}/runs/{run_id}"
    return f"mlflow ui --workers 1 --backend-store-uri {shlex.quote(shown)}"
