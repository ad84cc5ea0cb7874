"""What a detector is taught of an image."""

import numpy as np
import pytest
import torch

from automl.engines.divergence import check_input
from automl.engines.loader import Batch
from automl.errors import NumbersError
from automl.tasks.detection import collate


def test_collate__leaves_out_boxes_without_area() -> None:
    boxes = np.array([[0, 0, 4, 4], [5, 5, 5, 9], [5, 9, 8, 9], [1, 1, 2, 3]], np.float32)
    nothing = {"bboxes": [], "labels": []}
    found, empty = collate([{"bboxes": boxes, "labels": np.array([3, 1, 2, 0])}, nothing])
    assert found["boxes"].tolist() == [[0, 0, 4, 4], [1, 1, 2, 3]]
    assert found["labels"].tolist() == [3, 0]
    assert (tuple(empty["boxes"].shape), empty["labels"].tolist()) == ((0, 4), [])


@pytest.mark.parametrize("place", range(4))
def test_collate__what_is_no_number_is_not_dropped_but_complained_of(place: int) -> None:
    box = np.array([[0, 0, 4, 4]], np.float32)
    box[0, place] = np.nan
    targets = collate([{"bboxes": box, "labels": np.zeros(1)}])
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(NumbersError, match="boxes"):
        check_input(Batch(images, targets, ["a.png"]), 1, 1)
