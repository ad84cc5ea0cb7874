"""An SQLite store that is not there yet, made beside its place and put there whole.

MLflow makes one by walking through every schema that it ever had. A kill meanwhile, or two runs
that begin at once, would leave a store that no later run can use.
"""

import os
from contextlib import suppress
from pathlib import Path


def provide(file: Path) -> None:
    """Puts an empty store where none is; where this fails, MLflow makes it and says why."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if file.exists() or not file.parent.is_dir():
        return
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    with suppress(OSError, MlflowException, SQLAlchemyError):
        try:
            MlflowClient(f"sqlite:///{fresh}").search_experiments(max_results=1)
            os.link(fresh, file)  # fails where another run was first
        finally:
            fresh.unlink(missing_ok=True)
