"""Augmentation of one training sample: frame and annotation in, uint8 image of the plan's size out.

First the random crop or zoom of the task, then the transforms of the policy. What is drawn depends
on the sample's key alone.
"""

import warnings
from typing import Any, Protocol

import numpy as np

from automl.dataset import Task
from automl.engines.fused import Fused, InitialCrop
from automl.engines.policy_steps import RandomAffine, steps
from automl.engines.transform_list import build
from automl.errors import RecipeError
from automl.model.preprocess import PAD_VALUE
from automl.plan import Augment, Plan
from automl.prediction import IGNORE

Annotated = dict[str, Any]


class Augmenter(Protocol):
    """Called with the frame of a sample, its annotation, and the key that all is drawn from."""

    def __call__(
        self, image: np.ndarray, annotated: Annotated, key: int, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, Annotated]:
        """The image that is trained on, in `out` where that is given; what is known of it."""
        ...


def augmenter(plan: Plan, *, without_affine: bool = False) -> Augmenter:
    """The training transform of a plan: of the built-in policies in few passes, else as listed.

    `without_affine`: without the policy's scale and shift, for mosaics, which have their own.
    """
    policy = plan.augment
    known = None if policy.policy == "custom" else steps(policy.transforms)
    if known is not None:
        wanted = [step for step in known if not (without_affine and isinstance(step, RandomAffine))]
        return Fused(InitialCrop.of(plan), wanted)
    return _listed(plan)


def _listed(plan: Plan) -> Augmenter:
    """By Albumentations, transform after transform."""
    transforms = _geometry(plan) + build(plan.augment)
    compose = _compose(plan.task, transforms) if transforms else None

    def augment(
        image: np.ndarray, annotated: Annotated, key: int, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, Annotated]:
        if compose is not None:
            compose.set_random_seed(key)
            annotated = compose(image=image, **annotated)
            image = np.ascontiguousarray(annotated.pop("image"))
        if out is None:
            return image, annotated
        np.copyto(out, image)
        return out, annotated

    return augment


def _compose(task: Task, transforms: list[Any]) -> Any:
    import albumentations

    boxes = None
    if task == "detection":
        boxes = albumentations.BboxParams(
            format="pascal_voc",
            label_fields=["labels"],
            min_visibility=0.25,
            clip=True,
            filter_invalid_bboxes=True,
        )
    with warnings.catch_warnings():  # of lists that change colours only, and so move no box
        warnings.filterwarnings("ignore", message="Got processor for bboxes")
        # A fixed seed here keeps the constructor from drawing one; each call sets its own.
        return albumentations.Compose(transforms, bbox_params=boxes, seed=0)


def _geometry(plan: Plan) -> list[Any]:
    """What comes before the list: random crops of it."""
    import albumentations

    crop = InitialCrop.of(plan)
    if crop.least_area:
        area = (crop.least_area, 1.0)
        return [albumentations.RandomResizedCrop(size=crop.size, scale=area)]
    if plan.task == "segmentation" and (crop.size != plan.train.image_size or crop.zoom):
        height, width = crop.size
        limit = crop.zoom
        zoom = [albumentations.RandomScale(scale_limit=limit, p=1.0)] if limit else []
        pad = albumentations.PadIfNeeded(height, width, fill=PAD_VALUE, fill_mask=IGNORE)
        return [*zoom, pad, albumentations.RandomCrop(height, width)]
    return []


def check_custom_transforms(plan: Plan, where: str = "") -> None:
    """Refuses a recipe's transforms that fail on an image, or change its size or type."""
    if plan.augment.policy != "custom":
        return
    height, width = plan.train.crop
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    annotated = dummy_annotation(plan.task, height, width)
    for step in plan.augment.transforms:
        (name,) = step
        (transform,) = build(Augment(policy="custom", transforms=(step,)))
        transform.p = 1.0
        try:
            result = _compose(plan.task, [transform])(image=image.copy(), **annotated)["image"]
        except Exception as error:  # whatever a transform raises, it cannot be used
            why = (str(error) or type(error).__name__).splitlines()[0]
            message = f"`{name}` in `augment` fails on an image of {width}x{height}: {why}"
            raise RecipeError(message, where=where, hint="take it out or change it") from error
        if not isinstance(result, np.ndarray) or result.dtype != np.uint8:
            message = f"`{name}` in `augment` gives no 8-bit image"
            hint = "take it out; normalisation and tensors are the engine's matter"
            raise RecipeError(message, where=where, hint=hint)
        if result.shape != image.shape:
            message = f"`{name}` in `augment` turns {width}x{height} px into another shape"
            hint = "take it out; `train.image_size`, `crop` and `fit` say the size"
            raise RecipeError(message, where=where, hint=hint)


def dummy_annotation(task: Task, height: int, width: int) -> Annotated:
    """One object, class or region, in the form that the modules of `tasks` give."""
    match task:
        case "classification":
            return {"label": 0}
        case "segmentation":
            return {"mask": np.zeros((height, width), np.uint8)}
        case "detection":
            box = [0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]
            return {"bboxes": np.array([box], np.float32), "labels": np.zeros(1, np.int64)}
