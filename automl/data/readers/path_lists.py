"""Plain text lists of images with their class: `train.txt` with `path label` in each line."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from automl.data.files import files, is_image, is_there, read_text, split_in, split_word
from automl.data.readers.finder import Finder
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.reading import Given, Reading, ReadOptions, fatal, shown, unusable, warning
from automl.dataset import SplitName, Task
from automl.errors import DataError

_LOOKED_AT = 5
"""Lines by which a list is known."""
_NAMES = (
    *("classes.txt", "labels.txt", "class_names.txt", "classnames.txt", "label_names.txt"),
    *("names.txt", "synset_words.txt", "synsets.txt"),
)
_ID = r"\d{1,9}"
_Row = tuple[str, str, str]
"""Path, label and where it stands."""


def looks_like(path: Path, task: Task) -> str:
    """Why these are such lists; empty where they are not."""
    found = ", ".join(f"`{source.name}`" for source in _lists(path))
    return f"{found} with a path and a label in each line" if found else ""


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Numbers are the lines of a file of names, from 0, where there is one."""
    sources = _lists(path)
    if not sources:
        raise unusable("no list of images", path, "expected `path label` in each line of train.txt")
    found = Found("lists", path if path.is_dir() else path.parent)
    splits = {source: split_in(source.stem) if len(sources) > 1 else None for source in sources}
    if len(set(splits.values())) < len(sources):
        names = ", ".join(source.name for source in sources)
        hint = "name one of them as `data.path`, or name them train, val and test"
        raise unusable(f"several lists: {names}", path, hint)
    rows = {source: list(_rows(source, found)) for source in sources}
    names_ = _given(options.classes) or _names(found.root, sources)
    found.listed = [name for _, name in sorted(names_.items())]
    unlabelled = _without_labels(rows, splits)
    for source, own in rows.items():
        if source in unlabelled:
            reason = f"all {len(own)} images have the label 0, which seems to stand for none"
            cure = "write their classes, or remove the list"
            found.findings.append(warning("split_without_labels", source.name, reason, cure))
        else:
            _pictures(own, source, splits[source], names_, found)
    found.splits = frozenset(p.split for p in found.pictures if p.split)
    return assemble(found, task, options)


def _lists(path: Path) -> list[Path]:
    """Those named after a split, where there are any; `train.txt` before `train_small.txt`."""
    every = files(path, ".txt") if path.is_dir() else [path]
    every = [source for source in every if source.suffix.lower() == ".txt" and _is_list(source)]
    whole = [source for source in every if split_word(source.stem)]
    return whole or [source for source in every if split_in(source.stem)] or every


def _is_list(source: Path) -> bool:
    """Whether the first lines each name an image that is there."""
    finder = Finder(source.parent, "images", split_in(source.stem))
    try:
        with source.open(encoding="utf-8-sig", errors="replace") as file:
            lines = [line for line in islice(file, _LOOKED_AT) if line.strip()]
    except OSError:
        return False
    pairs = [_pair(line) for line in lines]
    return bool(pairs) and all(pair and is_there(finder.find(pair[0])) for pair in pairs)


def _pair(line: str) -> tuple[str, str] | None:
    """Path and label; of boxes (`1,2,3,4,0`), masks and several labels this is no list."""
    tabs = "\t" in line
    path, _, label = line.strip().rpartition("\t") if tabs else _last_word(line.strip())
    path, label = path.strip(), label.strip()
    if not label or is_image(Path(label)) or not is_image(Path(path)):
        return None
    return None if not tabs and "," in label else (path, label)


def _last_word(line: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"(.*\S)(\s+)(\S+)", line)
    return (found[1], found[2], found[3]) if found else ("", "", "")


def _rows(source: Path, found: Found) -> Iterator[_Row]:
    for number, line in enumerate(read_text(source).splitlines(), 1):
        where = f"{shown(source, found.root)}:{number}"
        if pair := _pair(line):
            yield *pair, where
        elif line.strip():
            reason = f"needs a path and a label, not: {line.strip()[:80]}"
            found.findings.append(malformed(where, reason, "correct the line"))


def _without_labels(
    rows: dict[Path, list[_Row]], splits: dict[Path, SplitName | None]
) -> list[Path]:
    """Lists of test images whose labels nobody gave away: all 0, unlike the others."""
    labels = {source: {label for _, label, _ in own} for source, own in rows.items()}
    several = any(len(own) > 1 for own in labels.values())
    return [
        source
        for source, own in labels.items()
        if several and splits[source] == "test" and own == {"0"} and len(rows[source]) > 1
    ]


def _pictures(
    rows: list[_Row],
    source: Path,
    split: SplitName | None,
    names: dict[int, str],
    found: Found,
) -> None:
    finder = Finder(source.parent, "images", split_in(source.stem))
    unknown: set[str] = set()
    for path, label, where in rows:
        name = _name(label, names)
        if name is None:
            if label not in unknown:
                reason = (
                    f"label {label[:40]} is no name that is listed, nor the number of one from 0"
                )
                cure = "complete the list of names, or number its lines, such as `1 cat`"
                found.findings.append(fatal("unknown_class", where, reason, cure))
            unknown.add(label)
            continue
        found.pictures.append(Picture(finder.find(path), split, (Mark(name, where=where),)))


def _name(label: str, names: dict[int, str]) -> str | None:
    """What a label stands for; itself where no names are listed."""
    if not names or (label in names.values() and not re.fullmatch(_ID, label)):
        return label
    return names.get(int(label)) if re.fullmatch(_ID, label) else None


def _given(classes: Given) -> dict[int, str]:
    return classes if isinstance(classes, dict) else dict(enumerate(classes or ()))


def _names(root: Path, lists: list[Path]) -> dict[int, str]:
    """By number of the line, from 0, or by a number in front of each name."""
    places = (root / name for name in _NAMES)
    source = next((p for p in places if p.is_file() and p not in lists), None)
    lines = [line.strip() for line in read_text(source).splitlines()] if source else []
    lines = [line for line in lines if line]
    parts = [re.fullmatch(rf"({_ID}|n\d{{8}})[\s:,]+(\S.*)", line) for line in lines]
    numbers = [part[1] for part in parts if part and part[1].isdecimal()]
    names = dict(enumerate(lines))
    if parts and len(numbers) == len(lines) == len(set(numbers)):
        names = {int(part[1]): part[2] for part in parts if part}
    elif parts and all(parts) and not numbers:  # of WordNet; two of its names are not unique
        plain = [part[2] for part in parts if part]
        names = dict(enumerate(plain)) if len(set(plain)) == len(plain) else names
    if source and len(set(names.values())) < len(names):
        twice = next(n for n in names.values() if list(names.values()).count(n) > 1)
        raise DataError(f"`{twice}` stands twice", where=str(source), hint="give each a name")
    return names
