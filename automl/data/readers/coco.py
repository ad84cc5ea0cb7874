"""COCO: JSON files with images, annotations and categories; ids are kept as they are.

Boxes for detection, outlines and run lengths for segmentation; annotations without either are
labels of the image.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from automl.data.documents import holds, load_json
from automl.data.readers import coco_layout as layout
from automl.data.readers.datumaro import runs_of
from automl.data.readers.named import UNJUDGED_NAMES, only_class, with_background
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
from automl.data.regions import UNJUDGED, box_of
from automl.dataset import Class, Finding, SplitName, Task

_BROKEN = (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError)
"""What a value raises that is missing, of another type, or infinite."""
_NEEDS = "annotation needs image_id, whole category_id, bbox [x, y, w, h], and iscrowd 0 or 1"


@dataclass
class _Gathered:
    """What accumulates over the JSON files of a set."""

    root: Path
    task: Task
    one_class: str
    names: dict[int, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


_NEEDS_LABEL = "annotation needs image_id and whole category_id"
_NEEDS_SHAPE = "annotation needs image_id, whole category_id and a segmentation"


def looks_like(path: Path, task: Task) -> str:
    """Why this is COCO; empty where it is not, or where it has nothing for the task."""
    found = [p for p in layout.jsons(path) if _serves(p, task)]
    root = path if path.is_dir() else path.parent
    names = ", ".join(f"`{shown(p, root)}`" for p in found[:4])
    return f"{names} with images, annotations and categories" if found else ""


def _serves(source: Path, task: Task) -> bool:
    if task == "classification":
        return not holds(source, b'"bbox"') and not holds(source, b'"segmentation"')
    drawn = holds(source, b'"segmentation"') or (task == "detection" and holds(source, b'"bbox"'))
    return drawn or (task == "detection" and not holds(source, b'"category_id"'))


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads a single JSON file or one per split."""
    root = path if path.is_dir() else layout.root_of(path)
    gathered = _Gathered(root, task, only_class(options.classes))
    by_split = layout.by_split(path)
    for split, source in by_split.items():
        _read_one(source, split, gathered, bases=layout.bases(source, gathered.root, split))
    classes = _classes(path, gathered.names, options.classes)
    known = {c.id for c in classes}
    gathered.findings += [
        unknown_class(f"id {one.class_id}", classes, one.where)
        for entry in gathered.entries
        for one in entry.objects
        if one.class_id not in known
    ]
    entries = gathered.entries
    if task == "segmentation":
        unjudged = {c.id for c in classes if c.name in UNJUDGED_NAMES}
        entries = [_without(entry, unjudged) for entry in entries]
        classes = with_background(c for c in classes if c.id not in unjudged)
    return Reading(
        "coco",
        gathered.root,
        classes,
        tuple(entries),
        tuple(gathered.findings),
        frozenset(s for s in by_split if s),
    )


def _without(entry: Entry, unjudged: set[int]) -> Entry:
    """The shapes of these classes mean: do not judge here."""
    shapes = entry.shapes or ()
    changed = (replace(s, class_id=UNJUDGED) if s.class_id in unjudged else s for s in shapes)
    return replace(entry, shapes=tuple(changed))


def _classes(path: Path, names: dict[int, str], given: Given) -> tuple[Class, ...]:
    """A list from the recipe says the order of the same names; a map renames ids."""
    if isinstance(given, list) and sorted(given) != sorted(names.values()):
        raise unusable(
            f"`data.classes` lists {', '.join(given)}; "
            f"the categories are {', '.join(names.values())}",
            path,
            "list the same names, or write a map from category id to name",
        )
    if isinstance(given, list):
        ids = {name: i for i, name in names.items()}
        return tuple(Class(ids[name], name) for name in given)
    return classes_by_id(names, given)


def _read_one(
    source: Path, split: SplitName | None, gathered: _Gathered, *, bases: list[Path]
) -> None:
    where = shown(source, gathered.root)
    document = _load(source)
    _without_classes(document, where, gathered)
    for category in document["categories"]:
        _category(category, where, gathered)
    found = _by_image(document["annotations"], where, gathered)
    many = gathered.task == "classification" and any(len(a) > 1 for a in found.values())
    _twice(document, where, gathered)
    known = set()
    for image in document["images"]:
        try:
            key, name, declared = image["id"], layout.name_of(image), _size(image)
            if key in known:
                continue
            known.add(key)
        except _BROKEN:
            gathered.findings.append(_malformed(where, f"image without id or file_name: {image}"))
            continue
        bare = Entry(layout.find(bases, name, gathered.root), split, declared=declared)
        entry = _annotated(bare, found.get(key, []), gathered, many=many)
        gathered.entries += [entry] if entry else []
    gathered.findings += [
        fatal(
            "unknown_image",
            where,
            f"{len(own)} annotations name image id {key}, which is not listed",
            "list the image or remove its annotations",
        )
        for key, own in found.items()
        if key not in known
    ]


def _without_classes(document: dict[str, Any], where: str, gathered: _Gathered) -> None:
    """One class, which is told, where neither categories nor ids tell any apart."""
    rows = [row for row in document["annotations"] if isinstance(row, dict)]
    ids = list({repr(row.get("category_id")): row.get("category_id") for row in rows}.values())
    if document["categories"] or len(ids) != 1 or not isinstance(ids[0], int | None):
        return
    document["categories"] = [{"id": ids[0] or 0, "name": gathered.one_class}]
    for row in rows:
        row["category_id"] = ids[0] or 0
    reason = f"no categories are listed: all objects count as `{gathered.one_class}`"
    gathered.findings.append(warning("one_class", where, reason, "nothing, if so; else list them"))


def _annotated(entry: Entry, own: list[Any], gathered: _Gathered, *, many: bool) -> Entry | None:
    if gathered.task == "detection":
        return replace(entry, boxes=tuple(own))
    if gathered.task == "segmentation":
        return replace(entry, shapes=tuple(own))
    ids = tuple(dict.fromkeys(label for label, _ in own))
    for label, place in own:
        if label not in gathered.names:
            reason = f"category id {label} is not listed"
            gathered.findings.append(fatal("unknown_class", place, reason, "list the category"))
    if any(i not in gathered.names for i in ids):
        return None
    if many:
        return replace(entry, labels=ids)
    if not ids:
        file, reason = shown(entry.path, gathered.root), "the image has no class"
        gathered.findings.append(fatal("no_class", file, reason, "give it one or unlist it"))
        return None
    return replace(entry, label=ids[0])


def _twice(document: dict[str, Any], where: str, gathered: _Gathered) -> None:
    """Ids that stand for two things: which of them is meant, nobody knows."""
    for kind, code in (
        ("images", "duplicate_image_id"),
        ("annotations", "duplicate_annotation_id"),
    ):
        ids = Counter(_key(row) for row in document[kind])
        for key, n in ids.items():
            if n > 1 and key is not None:
                reason = f"{n} {kind} have the id {key}"
                gathered.findings.append(fatal(code, where, reason, "number them anew"))


def _key(row: Any) -> Any:
    value = row.get("id") if isinstance(row, dict) else None
    return value if isinstance(value, int | str) else None


def _category(category: Any, where: str, gathered: _Gathered) -> None:
    try:
        key, name = _whole(category["id"]), _name(category["name"])
    except _BROKEN:
        gathered.findings.append(_malformed(where, f"category without id or name: {category}"))
        return
    known = gathered.names.setdefault(key, name)
    if known != name:
        gathered.findings.append(
            fatal(
                "conflicting_classes",
                where,
                f"category id {key} is `{name}` here and `{known}` before",
                "give each category one id and one name",
            )
        )


def _by_image(annotations: list[Any], where: str, gathered: _Gathered) -> dict[Any, list[Any]]:
    """What the task looks at: boxes, shapes, or pairs of class id and place."""
    make, needs = {
        "detection": (_box, _NEEDS),
        "segmentation": (_shape, _NEEDS_SHAPE),
        "classification": (_label, _NEEDS_LABEL),
    }[gathered.task]
    found: dict[Any, list[Any]] = defaultdict(list)
    for number, annotation in enumerate(annotations):
        place = f"{where}#annotations[{number}]"
        try:
            found[annotation["image_id"]].append(make(annotation, place))
        except _BROKEN as error:
            told = f"{needs}; {error}" if isinstance(error, _NoOutlineError) else needs
            gathered.findings.append(_malformed(place, told))
    return found


def _box(annotation: dict[str, Any], place: str) -> Box:
    """The box as given, or that of the outline where no box is given."""
    class_id, crowd = _whole(annotation["category_id"]), _flag(annotation.get("iscrowd", 0))
    if annotation.get("bbox") is None and annotation.get("segmentation"):
        return Box(class_id, box_of(_shape(annotation, place)), crowd, place)
    x, y, width, height = (float(v) for v in annotation["bbox"])
    return Box(class_id, (x, y, x + width, y + height), crowd, place)


class _NoOutlineError(ValueError):
    """A box alone says nothing of pixels."""


def _shape(annotation: dict[str, Any], place: str) -> Shape:
    class_id, drawn = _whole(annotation["category_id"]), annotation.get("segmentation")
    if not drawn:
        raise _NoOutlineError("it is empty: a box alone says nothing of pixels")
    if isinstance(drawn, dict):
        return Shape(class_id, runs=runs_of(drawn), where=place)
    parts = drawn if isinstance(drawn[0], list) else [drawn]
    rings = tuple(tuple(float(v) for v in part) for part in parts)
    if not all(math.isfinite(v) for ring in rings for v in ring):
        raise ValueError
    return Shape(class_id, rings, where=place)


def _label(annotation: dict[str, Any], place: str) -> tuple[int, str]:
    return _whole(annotation["category_id"]), place


def _whole(value: Any) -> int:
    """A whole number, or its digits as text; not 7.5, which would quietly become 7."""
    if isinstance(value, bool) or (isinstance(value, float) and int(value) != value):
        raise ValueError
    return int(value)


def _flag(value: Any) -> bool:
    """0 or 1; not the text `no`, which Python takes for true."""
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def _name(value: Any) -> str:
    if not isinstance(value, str | int) or value == "":
        raise ValueError
    return str(value)


def _malformed(where: str, reason: str) -> Finding:
    return fatal("malformed_annotation", where, reason, "correct the JSON file")


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (int(width), int(height)) if width and height else None


def _load(source: Path) -> dict[str, Any]:
    document = load_json(source)
    if isinstance(document, dict):
        document.setdefault("categories", [])
    keys = ("images", "annotations", "categories")
    if not isinstance(document, dict) or any(not isinstance(document.get(k), list) for k in keys):
        raise unusable("no lists `images`, `annotations`, `categories`", source, "export as COCO")
    return document
