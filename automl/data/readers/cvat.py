"""CVAT for images 1.1: one XML file with boxes, polygons, masks and tags of all images."""

import math
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from automl.data import rle
from automl.data.documents import begins_with, holds, load_xml
from automl.data.files import files, find_image, split_in
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.reading import Reading, ReadOptions, Runs, unusable, warning
from automl.data.regions import box_ring, ellipse_ring
from automl.dataset import SplitName, Task

_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")
_SERVES: dict[Task, tuple[bytes, ...]] = {
    "detection": (b"<box ", b"<polygon ", b"<mask ", b"<ellipse "),
    "segmentation": (b"<polygon ", b"<mask ", b"<ellipse "),
    "classification": (b"<tag ",),
}


def looks_like(path: Path, task: Task) -> str:
    """Why this is CVAT; empty where it is not, or where it has nothing for the task."""
    xmls = [p for p in _xmls(path) if not holds(p, b"<track ")]  # of a video: refused with the cure
    found = [p for p in xmls if any(holds(p, word) for word in _SERVES[task])]
    return f"`{found[0].name}` in CVAT's XML for images" if found else ""


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads the one XML file, or one for each split."""
    sources = _xmls(path)
    splits = [split_in(source.stem) for source in sources]
    if not sources:
        raise unusable("no CVAT file", path, "expected annotations.xml")
    if len(sources) > 1 and (None in splits or len(set(splits)) < len(sources)):
        message = f"several XML files: {', '.join(p.name for p in sources)}"
        raise unusable(message, path, "name one as `data.path`, or name them train, val and test")
    found = Found("cvat", sources[0].parent)
    for source, split in zip(sources, splits, strict=True):
        _read_one(source, split if len(sources) > 1 else None, found)
    found.splits = frozenset(p.split for p in found.pictures if p.split)
    return assemble(found, task, options)


def _read_one(source: Path, split: SplitName | None, found: Found) -> None:
    tree = load_xml(source)
    if tree.find("track") is not None:
        raise unusable("holds tracks of a video", source, "export as `CVAT for images 1.1`")
    names = (e.text or "" for e in tree.findall("meta//labels/label/name"))
    known = set(found.listed)
    found.listed += [name.strip() for name in names if name.strip() and name.strip() not in known]
    before = len(found.pictures), len(found.findings)
    for image in tree.findall("image"):
        _read_image(image, source, split, found)
    if before == (len(found.pictures), len(found.findings)):
        raise unusable("no images listed", source, "export as `CVAT for images 1.1`")


def _xmls(path: Path) -> list[Path]:
    candidates = files(path, ".xml") if path.is_dir() else [path]
    return [p for p in candidates if p.suffix == ".xml" and begins_with(p, b"<annotations")]


def _read_image(element: Element, source: Path, split: SplitName | None, found: Found) -> None:
    name = element.get("name") or ""
    where = f"{source.name}#{name}"
    if not name:
        found.findings.append(malformed(source.name, "an image without a name"))
        return
    try:
        size = int(element.get("width") or 0), int(element.get("height") or 0)
    except ValueError:
        found.findings.append(malformed(where, "width and height are no whole numbers"))
        return
    marks: list[Mark] = []
    for number, child in enumerate(element):
        place = f"{where}#{number}"
        if child.tag in _WITHOUT_AREA:
            reason = f"a {child.tag} has no area and is left out"
            cure = "draw a box, a polygon or a mask"
            found.findings.append(warning("shape_without_area", place, reason, cure))
        elif child.tag in _MARKS:
            try:
                marks.append(_MARKS[child.tag](child, _label(child), place, size))
            except (ValueError, OverflowError) as error:
                found.findings.append(malformed(place, str(error)))
    subset = element.get("subset") or ""
    top = found.root
    pictures = top / "images"
    own = subset or source.stem
    bases = [pictures / own, pictures / own.lower(), pictures, top / own, top]
    split = split_in(subset) or split
    declared = size if all(size) else None
    image = find_image(bases, name)
    found.pictures.append(Picture(image, split, tuple(marks), declared))


def _label(element: Element) -> str:
    name = (element.get("label") or "").strip()
    if not name:
        raise ValueError(f"a {element.tag} without a label")
    return name


def _numbers(element: Element, *names: str) -> list[float]:
    values = [float(element.get(name) or "nan") for name in names]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"a {element.tag} needs the numbers {', '.join(names)}")
    return values


def _turned(ring: tuple[float, ...], element: Element, x: float, y: float) -> tuple[float, ...]:
    """The ring turned clockwise about a middle, as CVAT turns boxes and ellipses."""
    angle = math.radians(float(element.get("rotation") or 0))
    if not math.isfinite(angle):
        raise ValueError("the rotation is no number")
    points = np.asarray(ring).reshape(-1, 2) - (x, y)
    turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return tuple((points @ np.array(turn) + (x, y)).ravel().tolist())


def _box(element: Element, name: str, where: str, size: tuple[int, int]) -> Mark:
    x0, y0, x1, y1 = _numbers(element, "xtl", "ytl", "xbr", "ybr")
    if not float(element.get("rotation") or 0):
        return Mark(name, (x0, y0, x1, y1), where=where)
    ring = _turned(box_ring(x0, y0, x1, y1), element, (x0 + x1) / 2, (y0 + y1) / 2)
    return Mark(name, rings=(ring,), where=where)


def _ellipse(element: Element, name: str, where: str, size: tuple[int, int]) -> Mark:
    x, y, across, down = _numbers(element, "cx", "cy", "rx", "ry")
    ring = _turned(ellipse_ring(x, y, across, down), element, x, y)
    return Mark(name, rings=(ring,), where=where)


def _polygon(element: Element, name: str, where: str, size: tuple[int, int]) -> Mark:
    points = (point.split(",") for point in (element.get("points") or "").split(";"))
    pairs = [(float(x), float(y)) for x, y in points]
    return Mark(name, rings=(tuple(v for pair in pairs for v in pair),), where=where)


def _mask(element: Element, name: str, where: str, size: tuple[int, int]) -> Mark:
    """Runs along the rows of the box, zeros first."""
    left, top, width, height = map(int, _numbers(element, "left", "top", "width", "height"))
    counts = [int(v) for v in (element.get("rle") or "").split(",")]
    whole_width, whole_height = size
    fits = min(left, top) >= 0 and left + width <= whole_width and top + height <= whole_height
    if not fits or min(counts) < 0 or sum(counts) != width * height:
        raise ValueError(f"runs of {width}x{height} at {left}, {top} do not fit the image")
    if whole_width * whole_height > 2**30:
        raise ValueError(f"an image of {whole_width}x{whole_height}")
    whole = np.zeros((whole_height, whole_width), bool)
    part = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    whole[top : top + height, left : left + width] = part
    return Mark(name, runs=Runs((whole_height, whole_width), rle.encode(whole)), where=where)


def _tag(element: Element, name: str, where: str, size: tuple[int, int]) -> Mark:
    return Mark(name, where=where)


_MARKS: dict[str, Callable[[Element, str, str, tuple[int, int]], Mark]] = {
    "box": _box,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "mask": _mask,
    "tag": _tag,
}
