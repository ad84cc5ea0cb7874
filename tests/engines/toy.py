"""Toy sets drawn by the tests: coloured shapes on noise, learnable in seconds."""

from pathlib import Path

import cv2
import numpy as np

from automl.dataset import Class, Dataset, Sample, Task
from automl.plan import Augment, Plan, Train
from automl.planning.augmentation import MOSAIC
from automl.weights import Weights

COLOURS = ((220, 60, 60), (60, 200, 80))
NAMES = ("disc", "square")
SIDE = 64
DIGEST = "toy-digest"


def draw_set(task: Task, folder: Path, train: int = 24, val: int = 8) -> Dataset:
    """One disc (class id 3) or square (class id 7) per image, as the task annotates it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    classes = (Class(3, NAMES[0]), Class(7, NAMES[1]))
    if task == "segmentation":
        classes = (Class(0, "ground"), *classes)
    samples = [
        _sample(task, folder, i, "train" if i < train else "val", rng) for i in range(train + val)
    ]
    return Dataset(task, str(folder), "toy", classes, tuple(samples), DIGEST)


def _sample(task: Task, folder: Path, index: int, split: str, rng: np.random.Generator) -> Sample:
    kind, name = index % 2, f"{index:03d}.png"
    image = rng.integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    radius = int(rng.integers(8, 16))
    x, y = (int(v) for v in rng.integers(radius, SIDE - radius, 2))
    for canvas, colour in ((image, COLOURS[kind]), (mask, (kind + 1,) * 3)):
        if kind == 0:
            cv2.circle(canvas, (x, y), radius, colour, -1)
        else:
            cv2.rectangle(canvas, (x - radius, y - radius), (x + radius, y + radius), colour, -1)
    cv2.imwrite(str(folder / name), image[..., ::-1])
    shared = {"path": name, "split": split, "width": SIDE, "height": SIDE, "digest": str(index)}
    match task:
        case "classification":
            return Sample(**shared, label=kind)
        case "segmentation":
            ids = np.array([0, 3, 7], np.uint8)[mask]
            cv2.imwrite(str(folder / f"mask-{name}"), ids)
            return Sample(**shared, mask=f"mask-{name}")
        case "detection":
            box = (x - radius, y - radius, x + radius + 1, y + radius + 1)
            return Sample(**shared, boxes=(tuple(map(float, box)),), labels=(kind,), crowd=(False,))


MODELS: dict[Task, str] = {
    "classification": "test_resnet",
    "segmentation": "unet-test_resnet",
    "detection": "fcos-test_resnet",
}


FLIP = ({"HorizontalFlip": {"p": 0.5}},)


def toy_train(**changes: object) -> Train:
    """Every setting of a short training from scratch, less what is changed."""
    settings = {
        "image_size": (SIDE, SIDE), "crop": (SIDE, SIDE), "fit": "squash",
        "stored_size": 0, "mosaic": 0.0, "epochs": 2,
        "batch_size": 8, "micro_batch": 8, "optimiser": "adamw", "lr": 3e-3, "backbone_lr": 1.0,
        "layer_decay": 1.0, "weight_decay": 0.01, "warmup_epochs": 0.5, "schedule": "cosine",
        "clip_norm": 5.0, "ema": 0.9, "patience": 0, "label_smoothing": 0.0,
        "class_weights": "none", "precision": "fp32", "workers": 0, "threads": 1, "seed": 0,
    }  # fmt: skip
    return Train(**{**settings, **changes})


def plan_of(task: Task, **changes: object) -> Plan:
    """A plan for a tiny net from scratch, less what is changed."""
    values = {
        "task": task,
        "dataset_digest": DIGEST,
        "model": MODELS[task],
        "engine": "native",
        "weights": Weights(source="none", covers="nothing"),
        "augment": Augment(policy="light", transforms=FLIP),
        "train": toy_train(),
        "device": "cpu",
    }
    return Plan(**{**values, **changes})


def toy_plan(task: Task, dataset: Dataset, **train: object) -> Plan:
    """A plan for a toy set; `train` overrides its settings."""
    return plan_of(task, dataset_digest=dataset.digest, train=toy_train(**train))


def yolo_plan(model: str = "yolo11n", policy: str = "none", **train: object) -> Plan:
    """The same for one epoch of Ultralytics' trainer."""
    usual = {
        "fit": "letterbox", "epochs": 1, "batch_size": 4, "micro_batch": 4, "lr": 2e-3,
        "weight_decay": 5e-4, "warmup_epochs": 0.0, "ema": 0.99, "seed": 3,
        "mosaic": MOSAIC[policy],
    }  # fmt: skip
    augment = Augment(policy=policy, transforms=FLIP)
    settings = toy_train(**{**usual, **train})
    return plan_of("detection", model=model, engine="yolo", augment=augment, train=settings)
