"""A run folder in, one MLflow run out; what is recorded twice is there once.

The journal and the files of the run are the truth, MLflow is fed from them after the fact, with
their times and epochs. Only the process of `mlflow_child` calls this; the others watch it.
"""

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automl.record.mlflow_client import Store, opened
from automl.record.mlflow_facts import Facts, read_facts
from automl.record.mlflow_register import model_name, register
from automl.record.mlflow_values import (
    experiment_of,
    run_of,
    send_dataset,
    send_values,
    supersede,
)
from automl.record.provenance import without_secrets
from automl.run_dir import RunDir

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class MlflowRecord:
    """Where the run is in MLflow; `look` is its page, or the command that opens one."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    look: str
    model: str = ""
    version: str = ""


def record(run: RunDir, store: Store) -> tuple[MlflowRecord, int, int]:
    """Feeds the run to MLflow from its folder; also counts its points, and those that were new.

    A store that cannot be reached is a MachineError: the run is good, and may be recorded later.
    """
    facts = read_facts(run)
    with opened(store) as client:
        experiment_id = experiment_of(client, store)
        run_id = run_of(client, experiment_id, facts)
        sent = send_values(client, run_id, facts)
        made = _rest(client, run, store, facts, (experiment_id, run_id))
        return made, len(facts.points) + len(facts.scores), sent


def _rest(
    client: "MlflowClient", run: RunDir, store: Store, facts: Facts, place: tuple[str, str]
) -> MlflowRecord:
    """What comes after the values; the end is told last, so that it means: all is there."""
    experiment_id, run_id = place
    send_dataset(client, run_id, facts)
    _send_files(client, run_id, run)
    name = version = ""
    if facts.finished and (run.model / "model.json").is_file():
        name = model_name(store.experiment, facts.recipe)
        version = register(client, experiment_id, run_id, run, facts, name)
    supersede(client, experiment_id, facts.others)
    status = "FINISHED" if facts.finished else "KILLED"
    client.set_terminated(run_id, status, end_time=facts.ended)
    look = _look(store, experiment_id, run_id)
    return MlflowRecord(run_id, experiment_id, store.shown, look, name, version)


def _send_files(client: "MlflowClient", run_id: str, run: RunDir) -> None:
    """The run's small files; those that a person wrote go without the secrets in their URLs.

    They go as one folder of links: MLflow asks for the run again with every call.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in (run.recipe, run.provenance):
            if path.is_file():
                text = without_secrets(path.read_text(encoding="utf-8"))
                (folder / path.name).write_text(text, encoding="utf-8")
        files = (run.patch, run.own_patch, run.plan, run.findings, run.profile, run.journal)
        for path in (*files, run.metrics, run.evaluation, run.report):
            if path.is_file():
                (folder / path.name).symlink_to(path.absolute())
        if run.plots.is_dir():
            links = folder / run.plots.name
            shutil.copytree(run.plots.absolute(), links, copy_function=os.symlink)
        client.log_artifacts(run_id, str(folder))


def _look(store: Store, experiment_id: str, run_id: str) -> str:
    """Where a person sees the run: a page, or the command that opens one.

    One worker is enough for one person, and starts where four, on a busy machine, are given up.
    """
    shown = store.shown.rstrip("/")
    if store.is_server:
        return f"{shown}/#/experiments/{experiment_id}/runs/{run_id}"
    return f"mlflow ui --workers 1 --backend-store-uri {shlex.quote(shown)}"
