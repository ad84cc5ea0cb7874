"""A finished folder takes the place of an older one: whoever looks finds one of the two, whole.

Linux exchanges two names in one call. Where the file system cannot, there is an instant with none;
a process that is killed in it leaves the older one under `.<name>.old`, and `put_back` undoes that.
"""

import ctypes
import os
import shutil
from contextlib import suppress
from pathlib import Path

from automl.lock import holder

_HERE = -100
"""What Linux calls the current folder, in place of the descriptor of one (`AT_FDCWD`)."""
_EXCHANGE = 2


def beside(folder: Path) -> Path:
    """Where to write what is to take the place of a folder; clean, for what a kill left is gone."""
    put_back(folder, held_by_us=True)
    fresh = folder.parent / f".{folder.name}.new"
    _remove(fresh, _older(folder))
    return fresh


def replace_folder(fresh: Path, folder: Path) -> None:
    """Renames `fresh` to `folder`, and removes what that was; OSError leaves the older in place."""
    stale = _older(folder)
    if not os.path.lexists(folder):
        fresh.rename(folder)
    elif not exchange(fresh, folder):
        folder.rename(stale)
        try:
            fresh.rename(folder)
        except OSError:
            stale.rename(folder)
            raise
    _remove(fresh, stale)


def put_back(folder: Path, *, held_by_us: bool = False) -> None:
    """Gives the older folder its name again where a kill has left it without; else does nothing.

    Whoever works in the folder around it does that itself.
    """
    stale = _older(folder)
    if not stale.is_dir() or os.path.lexists(folder):
        return
    if held_by_us or holder(folder.parent) is None:
        with suppress(OSError):  # another one was quicker, or nothing may be written here
            stale.rename(folder)


def exchange(a: Path, b: Path) -> bool:
    """Whether two names were exchanged, in one call; nothing has happened where not."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0)


def _remove(*folders: Path) -> None:
    """A link goes, and what it leads to stays."""
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _older(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old"
