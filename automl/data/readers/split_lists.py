"""Lists that share the images of class folders out to splits, as CUB, Food-101 and DTD have them.

CUB numbers its images and writes 1 beside those to train on; the others list the images of each
split without their class: `meta/train.txt` with `apple_pie/1005649`, or `labels/train1.txt`, the
first of ten partitions.
"""

from collections.abc import Collection
from dataclasses import replace
from itertools import islice
from pathlib import Path

from automl.data.files import (
    find_image,
    is_image,
    is_there,
    read_text,
    split_word,
    without_ending,
)
from automl.data.reading import Entry, shown, warning
from automl.dataset import Finding, SplitName

_FOLDERS = (".", "meta", "labels", "splits")
_CUB = ("images.txt", "train_test_split.txt")
_LOOKED_AT = 5
"""Lines by which a list is known."""
Listed = dict[str, SplitName]
"""Path below the class folders, without its ending, to split."""


def split_lists(root: Path) -> list[Path]:
    """The lists beside class folders, or beside the `images` that hold them; none without train."""
    if all((root / name).is_file() for name in _CUB):
        return [root / _CUB[1]]
    for folder in _FOLDERS:
        for number in ("", "1"):
            found = sorted((root / folder).glob(f"*{number}.txt"))
            lists = {f: s for f in found if (s := split_word(f.stem.removesuffix(number)))}
            lists = {f: s for f, s in lists.items() if _names_images(f, class_folders(root))}
            once = len(set(lists.values())) == len(lists) > 1
            if once and "train" in lists.values():
                return [*lists]
    return []


def class_folders(root: Path) -> Path:
    """Where the class folders are."""
    return root / "images" if (root / "images").is_dir() else root


def shared_out(
    entries: list[Entry], lists: list[Path], root: Path
) -> tuple[list[Entry], list[Finding], frozenset[SplitName]]:
    """The entries with their splits; those of no list are left out, and told."""
    top = class_folders(root)
    listed = _of_numbers(root) if lists[0].name == _CUB[1] else _of_names(lists)
    names = [without_ending(entry.path.relative_to(top)).as_posix() for entry in entries]
    kept = [
        replace(entry, split=listed[name])
        for entry, name in zip(entries, names, strict=True)
        if name in listed
    ]
    where = shown(lists[0], root)
    unlisted, missing = sorted({*names} - {*listed}), sorted({*listed} - {*names})
    cure = "list them, or remove the lists to have splits drawn"
    findings = _told(where, "not_in_lists", unlisted, "images are in no list, and left out", cure)
    cure = "restore them or remove the lines"
    findings += _told(where, "missing_image", missing, "images that are listed are not there", cure)
    return kept, findings, frozenset(listed.values())


def _of_numbers(root: Path) -> Listed:
    """`1 001.Albatross/a.jpg` in one file, `1 0` in the other: number 1 is to test on."""
    paths, shares = (_pairs(root / name) for name in _CUB)
    splits: dict[str, SplitName] = {"1": "train", "0": "test"}
    found = {path: splits.get(shares.get(number, "")) for number, path in paths.items()}
    return {_plain(path): split for path, split in found.items() if split}


def _pairs(file: Path) -> dict[str, str]:
    lines = (line.strip().partition(" ") for line in read_text(file).splitlines())
    return {first: rest.strip() for first, _, rest in lines if rest}


def _of_names(lists: Collection[Path]) -> Listed:
    """An image that two lists name counts for the later split, which is judged on."""
    found: Listed = {}
    for split in ("train", "val", "test"):
        own = [f for f in lists if split_word(f.stem.removesuffix("1")) == split]
        lines = (line.strip() for file in own for line in read_text(file).splitlines())
        found |= {_plain(line): split for line in lines if line}
    return found


def _plain(name: str) -> str:
    path = Path(name.replace("\\", "/"))
    return (without_ending(path) if is_image(path) else path).as_posix()


def _names_images(file: Path, top: Path) -> bool:
    """Whether each of the first lines is an image in a class folder, with or without its ending."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            names = [line.strip() for line in islice(lines, _LOOKED_AT) if line.strip()]
    except OSError:
        return False
    return bool(names) and all("/" in name and _is_there(top / name) for name in names)


def _is_there(path: Path) -> bool:
    return is_there(find_image([path.parent], path.name, stem=path.name))


def _told(where: str, code: str, names: list[str], reason: str, cure: str) -> list[Finding]:
    few = ", ".join(f"`{name}`" for name in names[:3]) + (", ..." if len(names) > 3 else "")
    return [warning(code, where, f"{len(names)} {reason}: {few}", cure)] if names else []
