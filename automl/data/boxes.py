"""Boxes as annotated to boxes in pixels of the upright image, clipped to it."""

import math
from dataclasses import dataclass

from automl.data.images import Corners, ImageFacts, upright_corners
from automl.data.reading import Box, Entry, drawn_as_stored, fatal, warning
from automl.data.scan import Scanned
from automl.dataset import Finding

SLACK = 1.0
"""Pixels that a box may reach over the border without a word: rounding, counting from 1."""

LEAST_SIDE = 1.0
"""Pixels; a click without a drag leaves a box of one pixel in Pascal VOC."""

TINY = 3.0
"""Pixels below which a side is said to be tiny: few nets see anything of it."""

MANY = 1000
"""Boxes in one image above which it is said."""

_LEFT_OUT = frozenset({"degenerate_box"})
"""Findings whose box is left out even where the image stays."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The usable boxes of one image, with class ids."""

    corners: tuple[Corners, ...]
    class_ids: tuple[int, ...]
    crowd: tuple[bool, ...]


def place(scanned: Scanned, file: str) -> tuple[Placed, list[Finding]]:
    """Scales, turns upright and clips every box; what cannot be used becomes a finding."""
    entry, image = scanned.entry, scanned.image
    findings = _size_fault(entry, image, file)
    kept: list[tuple[Corners, Box]] = []
    for box in entry.boxes:
        corners = _in_pixels(box.corners, entry, image)
        fault = _fault(corners, image, box.where or file)
        if fault:
            findings.append(fault)
        if fault is None or (fault.severity == "warning" and fault.code not in _LEFT_OUT):
            kept.append((_clip(corners, image), box))
    kept = _each_once(kept, findings, file)
    if len(kept) > MANY:
        reason = f"{len(kept)} boxes in one image: slow, and more than most nets can tell apart"
        findings.append(warning("many_boxes", file, reason, "cut the image into tiles"))
    placed = Placed(
        tuple(corners for corners, _ in kept),
        tuple(box.class_id for _, box in kept),
        tuple(box.crowd for _, box in kept),
    )
    return placed, findings


def without_them(placed: Placed, faults: list[Finding]) -> list[Finding]:
    """Boxes without area are left out, and said so, where others in the image remain."""
    if not placed.corners:
        return faults
    return [
        warning(f.code, f.file, f"{f.reason} and is left out", f.cure)
        if f.code in _LEFT_OUT and f.severity == "fatal"
        else f
        for f in faults
    ]


def _each_once(
    kept: list[tuple[Corners, Box]], findings: list[Finding], file: str
) -> list[tuple[Corners, Box]]:
    """Boxes of one class at one place count once."""
    once: dict[tuple[Corners, int, bool], tuple[Corners, Box]] = {}
    for corners, box in kept:
        first = once.setdefault((corners, box.class_id, box.crowd), (corners, box))
        if first[1] is not box:
            reason = "the same box of the same class is there already, and counts once"
            findings.append(warning("duplicate_box", box.where or file, reason, "remove it"))
    return list(once.values())


def _in_pixels(corners: Corners, entry: Entry, image: ImageFacts) -> Corners:
    x0, y0, x1, y1 = corners
    if entry.relative:
        return x0 * image.width, y0 * image.height, x1 * image.width, y1 * image.height
    if drawn_as_stored(entry, image):
        return upright_corners(corners, image.orientation, image.stored)
    return corners


def _size_fault(entry: Entry, image: ImageFacts, file: str) -> list[Finding]:
    if entry.declared in (None, (image.width, image.height), image.stored):
        return []
    width, height = entry.declared or (0, 0)
    return [
        warning(
            "size_differs",
            file,
            f"annotated as {width}x{height}, but the image is {image.width}x{image.height}",
            "check that the boxes were drawn on this very file",
        )
    ]


def _fault(corners: Corners, image: ImageFacts, where: str) -> Finding | None:
    x0, y0, x1, y1 = corners
    shown = f"{x0:g}, {y0:g}, {x1:g}, {y1:g}" if all(map(math.isfinite, corners)) else f"{corners}"
    size = f"{image.width}x{image.height}"
    if not all(map(math.isfinite, corners)):
        return fatal("malformed_annotation", where, f"box {shown}", "correct the numbers")
    if x1 <= x0 or y1 <= y0:
        what = "a negative size" if x1 < x0 or y1 < y0 else "no area"
        cure = "draw it again or remove it"
        return fatal("degenerate_box", where, f"box {shown} has {what}", cure)
    if x1 - x0 <= LEAST_SIDE or y1 - y0 <= LEAST_SIDE:
        reason = f"box {shown} is no larger than a pixel across and is left out"
        return warning("degenerate_box", where, reason, "draw it again or remove it")
    if min(x1, image.width) - max(x0, 0) <= 0 or min(y1, image.height) - max(y0, 0) <= 0:
        reason = f"box {shown} lies outside the image of {size}"
        return fatal("box_outside", where, reason, "correct or remove it")
    over = max(-x0, -y0, x1 - image.width, y1 - image.height)
    if over > SLACK:
        reason = f"box {shown} reaches over the border of the image of {size} and is clipped"
        return warning("box_clipped", where, reason, "clip it in the annotation")
    if min(x1 - x0, y1 - y0) < TINY:
        reason = f"box {shown} is less than {TINY:g} pixels across"
        return warning("tiny_box", where, reason, "use larger images, or leave such objects out")
    return None


def _clip(corners: Corners, image: ImageFacts) -> Corners:
    """Clipped, and rounded to thousandths of a pixel so that all formats give the same digest."""
    x0, y0, x1, y1 = corners
    return (
        round(max(x0, 0.0), 3),
        round(max(y0, 0.0), 3),
        round(min(x1, float(image.width)), 3),
        round(min(y1, float(image.height)), 3),
    )
