"""A dataset to the facts that the plan is made from."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from automl.data.ground_truth import truth
from automl.data.scan import Scanned
from automl.dataset import Dataset, Profile, Sample

MASKS_LOOKED_AT = 50
"""Masks whose regions are measured: quantiles of sizes need no more."""

SMALLEST_REGION = 4
"""Pixels; smaller regions of a mask are specks of its drawing, not objects."""


def profile(dataset: Dataset, scanned: Sequence[Scanned], pixels: Counter[int]) -> Profile:
    """Facts of the whole set; `pixels` counts those of the training masks by class index."""
    widths = [s.width for s in dataset.samples] or [0]
    heights = [s.height for s in dataset.samples] or [0]
    train = dataset.split("train")
    counts = _class_counts(dataset, train, pixels)
    sizes, per_image = _objects(dataset, train)
    most = max(counts.values(), default=0)
    return Profile(
        task=dataset.task,
        images=dataset.counts(),
        classes=len(dataset.classes),
        class_counts=counts,
        balance=round(min(counts.values(), default=0) / most, 6) if most else 0.0,
        width=int(np.median(widths)),
        height=int(np.median(heights)),
        smallest_side=min(*widths, *heights),
        largest_side=max(*widths, *heights),
        channels=max((s.image.channels for s in scanned), default=3),
        bit_depth=max((s.image.bit_depth for s in scanned), default=8),
        objects_per_image=round(per_image, 3),
        object_size=_quantiles(sizes),
        extra=_extra(dataset, train),
    )


def _class_counts(dataset: Dataset, train: list[Sample], pixels: Counter[int]) -> dict[str, int]:
    match dataset.task:
        case "classification":
            found = Counter(
                label for s in train for label in (s.labels if s.label is None else (s.label,))
            )
        case "detection":
            found = Counter(
                label
                for s in train
                for label, crowd in zip(s.labels, s.crowd, strict=True)
                if not crowd
            )
        case "segmentation":
            found = pixels
    return {c.name: found[i] for i, c in enumerate(dataset.classes)}


def _objects(dataset: Dataset, train: list[Sample]) -> tuple[list[float], float]:
    """Relative sizes of all objects, and how many there are per image."""
    if dataset.task == "classification" or not train:
        return [], 0.0
    if dataset.task == "detection":
        sizes = [
            (box[2] - box[0]) * (box[3] - box[1]) / (s.width * s.height)
            for s in train
            for box in s.boxes
        ]
        return [area**0.5 for area in sizes], len(sizes) / len(train)
    step = max(1, len(train) // MASKS_LOOKED_AT)
    looked_at = train[::step]
    regions = [size for s in looked_at for size in _regions(dataset, s)]
    return regions, len(regions) / len(looked_at)


def _regions(dataset: Dataset, sample: Sample) -> list[float]:
    """Square roots of the shares that connected regions of one class have of the image."""
    import cv2

    mask = truth(dataset, sample).mask
    if mask is None:
        return []
    sizes: list[float] = []
    for index in np.unique(mask[mask < len(dataset.classes)]):
        one = (mask == index).astype(np.uint8)
        areas = cv2.connectedComponentsWithStats(one, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        sizes += [float(a / mask.size) ** 0.5 for a in areas if a >= SMALLEST_REGION]
    return sizes


def _quantiles(sizes: list[float]) -> tuple[float, float, float] | None:
    if not sizes:
        return None
    low, middle, high = (round(float(q), 6) for q in np.quantile(sizes, (0.1, 0.5, 0.9)))
    return low, middle, high


def _extra(dataset: Dataset, train: list[Sample]) -> dict[str, float]:
    if dataset.task != "detection" or not train:
        return {}
    return {
        "images_without_objects": float(sum(not s.boxes for s in train)),
        "crowd_boxes": float(sum(sum(s.crowd) for s in train)),
        "most_objects_in_an_image": float(max(len(s.boxes) for s in train)),
    }
