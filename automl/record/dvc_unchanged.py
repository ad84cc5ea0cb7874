"""Whether a tracked folder is as `dvc add` left it: the command takes a second to find that out."""

import os
from collections.abc import Iterator
from pathlib import Path

from automl.record.dvc_cache import listing, md5_of, place_of
from automl.record.dvc_config import cache_folder
from automl.record.dvc_files import DvcOut


def unchanged(root: Path, out: DvcOut) -> bool:
    """Files that are links of the cache and older than the `.dvc` file count; others are hashed."""
    cache, top = cache_folder(root), root / out.path
    place = place_of(cache, out.md5)
    if out.owned or out.old or f"{md5_of(place)}.dir" != out.md5:
        return False
    try:
        added = (root / out.file).stat().st_mtime_ns
        wanted = listing(place.read_bytes())
        if set(_names(top)) != wanted.keys():
            return False
        return all(
            _is_link(top / name, place_of(cache, md5), added) or md5_of(top / name) == md5
            for name, md5 in wanted.items()
        )
    except OSError:
        return False


def _is_link(file: Path, place: Path, added: int) -> bool:
    """Whether a file is the cache's own; one whose bytes were changed in place is younger."""
    here = file.stat()
    return here.st_mtime_ns <= added and os.path.samestat(here, place.stat())


def _names(top: Path) -> Iterator[str]:
    """All files of a folder, relative to it."""
    for folder, _, files in os.walk(top):
        for name in files:
            yield (Path(folder) / name).relative_to(top).as_posix()
