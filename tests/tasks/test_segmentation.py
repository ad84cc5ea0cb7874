"""Logits to the mask of an image, class by class."""

import tracemalloc

import numpy as np
import pytest
import torch

from automl.model.preprocess import Preprocess
from automl.prediction import IGNORE
from automl.tasks.protocol import LossSettings
from automl.tasks.segmentation import decode, loss


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


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 1.5])])
def test_loss__pixels_that_are_ignored_teach_nothing(weights) -> None:
    settings = LossSettings(label_smoothing=0.1, class_weights=weights)
    net = torch.nn.Conv2d(3, 3, 1)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    nowhere = torch.full((2, 8, 8), IGNORE, dtype=torch.uint8)
    parts = loss(net, images, nowhere, settings)
    torch.stack(list(parts.values())).sum().backward()
    assert all(float(value.detach()) == 0.0 for value in parts.values())
    assert all(not parameter.grad.any() for parameter in net.parameters())

    half = nowhere.clone()
    half[:, :4] = torch.arange(4, dtype=torch.uint8).remainder(3)[None, :, None]
    found, cut = loss(net, images, half, settings), (slice(None), slice(None), slice(0, 4))
    alone = loss(net, images[cut], half[:, :4], settings)
    for name, value in found.items():
        assert float(value.detach()) > 0
        torch.testing.assert_close(value, alone[name])
