"""YOLO: `data.yaml` and text files of relative boxes or outlines. `download` is never followed."""

from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from automl.data.documents import load_yaml
from automl.data.files import (
    files,
    folders,
    images,
    is_file,
    is_image,
    is_there,
    read_text,
    split_word,
    walk_images,
)
from automl.data.readers.named import with_background
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
_LIST_NAMES = "correct it, or list the names in data.yaml"
_NAMED = ("classes.txt", "labels/classes.txt", "obj.names", "train/_darknet.labels")
_KEYS: dict[str, SplitName] = {"train": "train", "val": "val", "valid": "val", "test": "test"}


@dataclass
class _Gathered:
    """What accumulates over the images of a set."""

    root: Path
    task: Task
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def looks_like(path: Path, task: Task) -> str:
    """Why this is YOLO; empty where it is not, or where it has no outlines to segment by."""
    description = _description(path)
    if task == "segmentation" and not _has_outlines(path):
        return ""
    if description and _describes(_load(description)):
        return f"`{description.name}` with names and splits"
    if not path.is_dir():
        return ""
    if _is_flat(path):
        return "images with a text file of boxes beside each"
    labels = path / "labels"
    inside = [labels, *folders(labels)] if labels.is_dir() else []
    has_text = any(files(folder, ".txt") for folder in inside)
    return "`images` beside `labels` with text files" if has_text and _images(path) else ""


def _is_flat(path: Path) -> bool:
    """Whether the first text file beside an image of its name says where things are."""
    if _images(path):
        return False
    tops = [path, *(f for f in folders(path) if _split_of(f))]
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
    description = _description(path)
    gathered = _Gathered(path if path.is_dir() else path.parent, task)
    document = _load(description) if description else {}
    sources = _sources(document, description) if description else _tree(path)
    for split, pictures in sources:
        for image in pictures:
            gathered.entries.append(_entry(image, split, gathered))
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


def _description(path: Path) -> Path | None:
    """The YAML file that describes the set."""
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") else None
    found = [*files(path, ".yaml"), *files(path, ".yml")] if path.is_dir() else []
    found = [p for p in found if b"names" in p.read_bytes()]  # others may be broken as they like
    fit = [p for p in found if _describes(_load(p))]
    if len(fit) > 1:
        names = ", ".join(p.name for p in fit)
        raise unusable(f"several descriptions: {names}", path, "name one as `data.path`")
    return fit[0] if fit else None


def _describes(document: dict[str, Any]) -> bool:
    """Whether it is a set's description, and not a recipe or anything else in YAML."""
    return "names" in document and any(key in document for key in _KEYS)


def _load(description: Path) -> dict[str, Any]:
    document = load_yaml(description, read_text(description))
    return document if isinstance(document, dict) else {}


def _sources(
    document: dict[str, Any], description: Path
) -> list[tuple[SplitName | None, list[Path]]]:
    """Images by split; each value is a folder, a text file that lists images, or several."""
    found: list[tuple[SplitName | None, list[Path]]] = []
    for key, split in _KEYS.items():
        value = document.get(key)
        if not value:
            continue
        parts = value if isinstance(value, list) else [value]
        places = [_place(str(part), document, description) for part in parts]
        found.append((split, [image for place in places for image in _listed(place)]))
    return found


def _place(part: str, document: dict[str, Any], description: Path) -> Path:
    """Relative to `path`, itself relative to the file; exports that say `../train` mean here."""
    here = description.parent
    base = here / str(document.get("path") or ".")
    trimmed = part
    while trimmed.startswith("../"):
        trimmed = trimmed[3:]
    candidates = [base / part, here / part, base / trimmed, here / trimmed]
    for candidate in candidates:
        if is_there(candidate):
            return candidate.resolve() if ".." in candidate.parts else candidate
    raise unusable(f"`{part}` does not exist", description, f"looked in {base} and {here}")


def _listed(place: Path) -> list[Path]:
    if place.is_dir():
        return walk_images(place)
    lines = (line.strip() for line in read_text(place).splitlines())
    return [place.parent / line for line in lines if line and is_image(Path(line))]


def _split_of(folder: Path) -> SplitName | None:
    """`obj_train_data` is what darknet calls it."""
    return split_word(folder.name.removeprefix("obj_").removesuffix("_data"))


def _images(path: Path) -> Path | None:
    return path / "images" if (path / "images").is_dir() else None


def _tree(path: Path) -> list[tuple[SplitName | None, list[Path]]]:
    """`images/train`, `images/val` or plain `images`."""
    top = _images(path) or (path if _is_flat(path) else None)
    if not top:
        raise unusable("no data.yaml and no folder `images`", path, "expected images/ and labels/")
    by_split = [(s, walk_images(f)) for f in folders(top) if (s := _split_of(f))]
    return [*by_split] if by_split else [(None, walk_images(top))]


def _entry(image: Path, split: SplitName | None, gathered: _Gathered) -> Entry:
    """No text file means: nothing to be found in this image."""
    label, beside = label_file(image), image.with_suffix(".txt")
    label = beside if not is_there(label) and is_file(beside) else label
    outlined = gathered.task == "segmentation"
    boxes: list[Box] = []
    shapes: list[Shape] = []
    if is_file(label):
        where = shown(label, gathered.root)
        text = label.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                found = _object(line, f"{where}:{number}", outlined=outlined)
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


def _not_followed(file: str) -> Finding:
    reason = "the key `download` names code or a page of others and is not followed"
    return warning("download_not_followed", file, reason, "fetch the data yourself; remove the key")


def _malformed(where: str, reason: str) -> Finding:
    cure = "expected `class x y width height`, relative to the image"
    return fatal("malformed_annotation", where, reason, cure)


def _classes(document: dict[str, Any], gathered: _Gathered, given: Given) -> tuple[Class, ...]:
    """By `data.yaml`, by `classes.txt`, or as many as there are ids."""
    names = _names(document.get("names"), gathered.root)
    if names is not None:
        return classes_by_id(names, given)
    places = (gathered.root / name for name in _NAMED)
    listed = next((p for p in places if p.is_file()), None)
    if listed:
        lines = read_text(listed).splitlines()
        return classes_by_id(dict(enumerate(n.strip() for n in lines if n.strip())), given)
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
