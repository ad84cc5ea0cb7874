"""Draws what is known or predicted onto an image: boxes, masks or a caption strip, with names."""

from dataclasses import dataclass

import cv2
import numpy as np

from automl.prediction import IGNORE, Prediction, Truth
from automl.tasks.palette import colours
from automl.tasks.text_drawing import Lettering, Rect, inside, overlap, put_tag, tag_size

LEGIBLE = 360
"""Images whose longer side is below this many pixels are enlarged so that text can be read."""

THUMBNAIL = 400
"""The longer side, in pixels, of a drawing on a contact sheet."""

_CROWDED = 12
"""From this many boxes on, a tag that would cover another one is left out."""

_MANY_CLASSES = 4
"""A thumbnail with more classes than this names only regions that are larger than their tag."""

_NO_TINT = frozenset({"background", "_background_", "__background__", "void", "unlabelled"})
_DARK = (17, 20, 24)


def draw(
    image: np.ndarray,
    names: list[str],
    shown: Truth | Prediction,
    least: float = 0.3,
    *,
    longest: int | None = None,
    every_name: bool = False,
) -> np.ndarray:
    """A new RGB image with the annotation or answer on it.

    Boxes below the confidence `least` are left out. `longest` makes a thumbnail: it limits the
    longer side in pixels, its text is large, and where it is crowded each class is named once;
    with `every_name` only the size is limited.
    """
    factor = _factor(image.shape[0], image.shape[1], longest)
    canvas = _resized(image, factor)
    letters = Lettering.on(canvas, thumbnail=longest is not None and not every_name)
    if shown.mask is not None:
        mask = _fitted(shown.mask, canvas.shape[1], canvas.shape[0])
        return _with_mask(canvas, names, mask, letters)
    if shown.boxes is not None:
        return _with_boxes(canvas, _boxes(names, shown, least, factor), letters)
    return _with_caption(canvas, _caption(names, shown), letters)


def is_tinted(name: str) -> bool:
    """Whether a mask's class is coloured; what is only background stays as it is."""
    return name.strip().lower() not in _NO_TINT


def _factor(height: int, width: int, longest: int | None) -> float:
    """How much larger the drawing is than the image."""
    side = max(height, width)
    if side * 4 <= LEGIBLE:
        return float(-(-LEGIBLE // side))
    if side < LEGIBLE:
        return LEGIBLE / side
    return longest / side if longest and side > longest else 1.0


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    """A copy; tiny images keep their hard pixels, the others are smooth."""
    if factor == 1:
        return image.copy()
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    if factor < 1:
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    smooth = cv2.INTER_NEAREST if factor >= 4 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=smooth))


def _fitted(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """The mask at the drawing's size; class indices are never mixed."""
    if mask.shape == (height, width):
        return mask
    size, exact = (width, height), cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=exact))


def _name(names: list[str], index: int) -> str:
    return names[index] if 0 <= index < len(names) else f"class {index}"


# Boxes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Box:
    rect: Rect
    label: int
    name: str
    tail: str
    crowd: bool


def _boxes(names: list[str], shown: Truth | Prediction, least: float, factor: float) -> list[_Box]:
    """The boxes to draw in pixels of the drawing, surest first."""
    found: list[tuple[float, _Box]] = []
    boxes = shown.boxes if shown.boxes is not None else np.zeros((0, 4))
    labels = shown.labels if shown.labels is not None else np.zeros(len(boxes), dtype=int)
    sure = shown.confidences if isinstance(shown, Prediction) else None
    crowd = shown.crowd if isinstance(shown, Truth) else None
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        confidence = 1.0 if sure is None else float(sure[index])
        if confidence < least:
            continue
        many = crowd is not None and len(crowd) > 0 and bool(crowd[index])
        tail = " (crowd)" * many + (f" {confidence:.2f}" if sure is not None else "")
        x0, y0, x1, y1 = (round(float(v) * factor) for v in box)
        rect = (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
        found.append((confidence, _Box(rect, int(label), _name(names, int(label)), tail, many)))
    return [box for _, box in sorted(found, key=lambda pair: -pair[0])]


def _with_boxes(canvas: np.ndarray, found: list[_Box], letters: Lettering) -> np.ndarray:
    """Outlines with a dark rim, so that they stand out on any image, then the tags above all."""
    tints = colours(256)
    line = max(2, max(canvas.shape[:2]) // 240)
    for box in reversed(found):
        colour = tuple(int(c) for c in tints[box.label % 256])
        near, far = box.rect[:2], (box.rect[2] - 1, box.rect[3] - 1)
        cv2.rectangle(canvas, near, far, _DARK, line + 2)
        cv2.rectangle(canvas, near, far, colour, 1 if box.crowd else line)
    _tag_boxes(canvas, found, letters)
    return canvas


def _tag_boxes(canvas: np.ndarray, found: list[_Box], letters: Lettering) -> None:
    """Names, surest first; among many boxes none that would cover another."""
    crowded, named = len(found) >= _CROWDED, set[int]()
    placed: list[Rect] = []
    for box in found:
        text = letters.fit(box.name, letters.room, box.tail)
        width, height = tag_size(text, letters)
        rect = _place(box.rect, (width, height), canvas, placed)
        if crowded and (rect is None or (letters.sparing and box.label in named)):
            continue
        x, y = box.rect[0], box.rect[1] - height
        rect = rect or inside((x, y, x + width, y + height), canvas)
        placed.append(rect)
        named.add(box.label)
        put_tag(canvas, text, rect, colours(256)[box.label % 256], letters)


def _place(box: Rect, size: tuple[int, int], canvas: np.ndarray, placed: list[Rect]) -> Rect | None:
    """The first free place for a tag: above, below, inside the box; None where all is taken."""
    width, height = size
    left, right = box[0] - 1, box[2] + 1 - width
    tops = (box[1] - height, box[3], box[1] + 1, box[3] - height - 1)
    for x, y in [(left, y) for y in tops] + [(right, y) for y in tops]:
        rect = inside((x, y, x + width, y + height), canvas)
        if abs(rect[1] - y) <= height // 4 and not any(overlap(rect, p) for p in placed):
            return rect
    return None


# Masks ------------------------------------------------------------------------------------


def _with_mask(
    canvas: np.ndarray, names: list[str], mask: np.ndarray, letters: Lettering
) -> np.ndarray:
    """Tints every class but a background, outlines its regions, hatches what has no label."""
    tints = colours(256)
    tinted = np.ones(256, dtype=bool)
    tinted[IGNORE] = False
    for index, name in enumerate(names[:255]):
        tinted[index] = is_tinted(name)
    layer, where = tints[mask], tinted[mask]
    out = np.where(where[..., None], cv2.addWeighted(canvas, 0.55, layer, 0.45, 0), canvas)
    _hatch(out, mask == IGNORE)
    edge = _edges(mask, max(1, max(canvas.shape[:2]) // 300))
    out[edge & where] = layer[edge & where]
    out[edge & ~where] = (out[edge & ~where] * 0.45).astype(np.uint8)
    _name_regions(out, names, mask, tinted, letters)
    return out


def _edges(mask: np.ndarray, reach: int) -> np.ndarray:
    """Pixels within `reach` of another class."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    values = mask.astype(np.uint8)
    return np.asarray(cv2.dilate(values, kernel) != cv2.erode(values, kernel))


def _hatch(out: np.ndarray, where: np.ndarray) -> None:
    """Grey diagonal lines: there is no label here."""
    if not where.any():
        return
    rows, columns = np.arange(where.shape[0])[:, None], np.arange(where.shape[1])
    lines = where & ((rows + columns) % 10 < 2)
    out[lines] = (out[lines] * 0.4 + 110).astype(np.uint8)


def _name_regions(
    out: np.ndarray, names: list[str], mask: np.ndarray, tinted: np.ndarray, letters: Lettering
) -> None:
    """The class name on the largest region of each class, where it covers least."""
    placed: list[Rect] = []
    present = [int(label) for label in np.unique(mask) if tinted[label]]
    sparing = letters.sparing and len(present) > _MANY_CLASSES
    for label in present:
        region = _largest_region(mask == label)
        text = letters.fit(_name(names, label), letters.room)
        rect = _region_place(region, tag_size(text, letters), out, placed, sparing=sparing)
        if rect is not None:
            placed.append(rect)
            put_tag(out, text, rect, colours(256)[label], letters)


def _largest_region(where: np.ndarray) -> np.ndarray:
    """The largest connected part as `uint8` 0 and 1."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8))
    return np.asarray(parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def _region_place(
    region: np.ndarray,
    size: tuple[int, int],
    canvas: np.ndarray,
    placed: list[Rect],
    *,
    sparing: bool,
) -> Rect | None:
    """The middle of the thickest part where it is thick enough, otherwise beside the region.

    A `sparing` drawing leaves the name out where it has no place of its own.
    """
    width, height = size
    _, thick, _, at = cv2.minMaxLoc(cv2.distanceTransform(region, cv2.DIST_L2, 3))
    x, y, w, h = cv2.boundingRect(region)
    middle = [(at[0] - width // 2, at[1] - height // 2)]
    beside = [(x, y - height), (x, y + h), (x + w, y), (x - width, y)]
    order = middle + beside if thick > height else beside + middle
    if sparing:
        order = middle if thick > height else []
    rects = [inside((a, b, a + width, b + height), canvas) for a, b in order]
    free = [r for r in rects if not any(overlap(r, p) for p in placed)]
    return next(iter(free if sparing else free or rects), None)


# Captions ---------------------------------------------------------------------------------


def _caption(names: list[str], shown: Truth | Prediction) -> list[tuple[int, str, float | None]]:
    """Class, name and probability of each line of the strip."""
    if isinstance(shown, Truth):
        several = np.flatnonzero(shown.shown).tolist() if shown.shown is not None else []
        labels = several if shown.label is None else [shown.label]
        return [(label, _name(names, label), None) for label in labels]
    if shown.probabilities is None:
        return []
    best = np.argsort(-shown.probabilities, kind="stable")[:3]
    return [
        (int(i), _name(names, int(i)), float(p))
        for i, p in zip(best, shown.probabilities[best], strict=True)
    ]


def _with_caption(
    canvas: np.ndarray, lines: list[tuple[int, str, float | None]], letters: Lettering
) -> np.ndarray:
    """The image with a dark strip below: a chip of the class colour, its name, a bar."""
    if not lines:
        return canvas
    pad, step, width = letters.size // 2, letters.height + 2, canvas.shape[1]
    strip = np.empty((step * len(lines) + pad, width, 3), dtype=np.uint8)
    strip[:] = _DARK
    for row, (label, name, share) in enumerate(lines):
        top = pad // 2 + row * step
        colour = colours(256)[label % 256]
        end = pad // 2 + round((width - pad) * (share or 0))
        strip[top + 1 : top + step - 1, pad // 2 : end] = colour // 4 + 24
        strip[top + 1 : top + step - 1, pad // 2 : pad] = colour
        fitted = letters.fit(name, width - 3 * pad, "" if share is None else f" {share:.2f}")
        letters.put(strip, fitted, (2 * pad, top + 1), (245, 245, 245))
    return np.concatenate([canvas, strip])
