"""COCO detection: JSON files with images, annotations and categories; ids are kept as they are."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.data.files import files, first_folder, folders, is_there, split_in, split_word
from automl.data.reading import (
    Box,
    Entry,
    Given,
    Reading,
    classes_by_id,
    fatal,
    shown,
    unknown_class,
    unusable,
)
from automl.dataset import Class, Finding, SplitName, Task

_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_BROKEN = (KeyError, TypeError, ValueError, OverflowError)
"""What a value raises that is missing, of another type, or infinite."""
_NEEDS = "annotation needs image_id, whole category_id, bbox [x, y, w, h], and iscrowd 0 or 1"


@dataclass
class _Gathered:
    """What accumulates over the JSON files of a set."""

    root: Path
    names: dict[int, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def looks_like(path: Path) -> str:
    """Why this is COCO; empty where it is not."""
    found = _jsons(path)
    root = path if path.is_dir() else path.parent
    names = ", ".join(f"`{shown(p, root)}`" for p in found[:4])
    return f"{names} with images, annotations and categories" if found else ""


def read(path: Path, task: Task, given: Given) -> Reading:
    """Reads a single JSON file or one per split."""
    gathered = _Gathered(path if path.is_dir() else _root_of(path))
    by_split = _by_split(path)
    for split, source in by_split.items():
        _read_one(source, split, gathered, bases=_bases(source, gathered.root, split))
    classes = _classes(path, gathered.names, given)
    gathered.findings += [
        unknown_class(f"id {box.class_id}", classes, box.where)
        for entry in gathered.entries
        for box in entry.boxes
        if box.class_id not in {c.id for c in classes}
    ]
    return Reading(
        "coco",
        gathered.root,
        classes,
        tuple(gathered.entries),
        tuple(gathered.findings),
        frozenset(s for s in by_split if s),
    )


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
    for category in document["categories"]:
        _category(category, where, gathered)
    boxes = _boxes_by_image(document["annotations"], where, gathered)
    known = set()
    for image in document["images"]:
        try:
            key, name, declared = image["id"], str(image["file_name"]), _size(image)
            known.add(key)
        except _BROKEN:
            gathered.findings.append(_malformed(where, f"image without id or file_name: {image}"))
            continue
        found = _find(bases, name)
        gathered.entries.append(
            Entry(found, split, boxes=tuple(boxes.get(key, ())), declared=declared)
        )
    gathered.findings += [
        fatal(
            "unknown_image",
            where,
            f"{len(found)} annotations name image id {key}, which is not listed",
            "list the image or remove its annotations",
        )
        for key, found in boxes.items()
        if key not in known
    ]


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


def _boxes_by_image(
    annotations: list[Any], where: str, gathered: _Gathered
) -> dict[Any, list[Box]]:
    boxes: dict[Any, list[Box]] = defaultdict(list)
    for number, annotation in enumerate(annotations):
        place = f"{where}#annotations[{number}]"
        try:
            x, y, width, height = (float(v) for v in annotation["bbox"])
            box = Box(
                _whole(annotation["category_id"]),
                (x, y, x + width, y + height),
                _flag(annotation.get("iscrowd", 0)),
                place,
            )
            boxes[annotation["image_id"]].append(box)
        except _BROKEN:
            gathered.findings.append(_malformed(place, _NEEDS))
    return boxes


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
    try:
        document = json.loads(source.read_bytes())
    except (ValueError, RecursionError) as error:
        raise unusable(f"not valid JSON: {error}", source, "export it again") from None
    keys = ("images", "annotations", "categories")
    if not isinstance(document, dict) or any(not isinstance(document.get(k), list) for k in keys):
        raise unusable("no lists `images`, `annotations`, `categories`", source, "export as COCO")
    return document


def _jsons(path: Path) -> list[Path]:
    """Detection files at the top, in `annotations/` or in folders named as a split."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _is_coco(path) else []
    places = [path, path / "annotations", *(f for f in folders(path) if split_word(f.name))]
    found = [p for place in places if place.is_dir() for p in files(place, ".json") if _is_coco(p)]
    instances = [p for p in found if p.name.startswith("instances_")]
    return instances or found


def _is_coco(path: Path) -> bool:
    data = path.read_bytes()
    return all(key in data for key in _KEYS)


def _by_split(path: Path) -> dict[SplitName | None, Path]:
    found = _jsons(path) if path.is_dir() else [path]
    if len(found) == 1 and (path.is_file() or not _split_of(found[0])):
        return {None: found[0]}
    by_split: dict[SplitName | None, Path] = {}
    for source in found:
        split = _split_of(source)
        if split is None or split in by_split:
            names = ", ".join(p.name for p in found)
            raise unusable(
                f"cannot tell which split each JSON file is: {names}",
                path,
                "name them train, val and test, or name one file as `data.path`",
            )
        by_split[split] = source
    if not by_split:
        raise unusable("no COCO JSON file", path, "expected annotations/*.json")
    return by_split


def _split_of(source: Path) -> SplitName | None:
    return split_in(source.stem) or split_word(source.parent.name)


def _root_of(source: Path) -> Path:
    inside = source.parent.name == "annotations" or split_word(source.parent.name)
    return source.parent.parent if inside else source.parent


def _bases(source: Path, root: Path, split: SplitName | None) -> list[Path]:
    """Folders that may hold the images, best first."""
    named = [source.stem, source.stem.removeprefix("instances_")]
    pictures = first_folder(root, "images", "JPEGImages") or root
    tops = [pictures, root] if pictures != root else [root]
    same = [f for top in tops for f in folders(top) if split and split_word(f.name) == split]
    bases = [top / name for top in tops for name in named] + same + tops + [source.parent]
    return [base for base in dict.fromkeys(bases) if base.is_dir()]


def _find(bases: list[Path], name: str) -> Path:
    plain = name.replace("\\", "/")
    candidates = [base / plain for base in bases]
    return next((c for c in candidates if is_there(c)), candidates[0])
