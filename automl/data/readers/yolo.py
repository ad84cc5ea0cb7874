"""YOLO: `data.yaml` and text files of relative boxes or outlines. `download` is never followed."""

from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from automl.data.files import files, folders, images, is_file, is_there
from automl.data.readers.named import with_background
from automl.data.readers.yolo_files import (
    Listed,
    by_tree,
    described,
    description_of,
    is_described,
    key_points,
    lists_images,
    load,
    names_beside,
    split_folders,
    split_of,
)
from automl.data.reading import (
    Box,
    Entry,
    Given,
    Reading,
    ReadOptions,
    Shape,
    classes_by_id,
    fatal,
    shown,
    unknown_class,
    unusable,
    warning,
)
from automl.dataset import Class, Finding, SplitName, Task

MOST_NAMELESS = 9999
"""Largest class id of a set that names no classes: Objects365 has 365, LVIS 1203."""
_LOOKED_AT = 50
_STRAIGHT = 1e-4
"""Share of the image by which two corners of an upright box may differ, written with 4 digits."""
_LIST_NAMES = "correct it, or list the names in data.yaml"


@dataclass
class _Gathered:
    """What accumulates over the images of a set."""

    root: Path
    task: Task
    points: int = 0
    """Numbers of key points behind each box."""
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    quads: list[bool] = field(default_factory=list)
    """Of each object of four corners, whether its sides are askew."""


def looks_like(path: Path, task: Task) -> str:
    """Why this is YOLO; empty where it is not, or where it has no outlines to segment by."""
    description = description_of(path)
    if task == "segmentation" and not _has_outlines(path):
        return ""
    if description and is_described(description):
        return f"`{description.name}` with names and splits"
    if not path.is_dir():
        return ""
    if _is_flat(path):
        return "images with a text file of boxes beside each"
    for top in (path, *(f for f, _ in split_folders(path))):
        labels = top / "labels"
        inside = [labels, *folders(labels)] if labels.is_dir() else []
        texts = (text for folder in inside for text in files(folder, ".txt"))
        if (top / "images").is_dir() and not all(map(lists_images, texts)):
            return f"`{shown(top / 'images', path)}` beside `labels` with text files"
    return ""


def _is_flat(path: Path) -> bool:
    """Whether the first text file beside an image of its name says where things are."""
    if (path / "images").is_dir():
        return False
    tops = [path, *(f for f in folders(path) if split_of(f))]
    beside = (p.with_suffix(".txt") for top in tops for p in images(top))
    first = next((p for p in beside if is_file(p)), None)
    if first is None:
        return False
    with first.open(encoding="utf-8", errors="replace") as lines:
        return isinstance(_object(next(lines, ""), "", outlined=False), Box)


def _has_outlines(path: Path) -> bool:
    """Whether one of the first files with labels has a line of more than one box."""
    root = path if path.is_dir() else path.parent
    tops = [root, *folders(root)]
    places = [top / "labels" for top in tops if (top / "labels").is_dir()]
    found = (p for place in places for f in (place, *folders(place)) for p in files(f, ".txt"))
    for source in islice(found, _LOOKED_AT):
        with source.open(encoding="utf-8", errors="replace") as lines:
            if any(len(line.split()) > 6 for line in lines):
                return True
    return False


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads by `data.yaml` where there is one, otherwise by the tree."""
    description = description_of(path)
    gathered = _Gathered(path if path.is_dir() else path.parent, task)
    document = load(description) if description else {}
    if description:
        sources = described(document, description)
    else:
        sources = by_tree(path, flat=_is_flat(path))
    gathered.points = key_points(document) or _seen_points(sources)
    for split, pictures in sources:
        for image in pictures:
            gathered.entries.append(_entry(image, split, gathered))
    gathered.findings += _not_upright(gathered)
    if not gathered.entries:
        raise unusable("no images found", path, "check `path`, `train` and `val` of data.yaml")
    if description and "download" in document:
        gathered.findings.append(_not_followed(shown(description, gathered.root)))
    classes = _classes(document, gathered, options.classes)
    gathered.findings += _unknown(gathered, classes)
    if task == "segmentation":
        classes = with_background(classes)
    splits = frozenset(split for split, _ in sources if split)
    entries, findings = tuple(gathered.entries), tuple(dict.fromkeys(gathered.findings))
    return Reading("yolo", gathered.root, classes, entries, findings, splits)


def _unknown(gathered: _Gathered, classes: tuple[Class, ...]) -> list[Finding]:
    """Ids of no class; where all are one too high, that is what is said."""
    known = {c.id for c in classes}
    every = [one for entry in gathered.entries for one in entry.objects]
    found = [
        unknown_class(f"id {one.class_id}", classes, one.where)
        for one in every
        if one.class_id not in known
    ]
    ids = {one.class_id for one in every}
    if 0 in ids or max(ids, default=0) != max(known, default=0) + 1:
        return found
    cure = "ids count from 0, and these seem to count from 1: subtract 1 from each"
    return [replace(one, cure=cure) for one in found]


def _entry(image: Path, split: SplitName | None, gathered: _Gathered) -> Entry:
    """No text file means: nothing to be found in this image."""
    label = label_of(image)
    outlined = gathered.task == "segmentation"
    boxes: list[Box] = []
    shapes: list[Shape] = []
    if is_file(label):
        where = shown(label, gathered.root)
        text = label.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                box = _box_of(line, gathered.points)
                found = _object(box, f"{where}:{number}", outlined=outlined)
                gathered.quads += _quad(line) if box == line else []
                if isinstance(found, Box):
                    boxes.append(found)
                elif isinstance(found, Shape):
                    shapes.append(found)
                else:
                    gathered.findings.append(found)
    elif is_there(label):
        gathered.findings.append(_malformed(shown(label, gathered.root), "no regular file"))
    drawn = tuple(shapes) if outlined else None
    return Entry(image, split, boxes=tuple(boxes), shapes=drawn, relative=True)


def label_of(image: Path) -> Path:
    """Where the boxes of an image are: in `labels`, else beside it."""
    label, beside = label_file(image), image.with_suffix(".txt")
    return beside if not is_there(label) and is_file(beside) else label


def label_file(image: Path) -> Path:
    """Where the boxes of an image are: the last folder `images` becomes `labels`."""
    parts = list(image.with_suffix(".txt").parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            return Path(*parts[:i], "labels", *parts[i + 1 :])
    return image.with_suffix(".txt")


def _object(line: str, where: str, *, outlined: bool) -> Box | Shape | Finding:
    """`class x y width height`, or an outline `class x y x y x y …`."""
    try:
        number, *values = (float(v) for v in line.split())
    except ValueError:
        return _malformed(where, "not numbers")
    if not number.is_integer() or number < 0:
        return _malformed(where, f"class `{line.split()[0]}` is not a whole number")
    if len(values) == 4 and outlined:
        reason = "a box alone says nothing of pixels"
        return fatal("malformed_annotation", where, reason, "expected `class x y x y x y ...`")
    if len(values) == 4:
        x, y, width, height = values
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0 and outlined:
        return Shape(int(number), (tuple(values),), where=where)
    elif len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    else:
        return _malformed(where, f"{len(values) + 1} numbers")
    return Box(int(number), corners, where=where)


def _box_of(line: str, points: int) -> str:
    """A line without the key points behind its box."""
    words = line.split()
    return " ".join(words[:5]) if points and len(words) == 5 + points else line


def _seen_points(sources: Listed) -> int:
    """Numbers of key points in the first labels, where each third one says 0, 1 or 2: how seen.

    An outline of such numbers would have a third of its coordinates on the border of the image.
    """
    labels = (label_of(image) for _, pictures in sources for image in pictures)
    seen: set[int] = set()
    for label in islice((p for p in labels if is_file(p)), _LOOKED_AT):
        text = label.read_text(encoding="utf-8", errors="replace")
        lines = [line.split()[5:] for line in text.splitlines() if line.strip()]
        if not all(_is_seen(word) for rest in lines for word in rest[2::3]):
            return 0
        seen |= {len(rest) for rest in lines}
    points = seen.pop() if len(seen) == 1 else 0
    return points if points >= 6 and points % 3 == 0 else 0


def _is_seen(word: str) -> bool:
    return word[:1] in "012" and not word[1:].strip(".0")


def _quad(line: str) -> list[bool]:
    """Whether four corners are askew; nothing for any other line."""
    words = line.split()
    if len(words) != 9:
        return []
    try:
        values = [float(word) for word in words[1:]]
    except ValueError:
        return []
    xs, ys = values[0::2], values[1::2]
    straight = all(
        min(abs(xs[i] - xs[i - 1]), abs(ys[i] - ys[i - 1])) < _STRAIGHT for i in range(4)
    )
    return [not straight]


def _not_upright(gathered: _Gathered) -> list[Finding]:
    """What a set holds more than boxes, and what becomes of it."""
    if gathered.points:
        reason = f"the {gathered.points} numbers of key points behind each box are left out"
        return [warning("key_points_left_out", ".", reason, "nothing to do where boxes are meant")]
    objects = sum(len(entry.objects) for entry in gathered.entries)
    askew = sum(gathered.quads)
    if gathered.task != "detection" or not askew or len(gathered.quads) < objects:
        return []
    reason = f"{askew} boxes are turned, and read as the upright boxes around them"
    return [warning("turned_box", ".", reason, "to learn their shape, set `task: segmentation`")]


def _not_followed(file: str) -> Finding:
    reason = "the key `download` names code or a page of others and is not followed"
    return warning("download_not_followed", file, reason, "fetch the data yourself; remove the key")


def _malformed(where: str, reason: str) -> Finding:
    cure = "expected `class x y width height`, relative to the image"
    return fatal("malformed_annotation", where, reason, cure)


def _classes(document: dict[str, Any], gathered: _Gathered, given: Given) -> tuple[Class, ...]:
    """By `data.yaml`, by `classes.txt`, or as many as there are ids."""
    named = document.get("names") or names_beside(gathered.root)
    names = _names(named, gathered.root)
    if names is not None:
        return classes_by_id(names, given)
    every = [one for entry in gathered.entries for one in entry.objects]
    ids = {one.class_id for one in every}
    if max(ids, default=0) > MOST_NAMELESS:
        where = next(one.where for one in every if one.class_id == max(ids))
        raise unusable(f"class id {max(ids)}, and no file that names it", Path(where), _LIST_NAMES)
    return classes_by_id({i: f"class_{i}" for i in range(max(ids, default=-1) + 1)}, given)


def _names(names: Any, root: Path) -> dict[int, str] | None:
    """The value of `names`, checked; None where it is left out."""
    if names is None:
        return None
    if not isinstance(names, dict | list):
        raise unusable("`names` is no list of names", root, "names: [cat, dog]")
    by_id = names if isinstance(names, dict) else dict(enumerate(names))
    if not all(isinstance(key, int) for key in by_id):
        raise unusable("keys of `names` are not whole numbers", root, "0: name, 1: …")
    if not all(isinstance(name, str | int | float | date) for name in by_id.values()):
        raise unusable("`names` holds something else than names", root, "names: [cat, dog]")
    return {key: str(name) for key, name in by_id.items()}
