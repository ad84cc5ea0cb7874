"""Shapes as annotated to regions of the upright image, and regions to a mask.

Where regions overlap the smaller one is seen: they are painted from the largest to the smallest,
equal ones in the order of the annotation.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from automl.data import kaggle_rle, rle
from automl.data.images import ImageFacts, MaskFacts, count_ids, upright, upright_corners
from automl.data.reading import Entry, Runs, Shape, drawn_as_stored, fatal, warning
from automl.dataset import Finding, Region, Sample

UNJUDGED = -1
"""The class id of shapes that mean "do not judge here"."""

MOST_CROSSINGS = 4_000_000
"""Edges times rows of one ring: no drawing has more, and each costs time and memory."""

SLACK = 1.0
"""Pixels that a shape may reach over the border without a word."""

_Ring = np.ndarray


@dataclass(frozen=True, slots=True)
class Traced:
    """The usable regions of one image in the order of painting; their `label` is a class id."""

    regions: tuple[Region, ...]
    mask: MaskFacts
    findings: tuple[Finding, ...]


def trace(entry: Entry, image: ImageFacts, background: int, file: str) -> Traced:
    """Turns every shape upright and paints it once; what cannot be used becomes a finding."""
    size = image.height, image.width
    found: list[tuple[int, Region]] = []
    findings: list[Finding] = []
    for shape in entry.shapes or ():
        try:
            region, over = _region(shape, entry, image)
            area = _area(region, size)
        except ValueError as error:
            cure = "correct the annotation"
            findings.append(fatal("malformed_annotation", shape.where or file, str(error), cure))
            continue
        findings += _faults(area, over, shape.where or file, size)
        if area:
            found.append((area, region))
    found.sort(key=lambda pair: -pair[0])  # stable: equal areas keep their order
    regions = tuple(region for _, region in found)
    ids = list(dict.fromkeys([background, *(region.label for region in regions)]))
    places = {class_id: place for place, class_id in enumerate(ids)}
    canvas = np.zeros(size, np.int32)  # of places: an id that nobody lists may be any number
    for region in regions:
        _paint(canvas, region, places[region.label])
    counts = {ids[i]: n for i, n in count_ids(canvas).items() if ids[i] != UNJUDGED}
    return Traced(regions, MaskFacts("", image.width, image.height, counts), tuple(findings))


def _faults(area: int, over: float, where: str, size: tuple[int, int]) -> list[Finding]:
    shown = f"the image of {size[1]}x{size[0]}"
    if not area and over > SLACK:
        reason = f"the outline lies outside {shown}"
        return [fatal("region_outside", where, reason, "correct or remove it")]
    if not area:
        reason = "the outline holds no pixel and is left out"
        return [warning("degenerate_region", where, reason, "draw it again or remove it")]
    if over > SLACK:
        reason = f"the outline reaches over the border of {shown} and is clipped"
        return [warning("region_clipped", where, reason, "clip it in the annotation")]
    return []


def paint(sample: Sample) -> np.ndarray:
    """The mask of class indices, `uint8 [H, W]`, that a sample's regions make."""
    canvas = np.zeros((sample.height, sample.width), np.uint8)
    for region in sample.regions:
        _paint(canvas, region, region.label)
    return canvas


def inside(region: Region, size: tuple[int, int]) -> np.ndarray:
    """The pixels of one region, bool `[H, W]`."""
    mask = np.zeros(size, np.uint8)
    _paint(mask, region, 1)
    return mask.astype(bool)


def outline(rings: Iterable[Sequence[float]]) -> str:
    """Rings `x, y, x, y, ...` as text, rounded to thousandths of a pixel."""
    return ";".join(
        " ".join(f"{_short(ring[i])},{_short(ring[i + 1])}" for i in range(0, len(ring), 2))
        for ring in rings
    )


def rings_of(text: str) -> list[list[float]]:
    """What `outline` wrote."""
    return [[float(v) for v in ring.replace(",", " ").split()] for ring in text.split(";") if ring]


def box_of(shape: Shape) -> tuple[float, float, float, float]:
    """The smallest box around a shape; ValueError where it holds nothing."""
    if shape.runs is None:
        xs = [x for ring in shape.rings for x in ring[0::2]]
        ys = [y for ring in shape.rings for y in ring[1::2]]
        if not xs or len(xs) != len(ys):
            raise ValueError("an outline needs pairs of numbers")
        return min(xs), min(ys), max(xs), max(ys)
    rows, columns = np.nonzero(rle.decode(shape.runs))
    if not rows.size:
        raise ValueError("the mask holds no pixel")
    return (
        float(columns.min()),
        float(rows.min()),
        float(columns.max() + 1),
        float(rows.max() + 1),
    )


def box_ring(x0: float, y0: float, x1: float, y1: float) -> tuple[float, ...]:
    """A box as a ring."""
    return x0, y0, x1, y0, x1, y1, x0, y1


def ellipse_ring(x: float, y: float, across: float, down: float) -> tuple[float, ...]:
    """An ellipse by its middle and half axes, as a ring that strays less than 1/1000 from it."""
    turns = (2 * math.pi * i / 72 for i in range(72))
    return tuple(v for t in turns for v in (x + across * math.cos(t), y + down * math.sin(t)))


def _short(value: float) -> str:
    rounded = round(value, 3) + 0.0  # no minus zero
    return str(int(rounded)) if rounded == int(rounded) else repr(rounded)


def _region(shape: Shape, entry: Entry, image: ImageFacts) -> tuple[Region, float]:
    """The upright region, and by how many pixels it reaches over the border."""
    turned = drawn_as_stored(entry, image)
    if shape.kaggle_rle:
        if image.orientation > 1:
            raise ValueError("run lengths of an image that EXIF turns: which way is not known")
        counts = kaggle_rle.lengths(shape.kaggle_rle, (image.height, image.width))
        return Region(shape.class_id, runs=rle.text(counts)), 0.0
    if shape.runs is not None:
        return Region(shape.class_id, runs=_upright_runs(shape.runs, image, turned=turned)), 0.0
    rings = [_in_pixels(ring, entry.relative, turned, image) for ring in shape.rings]
    if not rings:
        raise ValueError("an outline without points")
    every = np.concatenate(rings)
    edge = np.array([image.width, image.height])
    over = float(max(-every.min(), (every - edge).max()))
    return Region(shape.class_id, outline=outline([r.ravel().tolist() for r in rings])), over


def _in_pixels(
    ring: Sequence[float], relative: bool, turned: bool, image: ImageFacts
) -> np.ndarray:
    if len(ring) < 6 or len(ring) % 2:
        raise ValueError(f"an outline of {len(ring)} numbers; it needs three points at least")
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    if not np.isfinite(points).all() or np.abs(points).max() > 1e7:
        raise ValueError("an outline with numbers that are no place in an image")
    if relative:
        points = points * (image.width, image.height)
    if turned:
        at = [upright_corners((x, y, x, y), image.orientation, image.stored) for x, y in points]
        points = np.array([corners[:2] for corners in at])
    return points


def _upright_runs(given: Runs, image: ImageFacts, *, turned: bool) -> str:
    height, width = given.size
    if (width, height) == (image.width, image.height) and not turned:
        return rle.encode(rle.decode(given))
    if (width, height) == image.stored:
        return rle.encode(upright(rle.decode(given), image.orientation))
    raise ValueError(f"mask is {width}x{height}, its image {image.width}x{image.height}")


def _area(region: Region, size: tuple[int, int]) -> int:
    if region.runs:
        return sum(rle.numbers(region.runs)[1::2])
    return sum(int(part.sum()) for _, _, part in _parts(region, size)) if region.outline else 0


def _paint(canvas: np.ndarray, region: Region, value: int) -> None:
    size = canvas.shape[0], canvas.shape[1]
    if region.runs:
        canvas[rle.decode(Runs(size, region.runs))] = value
        return
    for top, left, part in _parts(region, size):
        height, width = part.shape
        canvas[top : top + height, left : left + width][part] = value


def _parts(region: Region, size: tuple[int, int]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Top, left and filled pixels of each ring."""
    for ring in rings_of(region.outline):
        yield fill(np.asarray(ring, np.float64).reshape(-1, 2), size)


def fill(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """Top, left and the pixels whose middle is inside the ring, by the even-odd rule."""
    height, width = size
    low, high = points.min(0), points.max(0)
    left, right = (_first(v, width) for v in (low[0], high[0]))
    top, bottom = (_first(v, height) for v in (low[1], high[1]))
    starts, ends = points, np.roll(points, -1, axis=0)
    upper, lower = (pick(starts[:, 1], ends[:, 1]) for pick in (np.minimum, np.maximum))
    first = np.ceil(upper.clip(0, height) - 0.5).astype(np.int64)
    rows = np.ceil(lower.clip(0, height) - 0.5).astype(np.int64) - first
    total = int(rows.sum())
    if total > MOST_CROSSINGS:
        raise ValueError(f"an outline of {len(points)} points that crosses {total} rows")
    edge = np.repeat(np.arange(len(points)), rows)
    row = np.arange(total) - np.repeat(rows.cumsum() - rows, rows) + first[edge]
    (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
    x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    column = np.ceil(x - 0.5).clip(left, right).astype(np.int64) - left
    shape = (bottom - top, right - left + 1)
    crossed = np.bincount((row - top) * shape[1] + column, minlength=shape[0] * shape[1])
    return top, left, (crossed.reshape(shape).cumsum(1)[:, :-1] & 1).astype(bool)


def _first(value: float, most: int) -> int:
    """The first pixel whose middle is not before `value`."""
    return int(math.ceil(min(max(value, 0.0), float(most)) - 0.5)) if value > 0 else 0
