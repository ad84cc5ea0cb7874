"""An SQLite store that is not there yet, made from an empty one that is kept with the caches.

MLflow makes a new store by walking through every schema that it ever had, which takes as long as
delivering a run. The empty store is kept by MLflow's version, with its own digest in its name.
"""

import hashlib
import os
import sqlite3
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path

DIGITS = 16


def provide(file: Path) -> None:
    """Puts an empty store where none is yet; where this fails, MLflow makes it and says why."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if file.exists() or not file.parent.is_dir():
        return
    with suppress(OSError, sqlite3.Error, MlflowException, SQLAlchemyError):
        content = _empty()
        if content is None:
            return
        fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
        try:
            fresh.write_bytes(content)
            os.link(fresh, file)  # fails where another run has made it meanwhile
        finally:
            fresh.unlink(missing_ok=True)


def _empty() -> bytes | None:
    """The bytes of an empty store of this MLflow, kept or made now; None without a cache."""
    from automl.data.scan_cache import folder

    place = folder()
    if place is None:
        return None
    place = place / "mlflow"
    version = metadata.version("mlflow")
    for kept in sorted(place.glob(f"{version}-*.db")):
        content = kept.read_bytes()
        if kept.stem == f"{version}-{_digest(content)}":
            return content
        kept.unlink(missing_ok=True)
    place.mkdir(parents=True, exist_ok=True)
    made = place / f"{os.getpid()}.new"
    try:
        _make(made)
        content = made.read_bytes()
        made.replace(place / f"{version}-{_digest(content)}.db")
    finally:
        made.unlink(missing_ok=True)
    return content


def _make(file: Path) -> None:
    """By MLflow; without the experiment that it makes, which names a folder."""
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{file}").search_experiments(max_results=1)
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("DELETE FROM experiments")
        opened.commit()
        opened.execute("VACUUM")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
