"""A sample to what is known of it, in the form that losses and scores take."""

import hashlib
from pathlib import Path

import numpy as np

from automl.data.decoding import read_bytes
from automl.data.images import mask_from_file
from automl.data.regions import paint
from automl.dataset import Class, Dataset, Sample
from automl.prediction import IGNORE, Truth


def truth(dataset: Dataset, sample: Sample) -> Truth:
    """Reads or paints the mask where there is one; the rest is in the sample."""
    match dataset.task:
        case "classification" if dataset.multi_label:
            shown = np.zeros(len(dataset.classes), bool)
            shown[list(sample.labels)] = True
            return Truth(sample.path, shown=shown)
        case "classification":
            return Truth(sample.path, label=sample.label)
        case "segmentation":
            return Truth(sample.path, mask=_mask(dataset, sample))
        case "detection":
            return Truth(
                sample.path,
                boxes=np.array(sample.boxes, np.float32).reshape(-1, 4),
                labels=np.array(sample.labels, np.int64),
                crowd=np.array(sample.crowd, bool),
            )


def _mask(dataset: Dataset, sample: Sample) -> np.ndarray:
    """From a file of ids, or painted anew each time: masks of a set may not fit into memory."""
    return mask_and_digest(dataset, sample)[0]


def mask_and_digest(dataset: Dataset, sample: Sample) -> tuple[np.ndarray, str | None]:
    """The mask of class indices, and the SHA-256 of the file that it was read from, if any."""
    if sample.mask is None:
        return paint(sample), None
    path = Path(dataset.root) / sample.mask
    data = read_bytes(path)
    ids = mask_from_file(data, path, dataset.colours, dataset.frame)
    return to_indices(ids, dataset.classes), hashlib.sha256(data).hexdigest()


def to_indices(ids: np.ndarray, classes: tuple[Class, ...]) -> np.ndarray:
    """Mask ids to class indices; every id that is no class becomes 255."""
    top = max([int(ids.max(initial=0)), *(c.id for c in classes)])
    table = np.full(top + 1, IGNORE, np.uint8)
    for index, c in enumerate(classes[:IGNORE]):
        table[c.id] = index
    indices: np.ndarray = table[ids]
    return indices
