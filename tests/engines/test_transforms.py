import os
import signal
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data._utils import signal_handling

from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.dataset import Task
from automl.engines.loader import BatchStream, TrainingSamples, augmented
from automl.engines.transform_list import build
from automl.engines.transforms import augmenter, check_custom_transforms
from automl.errors import RecipeError
from automl.plan import Augment
from automl.planning.augmentation import POLICIES
from automl.prediction import IGNORE
from tests.engines.toy import SIDE, draw_set, toy_plan

EVERY_POLICY = [(task, name) for task, policies in POLICIES.items() for name in policies]


@pytest.mark.parametrize(("task", "policy"), EVERY_POLICY)
def test_augmenter__every_policy_keeps_size_type_and_annotation(
    task: Task, policy: str, tmp_path: Path
) -> None:
    dataset = draw_set(task, tmp_path, train=6, val=2)
    augment = Augment(policy=policy, transforms=POLICIES[task][policy])
    plan = toy_plan(task, dataset).model_copy(update={"augment": augment})
    samples = TrainingSamples(plan, dataset)
    for index in range(6):
        image, annotated = samples.item(0, index)
        assert image.shape == (SIDE, SIDE, 3)
        assert image.dtype == np.uint8
        if task == "segmentation":
            assert annotated["mask"].shape == (SIDE, SIDE)
            assert set(np.unique(annotated["mask"])) <= {0, 1, 2, IGNORE}
        if task == "detection":
            boxes = np.asarray(annotated["bboxes"]).reshape(-1, 4)
            assert len(boxes) == len(annotated["labels"])
            assert (boxes >= 0).all()
            assert (boxes <= SIDE).all()


def test_augmenter__what_is_drawn_depends_on_the_key_alone(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path, train=2, val=2)
    augment = Augment(policy="heavy", transforms=POLICIES["classification"]["heavy"])
    plan = toy_plan("classification", dataset).model_copy(update={"augment": augment})
    image = read_image(tmp_path / dataset.samples[0].path)
    apply, again = augmenter(plan), augmenter(plan)
    first = apply(image, {"label": 0}, 5)[0]
    apply(image, {"label": 0}, 6)
    assert (apply(image, {"label": 0}, 5)[0] == first).all()
    assert (again(image, {"label": 0}, 5)[0] == first).all()
    assert (apply(image, {"label": 0}, 6)[0] != first).any()


def test_augmenter__a_flip_moves_image_boxes_and_mask_together(tmp_path: Path) -> None:
    flip = Augment(policy="custom", transforms=({"HorizontalFlip": {"p": 1.0}},))
    dataset = draw_set("detection", tmp_path / "d", train=2, val=2)
    plan = toy_plan("detection", dataset).model_copy(update={"augment": flip})
    sample = dataset.samples[0]
    original = read_image(tmp_path / "d" / sample.path)
    known = truth(dataset, sample)
    image, moved = augmenter(plan)(original, {"bboxes": known.boxes, "labels": known.labels}, 0)
    x0, y0, x1, y1 = sample.boxes[0]
    assert (image == original[:, ::-1]).all()
    assert np.asarray(moved["bboxes"][0]).tolist() == [SIDE - x1, y0, SIDE - x0, y1]


def test_build__names_outside_albumentations_transforms_are_refused() -> None:
    for name in ("Compose", "os", "HorizontalFlipp", "__builtins__"):
        with pytest.raises(RecipeError, match="not an Albumentations transform"):
            build(Augment(policy="custom", transforms=({name: {}},)))


def test_stream__batches_hold_uint8_images_in_channels_last_memory(tmp_path: Path) -> None:
    dataset = draw_set("detection", tmp_path, train=4, val=2)
    samples = TrainingSamples(toy_plan("detection", dataset), dataset)
    (batch,) = BatchStream(samples, pin=False).batches(0, [np.array([2, 0])])
    assert batch.images.shape == (2, 3, SIDE, SIDE)
    assert batch.images.dtype.is_floating_point is False
    assert batch.images.stride()[1] == 1
    assert batch.paths == ["002.png", "000.png"]
    assert [len(t["boxes"]) for t in batch.targets] == [1, 1]


def test_stream__a_signal_to_workers_that_are_just_starting_does_not_end_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the library has set its own handlers, and before ours are there."""
    set_handlers = signal_handling._set_worker_signal_handlers
    sent = tmp_path / "sent"

    def and_then_the_signal() -> None:
        set_handlers()
        sent.touch()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(signal_handling, "_set_worker_signal_handlers", and_then_the_signal)
    dataset = draw_set("classification", tmp_path / "toy")
    samples = TrainingSamples(toy_plan("classification", dataset, workers=1), dataset)
    batches = list(BatchStream(samples, pin=False).batches(0, [np.array([2, 0]), np.array([1])]))
    assert sent.exists()
    assert [len(batch.paths) for batch in batches] == [2, 1]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_augmented__draws_as_many_as_asked(tmp_path: Path) -> None:
    dataset = draw_set("segmentation", tmp_path, train=4, val=2)
    images, captions = augmented(toy_plan("segmentation", dataset), dataset, 3)
    assert len(images) == len(captions) == 3
    assert images[0].ndim == 3


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"ToFloat": {}}, "gives no 8-bit image"),
        ({"Normalize": {}}, "gives no 8-bit image"),
        ({"Resize": {"height": 17, "width": 17}}, "into another shape"),
        ({"RandomCrop": {"height": 8, "width": 8}}, "into another shape"),
        ({"ToGray": {"num_output_channels": 1}}, "into another shape"),
        ({"RandomCrop": {"height": 9999, "width": 9999}}, "fails on an image of 64x64"),
        ({"Lambda": {"image": "os.system"}}, "fails on an image of 64x64"),
    ],
)
def test_try_out__what_would_break_a_batch_is_refused(
    task: Task, step: dict, words: str, tmp_path: Path
) -> None:
    good = {"HorizontalFlip": {"p": 0.5}}
    augment = Augment(policy="custom", transforms=(good, step))
    dataset = draw_set(task, tmp_path, train=1, val=1)
    plan = toy_plan(task, dataset).model_copy(update={"augment": augment})
    with pytest.raises(RecipeError) as caught:
        check_custom_transforms(plan, "r.yaml:3:1")
    (fault,) = caught.value.faults
    assert f"`{next(iter(step))}` in `augment`" in fault.message
    assert words in fault.message
    assert fault.where == "r.yaml:3:1"
    assert fault.hint


@pytest.mark.parametrize(("task", "policy"), EVERY_POLICY)
def test_try_out__our_own_transforms_pass(task: Task, policy: str, tmp_path: Path) -> None:
    augment = Augment(policy="custom", transforms=POLICIES[task][policy])
    dataset = draw_set(task, tmp_path, train=1, val=1)
    check_custom_transforms(toy_plan(task, dataset).model_copy(update={"augment": augment}))
