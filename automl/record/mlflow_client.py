"""A store's address in, an MLflow client out: quiet, bounded in time, with one kind of error."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automl.credentials import whole
from automl.errors import MachineError
from automl.record.mlflow_new_store import provide
from automl.record.provenance import without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

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


@dataclass(frozen=True)
class Store:
    """Where a run is to be recorded; the address may hold a password."""

    uri: str
    experiment: str

    @property
    def is_server(self) -> bool:
        """Whether it is asked over HTTP."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def file(self) -> Path | None:
        """The SQLite file that it is; None for all others."""
        if not self.uri.startswith("sqlite:///"):
            return None
        path = self.uri.removeprefix("sqlite:///").partition("?")[0]
        return Path(path).absolute() if path and ":memory:" not in path else None

    @property
    def shown(self) -> str:
        """The address for people and files."""
        return without_secrets(self.uri)


def tracking_uri(wanted: str) -> str:
    """The store that `track.mlflow` means; `auto` is the environment's or an SQLite file here."""
    named = wanted if wanted != "auto" else os.environ.get("MLFLOW_TRACKING_URI")
    here = Path.cwd() / "mlflow.db"
    return whole(named) if named else f"sqlite:///{here}"


def quiet() -> None:
    """Sets what MLflow must find in the environment before it is imported; the user's wins."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def unreached(store: Store, why: str) -> MachineError:
    """The one fault of a store that is down, slow, full or of another mind."""
    first = without_secrets(why).strip().splitlines() or [""]
    return MachineError(
        f"not recorded in MLflow: {first[0][:300]}",
        where=store.shown,
        hint="the run itself is complete; `automl sync` delivers it later",
    )


@contextmanager
def opened(store: Store) -> "Iterator[MlflowClient]":
    """A client of the store; whatever the store may throw becomes `unreached`."""
    quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own modules while importing them
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if store.file:
            provide(store.file)
        try:
            with _as_default(store.uri):
                yield MlflowClient(tracking_uri=store.uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise unreached(store, str(error)) from error


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
