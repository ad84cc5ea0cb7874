"""LabelMe: one JSON file per image with shapes by name; polygons, rectangles, circles and masks."""

import base64
import binascii
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from automl.data import rle
from automl.data.documents import holds, load_json
from automl.data.files import files, find_image, folders, split_word
from automl.data.images import mask_from_bytes
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.reading import Reading, ReadOptions, Runs, shown, unusable, warning
from automl.data.regions import box_ring, ellipse_ring
from automl.dataset import Finding, SplitName, Task
from automl.errors import DataError

_LOOKED_AT = 20
_WITHOUT_AREA = ("line", "linestrip", "point", "points")
_BROKEN = (KeyError, TypeError, ValueError, OverflowError, AttributeError)


def looks_like(path: Path, task: Task) -> str:
    """Why this is LabelMe; empty where it is not, or where it has nothing for the task."""
    if not path.is_dir():
        return ""
    found = [p for p in list(_jsons(path))[:_LOOKED_AT] if holds(p, b'"shapes"', b'"imagePath"')]
    if not found or (task == "classification" and not any(map(_flagged, found))):
        return ""
    return f"`{shown(found[0], path)}` with shapes of an image"


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads every JSON file that has shapes."""
    found = Found("labelme", path)
    for source in _jsons(path):
        if holds(source, b'"shapes"'):
            try:
                _read_one(source, found)
            except DataError as error:
                fault = error.faults[0]
                found.findings.append(malformed(shown(source, path), fault.message))
    if not found.pictures and not found.findings:
        raise unusable("no LabelMe files", path, "expected a .json with `shapes` per image")
    found.splits = frozenset(p.split for p in found.pictures if p.split)
    return assemble(found, task, options)


def _jsons(path: Path) -> Iterator[Path]:
    """At the top, in its folders, and one level further below folders named as a split."""
    for folder in (path, *folders(path)):
        yield from files(folder, ".json")
        if folder != path and split_word(folder.name):
            for below in folders(folder):
                yield from files(below, ".json")


def _split(source: Path, root: Path) -> SplitName | None:
    named = (split_word(part) for part in source.relative_to(root).parts[:-1])
    return next((split for split in named if split), None)


def _flagged(source: Path) -> bool:
    try:
        flags = load_json(source).get("flags")
    except (DataError, AttributeError):
        return False
    return isinstance(flags, dict) and any(v is True for v in flags.values())


def _read_one(source: Path, found: Found) -> None:
    where = shown(source, found.root)
    document = load_json(source)
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list):
        found.findings.append(malformed(where, "`shapes` is no list"))
        return
    marks = []
    for number, shape in enumerate(shapes):
        made = _mark(shape, f"{where}#shapes[{number}]", document)
        found.findings.append(made) if isinstance(made, Finding) else marks.append(made)
    flags = document.get("flags")
    if isinstance(flags, dict):
        marks += [Mark(name, where=where) for name, on in flags.items() if on is True]
    name = str(document.get("imagePath") or source.with_suffix(".jpg").name)
    bases = [source.parent, source.parent.parent / "images", source.parent / "images", found.root]
    image = find_image(bases, name, stem=source.stem)
    width, height = document.get("imageWidth"), document.get("imageHeight")
    both = isinstance(width, int) and isinstance(height, int)
    declared = (width, height) if both and width and height else None
    split = _split(source, found.root)
    found.pictures.append(Picture(image, split, tuple(marks), declared))


def _mark(shape: Any, where: str, document: dict[str, Any]) -> Mark | Finding:
    try:
        name, kind = shape["label"], shape.get("shape_type") or "polygon"
        if not isinstance(name, str) or not name:
            raise ValueError("the label is no name")
        if kind in _WITHOUT_AREA:
            reason = f"a {kind} has no area and is left out"
            return warning("shape_without_area", where, reason, "draw a polygon or a rectangle")
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if not all(math.isfinite(v) for point in points for v in point):
            raise ValueError("points that are no numbers")
        return _drawn(kind, name, points, shape, where, document)
    except _BROKEN as error:
        reason = f"shape needs label, shape_type and points: {error}"
        return malformed(where, reason)


def _drawn(
    kind: str,
    name: str,
    points: list[tuple[float, float]],
    shape: dict[str, Any],
    where: str,
    document: dict[str, Any],
) -> Mark:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if kind == "rectangle":
        corners = (min(xs), min(ys), max(xs), max(ys))
        return Mark(name, corners, rings=(box_ring(*corners),), where=where)
    if kind == "circle":
        (x, y), edge = points
        far = math.dist((x, y), edge)
        return Mark(name, rings=(ellipse_ring(x, y, far, far),), where=where)
    if kind == "mask":
        (x, y), _ = points
        size = int(document["imageHeight"]), int(document["imageWidth"])
        return Mark(name, runs=_mask(shape["mask"], round(x), round(y), size, where), where=where)
    if kind == "polygon":
        return Mark(name, rings=(tuple(v for point in points for v in point),), where=where)
    raise ValueError(f"unknown shape_type `{kind}`")


def _mask(text: str, left: int, top: int, size: tuple[int, int], where: str) -> Runs:
    """A PNG in base64 that covers the box of its points."""
    try:
        part = mask_from_bytes(base64.b64decode(text, validate=True), Path(where)) > 0
    except (binascii.Error, DataError) as error:
        raise ValueError(f"the mask is no PNG: {error}") from None
    height, width = part.shape
    outside = min(left, top) < 0 or top + height > size[0] or left + width > size[1]
    if outside or size[0] * size[1] > 2**30:
        raise ValueError(f"the mask of {width}x{height} at {left}, {top} leaves the image")
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = part
    return Runs(size, rle.encode(whole))
