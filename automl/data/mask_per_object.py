"""Masks of one object each: what a file shows, and the shapes or boxes of their image."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from automl.data import rle
from automl.data.decoding import read_bytes
from automl.data.frame import Frame
from automl.data.images import ImageFacts, MaskFacts, count_ids, mask_from_file
from automl.data.reading import Box, Entry, Runs, Shape, fatal, shown
from automl.data.regions import box_of
from automl.dataset import Finding


def object_facts(path: Path, frame: Frame | None = None) -> MaskFacts:
    """Decodes the mask of one object and keeps its pixels as runs."""
    data = read_bytes(path)
    ids = mask_from_file(data, path, frame=frame)
    height, width = ids.shape
    digest = hashlib.sha256(data).hexdigest()
    return MaskFacts(digest, width, height, count_ids(ids), rle.encode(ids > 0))


def with_parts(
    entry: Entry, image: ImageFacts, parts: Sequence[MaskFacts], root: Path
) -> Entry | Finding:
    """Shapes where the entry has shapes, else their boxes."""
    shapes = []
    for file, facts in zip(entry.parts, parts, strict=True):
        where = shown(file, root)
        if fault := _fault(facts, image, where):
            return fault
        runs = Runs((facts.height, facts.width), facts.runs)
        shapes.append(Shape(entry.part_class, runs=runs, where=where))
    if entry.shapes is not None:
        return replace(entry, shapes=tuple(shapes))
    boxes = tuple(Box(entry.part_class, box_of(s), where=s.where) for s in shapes)
    return replace(entry, boxes=boxes)


def _fault(facts: MaskFacts, image: ImageFacts, where: str) -> Finding | None:
    if (facts.width, facts.height) != (image.width, image.height):
        reason = f"mask is {facts.width}x{facts.height}, its image {image.width}x{image.height}"
        return fatal("mask_size_differs", where, reason, "draw the mask on this very image")
    values = sorted(set(facts.counts) - {0})
    if len(values) > 1:
        few = ", ".join(map(str, values[:8])) + (" ..." if len(values) > 8 else "")
        reason = f"a mask of one object holds 0 and one other value, not: {few}"
        return fatal("several_values", where, reason, "write a file for each object")
    if not values:
        return fatal("empty_mask", where, "the mask holds no pixel", "remove the file")
    return None
