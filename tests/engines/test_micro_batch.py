"""The search for the images at once that fit, and the worst batch that it tries."""

import pytest
import torch

from automl.engines.micro_batch import fit_micro_batch, largest_fitting, peak_bytes, worst_batch
from automl.errors import NumbersError
from tests.engines.toy import draw_set, toy_plan


def room_for(most: int, tried: list[int], error: Exception):
    """A machine that has memory for so many images."""

    def attempt(images: int) -> None:
        tried.append(images)
        if images > most:
            raise error

    return attempt


@pytest.mark.parametrize(
    ("batch", "most", "found", "tried"),
    [
        (32, 100, 32, [32]),
        (32, 9, 8, [32, 16, 8]),
        (12, 5, 4, [12, 6, 4]),
        (7, 6, 1, [7, 1]),
        (16, 1, 1, [16, 8, 4, 2, 1]),
    ],
)
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError()]
)
def test_largest__part_of_a_batch_that_fits(batch, most, found, tried, error):
    seen: list[int] = []
    assert largest_fitting(batch, room_for(most, seen, error), "cpu") == found
    assert seen == tried


def test_largest__nothing_fits_or_something_else_is_wrong():
    with pytest.raises(NumbersError, match="one image at once"):
        largest_fitting(4, room_for(0, [], MemoryError()), "cpu")
    with pytest.raises(RuntimeError, match="shape"):
        largest_fitting(4, room_for(0, [], RuntimeError("shape")), "cpu")


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_peak_bytes__trains_and_answers_the_worst_batch(task, tmp_path):
    dataset = draw_set(task, tmp_path)
    plan = toy_plan(task, dataset)
    pixels, targets = worst_batch(plan, dataset, 3, torch.device("cpu"))
    assert (pixels.dtype, tuple(pixels.shape)) == (torch.uint8, (3, 3, 64, 64))
    assert len(targets) == 3
    if task == "detection":
        assert all(len(target["boxes"]) == 1 for target in targets)
    assert peak_bytes(plan, dataset, 2) == 0, "nothing is measured on a CPU"


def test_fitted__a_cpu_keeps_its_bound_and_a_recipe_its_value(tmp_path):
    dataset = draw_set("classification", tmp_path)
    plan = toy_plan("classification", dataset)
    assert fit_micro_batch(plan, dataset, None) is plan
    on_card = plan.model_copy(update={"device": "cuda:0"})
    assert fit_micro_batch(on_card, dataset, 4) is on_card
