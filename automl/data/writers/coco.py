"""COCO: `annotations/SPLIT.json` beside `images/SPLIT/`; boxes, outlines, runs, or labels alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from automl.data import rle
from automl.data.ground_truth import truth
from automl.data.readers.named import UNJUDGED_NAMES
from automl.data.regions import inside, rings_of
from automl.data.writers.target import Target, numbers
from automl.dataset import Region, Sample, Task
from automl.files import write_json
from automl.prediction import IGNORE

TASKS: tuple[Task, ...] = ("detection", "segmentation", "classification")


def write(target: Target) -> None:
    """Writes one document per split; class ids stay what they are."""
    dataset = target.dataset
    unjudged = max((c.id for c in dataset.classes), default=0) + 1
    ids = {i: c.id for i, c in enumerate(dataset.classes)} | {IGNORE: unjudged}
    categories: list[dict[str, Any]] = [{"id": c.id, "name": c.name} for c in dataset.classes]
    if dataset.task == "segmentation":
        categories.append({"id": unjudged, "name": UNJUDGED_NAMES[0]})
    number = 0
    for split, samples in target.splits():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for sample in samples:
            number += 1
            name = target.image(sample, f"images/{split}").removeprefix(f"images/{split}/")
            size = {"width": sample.width, "height": sample.height}
            images.append({"id": number, "file_name": name, **size})
            for fact in _facts(target, sample, ids):
                place = {"id": len(annotations) + 1, "image_id": number}
                annotations.append({**place, **fact})
        document = {"images": images, "annotations": annotations, "categories": categories}
        write_json(target.folder / f"annotations/{split}.json", document)
    if any(s.mask for s in dataset.samples):
        target.notes.append("masks become one region per class and image, run-length encoded")
    target.lost_facts()


def _facts(target: Target, sample: Sample, ids: dict[int, int]) -> Iterator[dict[str, Any]]:
    match target.dataset.task:
        case "classification":
            labels = sample.labels if sample.label is None else (sample.label,)
            yield from ({"category_id": ids[label]} for label in labels)
        case "detection":
            for label, box, crowd in zip(sample.labels, sample.boxes, sample.crowd, strict=True):
                x0, y0, x1, y1 = box
                bbox = numbers((x0, y0, x1 - x0, y1 - y0))
                area = round((x1 - x0) * (y1 - y0), 3)
                yield {"category_id": ids[label], "bbox": bbox, "area": area, "iscrowd": int(crowd)}
        case "segmentation":
            regions = list(sample.regions) if sample.mask is None else _of_mask(target, sample)
            for region in regions:
                yield {"category_id": ids[region.label], **_drawn(region, sample)}


def _of_mask(target: Target, sample: Sample) -> list[Region]:
    """A region per class; what nothing covers need not be said."""
    mask = truth(target.dataset, sample).mask
    if mask is None:
        return []
    return [Region(int(i), runs=rle.encode(mask == i)) for i in np.unique(mask)]


def _drawn(region: Region, sample: Sample) -> dict[str, Any]:
    size = sample.height, sample.width
    pixels = inside(region, size)
    rows, columns = np.nonzero(pixels.any(1))[0], np.nonzero(pixels.any(0))[0]
    left, top = int(columns[0]), int(rows[0])
    bbox = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
    drawn: Any = [numbers(tuple(ring)) for ring in rings_of(region.outline)]
    if region.runs:
        drawn = {"size": list(size), "counts": region.runs}
    return {"segmentation": drawn, "bbox": bbox, "area": int(pixels.sum()), "iscrowd": 0}
