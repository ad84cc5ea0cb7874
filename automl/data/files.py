"""Folders to sorted lists of files: links followed without looping, hidden files left out."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from automl.data.decoding import ending_of
from automl.data.images import SUFFIXES
from automl.dataset import SplitName
from automl.errors import DataError, MachineError

_COMMON = (".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".tif", ".tiff")

DEEPEST = 8
"""Last parts of another machine's path that are looked for here."""

_SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}

_WORD = re.compile("[A-Z]*[a-z]+|[A-Z]+")
"""Also those of `trainLabels`."""


def split_word(name: str) -> SplitName | None:
    """The split that a folder or file name stands for as a whole: `valid` is `val`."""
    return _SPLIT_WORDS.get(name.lower())


def split_in(name: str) -> SplitName | None:
    """The split that a name mentions: `instances_train2017` is `train`; two splits are none."""
    found = {split for word in _WORD.findall(name) if (split := split_word(word))}
    return found.pop() if len(found) == 1 else None


def words(name: str) -> set[str]:
    """The words of a name in small letters: `train-labelImg` has `train`, `label` and `img`."""
    return {word.lower() for word in _WORD.findall(name)}


def without_split(name: str) -> str:
    """What `seg_train` and `seg_test` have in common."""
    return _WORD.sub(lambda word: "" if split_word(word[0]) else word[0], name)


def is_image(path: Path) -> bool:
    """Whether the name says image; the content is checked when it is decoded."""
    return ending_of(path) in SUFFIXES and not path.name.startswith(".")


def without_ending(path: Path) -> Path:
    """The path without `.png` or `.nii.gz`."""
    return path.with_name(path.name[: len(path.name) - len(ending_of(path))])


def folders(folder: Path) -> list[Path]:
    """The visible folders directly inside, sorted by name."""
    return sorted(p for p in _inside(folder) if p.is_dir())


def images(folder: Path) -> list[Path]:
    """The images directly inside, sorted; a dangling link counts, so that it is reported."""
    return sorted(p for p in _inside(folder) if is_image(p) and not p.is_dir())


def files(folder: Path, suffix: str) -> list[Path]:
    """The files directly inside whose name ends so, sorted."""
    return sorted(p for p in _inside(folder) if p.suffix.lower() == suffix and p.is_file())


def walk_images(folder: Path) -> list[Path]:
    """All images below, sorted."""
    return sorted(p for inside in _below(folder, ()) for p in images(inside))


def holds_images(folder: Path) -> bool:
    """Whether there is any image at any depth."""
    return any(images(inside) for inside in _below(folder, ()))


def first_folder(root: Path, *names: str) -> Path | None:
    """The first of these folders that exists inside."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def find_image(bases: Iterable[Path], name: str, *, stem: str = "") -> Path:
    """The file `name` in the first folder that has it, whole or by its last part; or its place.

    Where no such name is there, `stem` with the ending of any image will do.
    """
    plain = Path(name.replace("\\", "/"))
    found = list(dict.fromkeys(bases))
    names = [plain, Path(plain.name)]
    names += [Path(f"{stem}{end}") for end in _COMMON if stem]
    return first_there([base / one for one in names for base in found])


def first_there(candidates: Sequence[Path]) -> Path:
    """The first that is there, else in other capitals (`a.JPG` for `a.jpg`), else the first."""
    found = next((c for c in candidates if is_there(c)), None)
    return found or next((p for c in candidates if (p := _in_capitals(c))), candidates[0])


def _in_capitals(place: Path) -> Path | None:
    """The one file whose name differs in capitals only: some systems do not tell them apart."""
    try:
        changed = place.parent.stat().st_mtime_ns
    except (OSError, ValueError):
        return None
    return _by_small_letters(place.parent, changed).get(place.name.casefold())


@lru_cache(maxsize=64)
def _by_small_letters(folder: Path, _changed: int) -> dict[str, Path | None]:
    found: dict[str, Path | None] = {}
    for path in _inside(folder):
        name = path.name.casefold()
        found[name] = None if name in found else path
    return found


def is_there(path: Path) -> bool:
    """Whether anything has this name; no name that a system refuses."""
    try:
        return path.exists()
    except (OSError, ValueError):  # such as a name that is too long, or holds NUL
        return False


def is_file(path: Path) -> bool:
    """Whether it is a file; no name that a system refuses is one."""
    return is_there(path) and path.is_file()


def ways(name: str) -> list[Path]:
    """A path as it is written; one of another machine, or place, also without its first parts.

    A relative one keeps a folder: `train/1.png` is not `1.png`.
    """
    plain = PurePosixPath(name.replace("\\", "/"))
    foreign = plain.is_absolute() or re.match("[A-Za-z]:/", str(plain))
    parts = plain.parts[1:][-DEEPEST:]
    least = 1 if foreign else 2
    return [Path(plain), *(Path(*parts[at:]) for at in range(len(parts) + 1 - least))]


def impossible(path: Path) -> str:
    """Why no file can have this name; empty where one can."""
    if "\0" in str(path):
        return "no such file"
    longest = max(len(os.fsencode(part)) for part in (*path.parts, ""))
    return "File name too long" if longest > 255 or len(os.fsencode(path)) > 4095 else ""


def read_text(path: Path) -> str:
    """The text of a small file; `DataError` where it is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("not UTF-8 text", where=str(path), hint="save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _inside(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX", "@eaDir")  # of Synology, with a thumbnail of each image
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(hidden)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise MachineError("folder may not be read", where=str(folder)) from None


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The folder and all below it; a link back to a folder on the way here is not followed."""
    real = folder.resolve()
    if above and above[-1].is_relative_to(real):
        return
    yield folder
    for child in folders(folder):
        yield from _below(child, (*above, real))
