"""A folder for one command that is thrown away, also where an earlier command was killed."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "automl-plan-"
_LOCK = "lock"


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder; those that killed commands left behind are removed first."""
    _clear()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as made:
        inside = Path(made) / "run"
        inside.mkdir()
        with (Path(made) / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield inside


def _clear() -> None:
    """A lock that nobody holds any more tells that its command is dead, whichever machine's."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
                continue
            with (folder / _LOCK).open() as lock:  # one that is being made has none yet
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
