"""Augmentation of one training sample: image and annotation in, uint8 image of the plan's size out.

First the geometry that brings the image to its training size, then the transforms of the policy.
What is drawn depends on the sample's key alone.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from automl.dataset import Task
from automl.engines.transform_list import build
from automl.errors import RecipeError
from automl.model.preprocess import PAD_VALUE, Preprocess
from automl.plan import Augment, Plan
from automl.prediction import IGNORE

Annotated = dict[str, Any]
Augmenter = Callable[[np.ndarray, Annotated, int], tuple[np.ndarray, Annotated]]

CROP_AREA = {"none": 1.0, "light": 0.5, "medium": 0.35, "heavy": 0.2, "custom": 0.35}
"""Smallest share of the image area that a random resized crop keeps (classification)."""
ZOOM = {"none": 0.0, "light": 0.25, "medium": 0.5, "heavy": 0.6, "custom": 0.5}
"""Half-width of the random zoom around 1 that precedes a segmentation crop."""


def augmenter(plan: Plan) -> Augmenter:
    """The training transform of a plan."""
    transforms = _geometry(plan) + build(plan.augment)
    compose = _compose(plan.task, transforms) if transforms else None
    prepare = None if _crops(plan) else _fit(plan)

    def augment(image: np.ndarray, annotated: Annotated, key: int) -> tuple[np.ndarray, Annotated]:
        if prepare is not None:
            image, annotated = prepare(image, annotated)
        if compose is None:
            return image, annotated
        compose.set_random_seed(key)
        result = compose(image=image, **annotated)
        return np.ascontiguousarray(result.pop("image")), result

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


def _crops(plan: Plan) -> bool:
    """Whether the random geometry reads the original image instead of the fitted one."""
    return plan.task == "classification" and plan.train.fit == "crop" and _random(plan)


def _random(plan: Plan) -> bool:
    return plan.augment.policy != "none"


def _geometry(plan: Plan) -> list[Any]:
    import albumentations

    train, policy = plan.train, plan.augment.policy
    if _crops(plan):
        area = (CROP_AREA[policy], 1.0)
        return [albumentations.RandomResizedCrop(size=train.image_size, scale=area)]
    if plan.task == "segmentation" and (train.crop != train.image_size or ZOOM[policy]):
        height, width = train.crop
        zoom = [albumentations.RandomScale(scale_limit=ZOOM[policy], p=1.0)] if ZOOM[policy] else []
        pad = albumentations.PadIfNeeded(height, width, fill=PAD_VALUE, fill_mask=IGNORE)
        return [*zoom, pad, albumentations.RandomCrop(height, width)]
    return []


def _fit(plan: Plan) -> Callable[[np.ndarray, Annotated], tuple[np.ndarray, Annotated]]:
    """The same geometry as at prediction, for image, boxes and mask."""
    fitted = Preprocess(plan.train.image_size, plan.train.fit, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def fit(image: np.ndarray, annotated: Annotated) -> tuple[np.ndarray, Annotated]:
        result, geometry = fitted.apply(image)
        annotated = dict(annotated)
        if "bboxes" in annotated:
            annotated["bboxes"] = geometry.boxes_forward(annotated["bboxes"])
        if "mask" in annotated:
            annotated["mask"] = geometry.mask_forward(annotated["mask"], IGNORE)
        return result, annotated

    return fit


def try_out(plan: Plan, where: str = "") -> None:
    """Refuses a recipe's transforms that fail on an image, or change its size or type."""
    if plan.augment.policy != "custom":
        return
    height, width = plan.train.crop
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    annotated = _made_up(plan.task, height, width)
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


def _made_up(task: Task, height: int, width: int) -> Annotated:
    """An annotation as `tasks` give it."""
    match task:
        case "classification":
            return {}
        case "segmentation":
            return {"mask": np.zeros((height, width), np.uint8)}
        case "detection":
            box = [0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]
            return {"bboxes": np.array([box], np.float32), "labels": np.zeros(1, np.int64)}
