"""Logits to the mask of an image, class by class."""

import tracemalloc

import numpy as np
import torch

from automl.model.preprocess import Preprocess
from automl.tasks.segmentation import decode


def test_decode__the_most_probable_class_and_the_first_of_equals() -> None:
    for fit in ("squash", "letterbox", "crop"):
        geometry = Preprocess((32, 64), fit, (0.0,) * 3, (1.0,) * 3).geometry(50, 70)
        logits = torch.randn(2, 7, 32, 64, generator=torch.Generator().manual_seed(0))
        logits[1] = logits[1].round()
        found = decode(logits, [geometry] * 2, ["a", "b"])
        for one, prediction in zip(logits, found, strict=True):
            assert prediction.mask is not None
            assert prediction.mask.dtype == np.uint8
            wanted = geometry.map_back(one.numpy()).argmax(axis=0)
            assert np.array_equal(prediction.mask, wanted)


def test_decode__a_large_photo_takes_no_room_for_all_classes() -> None:
    side, classes = 1000, 20
    geometry = Preprocess((32, 32), "squash", (0.0,) * 3, (1.0,) * 3).geometry(side, side)
    tracemalloc.start()
    decode(torch.zeros(1, classes, 32, 32), [geometry], ["a"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 4 * side**2  # of maps of one class
