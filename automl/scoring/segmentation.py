"""True and predicted masks in; IoU, Dice, accuracy and confusion out. Ignored pixels never count.

A class that no true mask holds takes no part in a mean: its IoU is 0 where it was predicted (the
pixels it took are lost to the true classes already) and undefined where it was not.
"""

import numpy as np

from automl.errors import AutomlError
from automl.prediction import IGNORE, Prediction, Truth
from automl.scoring.intervals import Interval, bounds, resample
from automl.scoring.numbers import defined, mean_defined, ratio, table
from automl.scoring.scores import Scores

Array = np.ndarray


class SegmentationTally:
    """Counts pixels image by image and scores them; no mask is kept."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.counts = np.zeros((len(classes), len(classes)), np.int64)
        self.paths: list[str] = []
        self.sums: list[Array] = []

    def add(self, truth: Truth, prediction: Prediction) -> None:
        """Takes one image."""
        if truth.mask is None or prediction.mask is None:
            raise AutomlError("a mask is missing", where=truth.path)
        if truth.mask.shape != prediction.mask.shape:
            raise AutomlError(
                f"the predicted mask is {prediction.mask.shape}, the true one {truth.mask.shape}",
                where=truth.path,
            )
        classes = len(self.classes)
        if prediction.mask.size and int(prediction.mask.max()) >= classes:
            raise AutomlError(
                f"the predicted mask holds {prediction.mask.max()}, there are {classes} classes",
                where=truth.path,
            )
        counts = confusion(truth.mask, prediction.mask, classes)
        if counts[classes:IGNORE].any():
            raise AutomlError(f"the true mask holds more than {classes} classes", where=truth.path)
        counts = counts[:classes]
        self.counts += counts
        self.paths.append(truth.path)
        self.sums.append(np.stack([counts.diagonal(), counts.sum(1), counts.sum(0)]))

    def scores(self, split: str) -> Scores:
        """The scores of everything that was added."""
        hits, pixels, guessed = self.counts.diagonal(), self.counts.sum(1), self.counts.sum(0)
        columns = per_class(hits, pixels, guessed)
        occurs = pixels > 0
        metrics = {
            "miou": mean_defined(columns["iou"][occurs]),
            "dice": mean_defined(columns["dice"][occurs]),
            "pixel_accuracy": ratio(hits.sum(), pixels.sum()),
            "mean_accuracy": mean_defined(columns["recall"][occurs]),
        }
        return Scores(
            task="segmentation",
            split=split,
            images=len(self.paths),
            primary="miou",
            metrics=defined({name: float(value) for name, value in metrics.items()}, "miou"),
            per_class=table(self.classes, columns),
            intervals=intervals(np.stack(self.sums)),
            details={"confusion": self.counts.tolist()},
            per_image=self._per_image(),
        )

    def _per_image(self) -> list[tuple[str, float]]:
        """Mean IoU over the classes that an image holds or was said to hold; not if all ignored."""
        sums = np.stack(self.sums)
        values = mean_defined(ratio(sums[:, 0], sums[:, 1] + sums[:, 2] - sums[:, 0]))
        pairs = zip(self.paths, values.tolist(), strict=True)
        return [(path, value) for path, value in pairs if not np.isnan(value)]


def confusion(truth: Array, guessed: Array, classes: int) -> Array:
    """Pixels [256, classes], rows = truth; row 255 holds what is to be ignored."""
    # 255 * 255 + 254 fits 16 bits: half the memory traffic of a masked int64 copy.
    cell = truth.astype(np.uint16) * np.uint16(classes) + guessed.astype(np.uint16)
    return np.bincount(cell.ravel(), minlength=256 * classes).reshape(256, classes)


def per_class(hits: Array, pixels: Array, guessed: Array) -> dict[str, Array]:
    """IoU, Dice, precision, recall and pixels by class; NaN where undefined."""
    return {
        "iou": ratio(hits, pixels + guessed - hits),
        "dice": ratio(2 * hits, pixels + guessed),
        "precision": ratio(hits, guessed),
        "recall": ratio(hits, pixels),
        "pixels": pixels,
    }


def intervals(sums: Array) -> dict[str, Interval]:
    """95 % intervals of mean IoU, Dice and pixel accuracy from [images, 3, classes]."""
    images, _, classes = sums.shape
    flat = sums.reshape(images, -1).astype(float)
    drawn = np.concatenate([weights @ flat for weights in resample(images)])
    hits, pixels, guessed = drawn.reshape(-1, 3, classes).transpose(1, 0, 2)
    occurs = pixels > 0
    iou = ratio(hits, np.where(occurs, pixels + guessed - hits, 0))
    dice = ratio(2 * hits, np.where(occurs, pixels + guessed, 0))
    return bounds(
        miou=mean_defined(iou),
        dice=mean_defined(dice),
        pixel_accuracy=ratio(hits.sum(1), pixels.sum(1)),
    )
