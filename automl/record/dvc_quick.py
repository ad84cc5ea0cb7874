"""What `dvc add` would do, without its second of work, where nothing is out of the ordinary.

Data that is as DVC has it is left alone; a new folder of a few files is
written as DVC writes it. Everything else is for the command: each function says whether it did it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from automl.files import write_text
from automl.record.dvc_cache import listing, md5_of, place_of, tree_bytes
from automl.record.dvc_config import cache_folder, options
from automl.record.dvc_files import DvcOut

PLAIN = {("core", "analytics"), ("core", "check_update"), ("core", "remote"), ("cache", "dir")}
"""Settings of DVC that change nothing here; with any other one the command does the work."""
READ_ONLY = 0o444


def unchanged(root: Path, out: DvcOut) -> bool:
    """Whether a tracked folder is as it was added; what is no link of the cache is hashed."""
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


def add(root: Path, folder: Path) -> bool:
    """Links a folder that DVC does not know into its cache and writes the `.dvc` file."""
    import yaml

    if _file(folder).exists() or not _is_ordinary(root, folder):
        return False
    try:
        cache = cache_folder(root)
        hashes = {name: str(md5_of(folder / name)) for name in sorted(_names(folder))}
        size = sum((folder / name).stat().st_size for name in hashes)
        if not all(_link(folder / name, place_of(cache, md5), md5) for name, md5 in hashes.items()):
            return False
        content, md5 = tree_bytes(hashes)
        _keep(place_of(cache, md5), content)
        _ignore(folder)
        out = {"md5": md5, "size": size, "nfiles": len(hashes), "hash": "md5", "path": folder.name}
        write_text(_file(folder), yaml.safe_dump({"outs": [out]}, sort_keys=False))
    except OSError:
        return False
    return True


def _is_ordinary(root: Path, folder: Path) -> bool:
    """No settings, rules or stages that DVC would have to look at; nothing of it is Git's."""
    if {key for key in options(root) if not key[0].startswith("'remote")} - PLAIN:
        return False
    between = [place for place in folder.parents if place.is_relative_to(root)]
    if any((place / "dvc.yaml").exists() or _rules(place / ".dvcignore") for place in between):
        return False
    git = shutil.which("git")
    if git is None or any(path.is_symlink() for path in (folder, *folder.rglob("*"))):
        return False
    asked = _git(git, root, "ls-files", "--", str(folder))
    hidden = _git(git, root, "check-ignore", "--quiet", "--", str(_file(folder)))
    return asked.returncode == 0 and not asked.stdout and hidden.returncode == 1


def _file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.dvc")


def _git(git: str, root: Path, *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([git, *words], cwd=root, capture_output=True, check=False)  # noqa: S603


def _rules(file: Path) -> bool:
    if not file.is_file():
        return False
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.startswith("#") for line in lines)


def _names(top: Path) -> Iterator[str]:
    """All files of a folder, relative to it."""
    for folder, _, files in os.walk(top):
        for name in files:
            yield (Path(folder) / name).relative_to(top).as_posix()


def _link(file: Path, place: Path, md5: str) -> bool:
    """Makes a file and that of the cache one; False where the cache holds other bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        os.link(file, place)
    elif not place.samefile(file):
        if md5_of(place) != md5:
            return False
        fresh = file.with_name(f".{file.name}.new")
        fresh.unlink(missing_ok=True)
        os.link(place, fresh)
        fresh.replace(file)
    place.chmod(READ_ONLY)
    return True


def _keep(place: Path, content: bytes) -> None:
    """The list of files, as a whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f"{place.name}.{os.getpid()}.new")
    fresh.write_bytes(content)
    fresh.chmod(READ_ONLY)
    fresh.replace(place)


def _ignore(folder: Path) -> None:
    """The line by which Git leaves the folder to DVC."""
    file, line = folder.with_name(".gitignore"), f"/{folder.name}"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if line not in text.splitlines():
        end = "" if not text or text.endswith("\n") else "\n"
        write_text(file, f"{text}{end}{line}\n")
