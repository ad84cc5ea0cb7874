"""A path in a DVC workspace in, what its `.dvc` and `dvc.lock` files say of it out. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DvcOut:
    """A tracked path: POSIX from the workspace's top, as is `file`, which holds its digest.

    `owned` says that a stage or an import makes it, so that nobody else may add it.
    """

    path: str
    md5: str
    file: str
    owned: bool = False


def tracked_by(root: Path, path: Path) -> DvcOut | None:
    """The tracked path that is `path` or holds it."""
    if not path.is_relative_to(root):
        return None
    places = [place for place in (path, *path.parents) if place.is_relative_to(root)]
    for place in places:
        for out, md5, file, owned in (*_dvc_file(place), *_lock(place)):
            if path == out or path.is_relative_to(out):
                return DvcOut(_posix(root, out), md5, _posix(root, file), owned)
    return None


def _dvc_file(place: Path) -> Iterator[tuple[Path, str, Path, bool]]:
    """The outputs of the `.dvc` file that lies beside a place and has its name."""
    file = place.with_name(f"{place.name}.dvc")
    if not file.is_file():
        return
    content = _yaml(file)
    owned = "deps" in content or bool(content.get("frozen"))
    for out in content.get("outs") or ():
        start = file.parent / str(content.get("wdir", "."))
        yield (start / str(out["path"])).resolve(), str(out.get("md5", "")), file, owned


def _lock(folder: Path) -> Iterator[tuple[Path, str, Path, bool]]:
    """The outputs of the stages whose `dvc.lock` lies in a folder."""
    file = folder / "dvc.lock"
    if not file.is_file():
        return
    for stage in (_yaml(file).get("stages") or {}).values():
        for out in stage.get("outs") or ():
            yield (folder / str(out["path"])).resolve(), str(out.get("md5", "")), file, True


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _posix(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
