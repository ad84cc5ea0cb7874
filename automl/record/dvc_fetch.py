"""Tracked data by its recorded digest in, its verified bytes in a folder out."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from automl.errors import DataError, MachineError
from automl.record.dvc_cache import verify
from automl.record.dvc_files import DvcOut
from automl.record.dvc_workspace import dvc_command, environment, reason
from automl.talk import Silent, Talk


def fetch(root: Path, md5: str, target: Path, talk: Talk | None = None) -> None:
    """Puts what DVC knows by a digest at `target`: from the cache, else from the remote.

    A `.dvc` file of its own in a passing folder of the workspace tells DVC what is wanted; what
    the workspace tracks now is not touched. DataError where the bytes cannot be had or are not
    those of the digest.
    """
    command = dvc_command()
    if command is None:
        raise MachineError("no `dvc` command", hint="`pip install dvc` brings it")
    with tempfile.TemporaryDirectory(prefix="automl-fetch-", dir=root) as folder:
        place = Path(folder).resolve()
        name = target.name
        out = DvcOut((place / name).relative_to(root).as_posix(), md5, f"{place.name}/{name}.dvc")
        wanted = {"outs": [{"md5": md5, "hash": "md5", "path": name}]}
        (root / out.file).write_text(json.dumps(wanted), encoding="utf-8")
        complaint = _run(command, root, "checkout", out.file)
        if complaint or not (place / name).exists():
            complaint = _run(command, root, "pull", out.file)
        if complaint or not (place / name).exists():
            raise DataError(
                f"DVC has no data of digest {md5}: {complaint}",
                where=str(root),
                hint="where there is a copy, `dvc push` brings it to the remote",
            )
        found = verify(root, out, talk or Silent())
        faults = found.faults + found.spare
        if faults:
            cure = "remove that file of the cache, then run again: it is fetched anew"
            told = [replace(fault, hint=cure) for fault in faults]
            raise DataError("the fetched data is damaged", faults=told)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(place / name, target)


def _run(command: str, root: Path, verb: str, file: str) -> str:
    """Runs DVC; what it complained of."""
    with environment() as variables:
        done = subprocess.run(  # noqa: S603
            [command, verb, "--", file],
            cwd=root,
            env=variables,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    return reason(done.stderr) if done.returncode else ""
