"""A split as a stream: its decoded images, and predictions paired with what is known."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from automl.data.ahead import ahead, decoded_bytes
from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.dataset import Dataset, SplitName
from automl.errors import DataError
from automl.prediction import Prediction, Truth


def images(dataset: Dataset, split: SplitName) -> Iterator[tuple[str, np.ndarray]]:
    """Path and upright RGB pixels of each image of a split in their order."""
    root, samples = Path(dataset.root), dataset.split(split)
    gone = [sample.path for sample in samples if not (root / sample.path).is_file()]
    if gone:
        raise DataError(
            f"{len(gone)} of {len(samples)} {split} images are gone, such as `{gone[0]}`",
            where=str(root),
            hint="bring the data back to where it was, or start a run on where it is now",
        )
    read = ahead(
        lambda sample: read_image(root / sample.path, dataset.frame),
        samples,
        decoded_bytes(samples),
    )
    for sample, image in zip(samples, read, strict=True):
        yield sample.path, image


def judged(
    dataset: Dataset, split: SplitName, found: Iterable[Prediction]
) -> Iterator[tuple[Truth, Prediction]]:
    """Each prediction of a split beside the truth; `found` comes in the order of the split."""
    for sample, prediction in zip(dataset.split(split), found, strict=True):
        yield truth(dataset, sample), prediction
