"""A split as a stream: its decoded images, and predictions paired with what is known."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.dataset import Dataset, SplitName
from automl.prediction import Prediction, Truth


def images(dataset: Dataset, split: SplitName) -> Iterator[tuple[str, np.ndarray]]:
    """Path and upright RGB pixels of each image of a split, one at a time."""
    for sample in dataset.split(split):
        yield sample.path, read_image(Path(dataset.root) / sample.path, dataset.frame)


def judged(
    dataset: Dataset, split: SplitName, found: Iterable[Prediction]
) -> Iterator[tuple[Truth, Prediction]]:
    """Each prediction of a split beside the truth; `found` comes in the order of the split."""
    for sample, prediction in zip(dataset.split(split), found, strict=True):
        yield truth(dataset, sample), prediction
