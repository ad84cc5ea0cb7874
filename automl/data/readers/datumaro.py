"""Datumaro: JSON files of items with labels, boxes, polygons and masks, one per subset."""

import math
from pathlib import Path
from typing import Any

from automl.data.documents import holds, load_json
from automl.data.files import files, find_image, split_in
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.reading import Reading, ReadOptions, Runs, shown, unusable, warning
from automl.data.regions import ellipse_ring
from automl.dataset import Finding, Task

_KEYS = (b'"categories"', b'"items"', b'"annotations"')
_SERVES: dict[Task, tuple[bytes, ...]] = {
    "detection": (b'"bbox"', b'"polygon"', b'"mask"', b'"ellipse"'),
    "segmentation": (b'"polygon"', b'"mask"', b'"ellipse"'),
    "classification": (b'"label"',),
}
_WITHOUT_AREA = ("points", "polyline", "cuboid_3d", "skeleton", "caption")
_BROKEN = (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError)


def looks_like(path: Path, task: Task) -> str:
    """Why this is Datumaro; empty where it is not, or where it has nothing for the task."""
    found = _jsons(path)
    if not any(holds(p, b'"type"', w) for p in found for w in _SERVES[task]):
        return ""
    if task == "classification" and not any(_has_labels(p) for p in found):
        return ""
    root = path if path.is_dir() else path.parent
    names = ", ".join(f"`{shown(p, root)}`" for p in found[:4])
    return f"{names} with categories and items"


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads every JSON file; its name is the split, where it says one."""
    sources = _jsons(path)
    root = path if path.is_dir() else _root_of(path)
    if not sources:
        raise unusable("no Datumaro file", path, "expected annotations/*.json")
    found = Found("datumaro", root)
    for source in sources:
        _read_one(source, found)
    found.splits = frozenset(p.split for p in found.pictures if p.split)
    return assemble(found, task, options)


def _jsons(path: Path) -> list[Path]:
    if path.is_file():
        candidates = [path] if path.suffix.lower() == ".json" else []
    else:
        candidates = [*files(path, ".json"), *files(path / "annotations", ".json")]
    return [p for p in candidates if holds(p, *_KEYS)]


def _root_of(source: Path) -> Path:
    return source.parent.parent if source.parent.name == "annotations" else source.parent


def _has_labels(source: Path) -> bool:
    items = load_json(source).get("items")
    return isinstance(items, list) and any(
        isinstance(a, dict) and a.get("type") == "label"
        for item in items[:50]
        if isinstance(item, dict) and isinstance(item.get("annotations"), list)
        for a in item["annotations"]
    )


def _read_one(source: Path, found: Found) -> None:
    where = shown(source, found.root)
    document = load_json(source)
    try:
        names = [str(row["name"]) for row in document["categories"]["label"]["labels"]]
        items = list(document["items"])
    except _BROKEN:
        raise unusable("no labels or items", source, "export as Datumaro JSON") from None
    found.listed += [name for name in names if name not in found.listed]
    split = split_in(source.stem)
    for number, item in enumerate(items):
        place = f"{where}#items[{number}]"
        try:
            media = item.get("image") or item.get("media") or {}
            name = str(media.get("path") or f"{item['id']}.jpg")
            size = media.get("size")
            declared = (int(size[1]), int(size[0])) if size else None
            annotations = list(item.get("annotations") or ())
        except _BROKEN:
            reason = "item needs id or image.path, and a list of annotations"
            found.findings.append(malformed(place, reason))
            continue
        pictures = found.root / "images"
        bases = [pictures / source.stem, pictures, found.root, found.root / source.stem]
        made = [_mark(a, names, f"{place}[{i}]") for i, a in enumerate(annotations)]
        found.findings += [m for m in made if isinstance(m, Finding)]
        marks = tuple(m for m in made if isinstance(m, Mark))
        image = find_image(bases, name, stem=str(item.get("id") or ""))
        found.pictures.append(Picture(image, split, marks, declared))


def _mark(annotation: Any, names: list[str], where: str) -> Mark | Finding:
    try:
        kind = annotation["type"]
        if kind in _WITHOUT_AREA:
            reason = f"a {kind} has no area and is left out"
            cure = "draw a box, a polygon or a mask"
            return warning("shape_without_area", where, reason, cure)
        number = annotation["label_id"]
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError("label_id is no place in the list of labels")
        crowd = bool((annotation.get("attributes") or {}).get("is_crowd", False))
        return _drawn(kind, names[number], annotation, crowd, where)
    except _BROKEN as error:
        return malformed(where, f"annotation needs type, label_id and its numbers: {error}")


def _drawn(kind: str, name: str, annotation: dict[str, Any], crowd: bool, where: str) -> Mark:
    if kind == "label":
        return Mark(name, where=where)
    if kind == "bbox":
        x, y, width, height = _finite(annotation["bbox"])
        return Mark(name, (x, y, x + width, y + height), crowd=crowd, where=where)
    if kind == "polygon":
        return Mark(name, rings=(tuple(_finite(annotation["points"])),), crowd=crowd, where=where)
    if kind == "ellipse":
        x0, y0, x1, y1 = _finite(annotation["points"])
        ring = ellipse_ring((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2)
        return Mark(name, rings=(ring,), crowd=crowd, where=where)
    if kind == "mask":
        return Mark(name, runs=runs_of(annotation["rle"]), crowd=crowd, where=where)
    raise ValueError(f"unknown type `{kind}`")


def runs_of(value: dict[str, Any]) -> Runs:
    """COCO's `{size, counts}`, both kinds of counts; ValueError where it is anything else."""
    height, width = value["size"]
    counts = value["counts"]
    whole = [height, width, *(counts if isinstance(counts, list) else ())]
    if any(not isinstance(v, int) or isinstance(v, bool) or not 0 <= v < 2**31 for v in whole):
        raise ValueError("sizes and run lengths are whole numbers")
    if not isinstance(counts, str | list) or height * width > 2**30:
        raise ValueError("counts are a list or compressed text")
    return Runs((height, width), counts)


def _finite(values: Any) -> list[float]:
    numbers = [float(v) for v in values]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("numbers that are none")
    return numbers
