"""A path in a DVC workspace in, what its `.dvc` and `dvc.lock` files say of it out. Reads only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl.errors import DataError


@dataclass(frozen=True)
class DvcOut:
    """A tracked path: POSIX from the workspace's top, as is `file`, which holds its digest.

    `owned` says that a stage or an import makes it, so that nobody else may add it; `stage` is the
    name of that stage. `old` says that a DVC before 3 has hashed it, in another way.
    """

    path: str
    md5: str
    file: str
    owned: bool = False
    stage: str = ""
    old: bool = False


def tracked_by(root: Path, path: Path) -> DvcOut | None:
    """The tracked path that is `path` or holds it."""
    if not path.is_relative_to(root):
        return None
    places = [place for place in (path, *path.parents) if place.is_relative_to(root)]
    for place in places:
        for out in (*_dvc_file(root, place), *_lock(root, place)):
            if path.is_relative_to(root / out.path):
                return out
    return None


def tracked_in(root: Path, folder: Path) -> Iterator[DvcOut]:
    """The tracked paths inside of a folder, as far as two levels down."""
    for file in (*folder.glob("*.dvc"), *folder.glob("*/*.dvc")):
        if file.is_file():
            yield from _dvc_file(root, file.with_suffix(""))
    for place in (folder, *folder.parents):
        if place.is_relative_to(root):
            yield from (o for o in _lock(root, place) if (root / o.path).is_relative_to(folder))


def workspace(folder: Path) -> Path | None:
    """The nearest folder upward that DVC was initialised in."""
    for place in (folder.resolve(), *folder.resolve().parents):
        if (place / ".dvc").is_dir():
            return place
    return None


def _dvc_file(root: Path, place: Path) -> Iterator[DvcOut]:
    """The outputs of the `.dvc` file that lies beside a place and has its name."""
    file = place.with_name(f"{place.name}.dvc")
    if not file.is_file():
        return
    with _as_dvc_writes(file):
        content = _yaml(file)
        owned = "deps" in content or bool(content.get("frozen"))
        start = file.parent / str(content.get("wdir", "."))
        for out in content.get("outs") or ():
            yield from _out(root, start, out, file, owned=owned)


def _lock(root: Path, folder: Path) -> Iterator[DvcOut]:
    """The outputs of the stages whose `dvc.lock` lies in a folder."""
    file = folder / "dvc.lock"
    if not file.is_file():
        return
    with _as_dvc_writes(file):
        for name, stage in (_yaml(file).get("stages") or {}).items():
            for out in stage.get("outs") or ():
                yield from _out(root, folder, out, file, owned=True, stage=str(name))


def _out(
    root: Path, start: Path, out: dict[str, Any], file: Path, *, owned: bool, stage: str = ""
) -> Iterator[DvcOut]:
    path = Path(os.path.normpath(start / str(out["path"])))  # it may be a link into the cache
    if path.is_relative_to(root):  # or lie outside of the workspace
        md5, old = str(out.get("md5", "")), out.get("hash") != "md5"
        yield DvcOut(_posix(root, path), md5, _posix(root, file), owned, stage, old)


@contextmanager
def _as_dvc_writes(file: Path) -> Iterator[None]:
    """DataError where a file is anything else: a merge may have left its marks in it."""
    import yaml

    try:
        yield
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"`{file.name}` is not what DVC writes",
            where=str(file),
            hint="finish the merge that it is in, or bring it back by `git checkout`",
        ) from error


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _posix(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
