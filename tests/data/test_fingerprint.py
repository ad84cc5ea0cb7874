"""Looks of pictures and of arrays are the same, and see the middle row of every few."""

import numpy as np
import pytest
from PIL import Image

from automl.data.fingerprint import fingerprint


@pytest.mark.parametrize("size", [(640, 480), (481, 643), (1, 16), (4000, 31), (300, 2000), (5, 7)])
@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_look__of_a_picture_is_that_of_its_array(size, kind, orientation):
    width, height = size
    shape = (height, width) if kind == "grey" else (height, width, 3)
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert fingerprint(Image.fromarray(pixels), orientation) == fingerprint(pixels, orientation)


def test_look__grey_looks_as_its_copy_in_rgb():
    grey = np.random.default_rng(0).integers(0, 255, (200, 300), dtype=np.uint8)
    assert fingerprint(grey, 1) == fingerprint(np.repeat(grey[:, :, None], 3, axis=2), 1)
