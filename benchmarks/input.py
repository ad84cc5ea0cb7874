"""How fast training input is made, beside the usual ways, on one core.

    python benchmarks/input.py [--task classification] [--images 200] [--rounds 5] [--photos DIR]

Classification: 224-px random resized crops, mirrored and jittered, beside Pillow and torchvision v2
(decode, random resized crop, flip, colour jitter, normalise). Detection: mosaics at 640 px beside
Ultralytics' own training set with its default augmentation. Segmentation: zoomed crops of 320 px
with masks, beside Albumentations with the transforms that the policy lists, from the files.
Pictures are drawn (500x375 JPEG of 70 kB, 640x480 for boxes and masks), or taken from `--photos`.
Each way makes every batch of an epoch; the ways take turns; images per CPU second of this process,
median of the rounds. `warm`: pixels are kept from an earlier epoch; `first`: the epoch that keeps
them; `no store`: AUTOML_CACHE=off.
"""

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from automl.data.images import read_image
from automl.dataset import Class, Dataset, Sample
from automl.engines.loader import BatchStream, TrainingSamples
from automl.engines.memory import keep_freed_memory
from automl.engines.network import Network
from automl.model.preprocess import Preprocess
from automl.plan import Augment, Plan, Train
from automl.planning.augmentation import POLICIES
from automl.planning.backbones import find
from automl.weights import Weights

BATCH = 32
CLASSES = 11
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {"classification": 224, "segmentation": 480, "detection": 640}
Way = Callable[[int], object]


def pictures(folder: Path, count: int, size: tuple[int, int], photos: Path | None) -> list[Path]:
    """JPEGs that look like photographs to a decoder."""
    if photos:
        found = sorted(p for p in photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
        return [found[i % len(found)] for i in range(count)]
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        small = rng.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        big = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
        noisy = (big + rng.normal(0, 6, big.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{number:05d}.jpg")
        Image.fromarray(noisy).save(paths[-1], quality=90)
    return paths


def dataset(task: str, folder: Path, count: int, photos: Path | None) -> Dataset:
    size = (500, 375) if task == "classification" else (640, 480)
    rng, samples = np.random.default_rng(1), []
    for number, path in enumerate(pictures(folder, count, size, photos)):
        height, width = read_image(path).shape[:2]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        known = {"path": str(path), "split": "train", "width": width, "height": height}
        more: dict[str, object] = {"label": number % CLASSES}
        if task == "segmentation":
            blocks = rng.integers(0, CLASSES, (height // 30, width // 30), dtype=np.uint8)
            mask = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
            file = folder / f"{number:05d}-mask.png"
            cv2.imwrite(str(file), mask)
            known_digest = hashlib.sha256(file.read_bytes()).hexdigest()
            more = {"mask": str(file), "mask_digest": known_digest}
        if task == "detection":
            corner = rng.uniform(0, 0.7, (8, 2)) * (width, height)
            boxes = np.hstack([corner, corner + rng.uniform(0.05, 0.3, (8, 2)) * (width, height)])
            more = {"boxes": tuple(map(tuple, boxes.tolist())), "labels": (0,) * 8}
            more["crowd"] = (False,) * 8
        samples.append(Sample(**known, digest=digest, **more))
    classes = tuple(Class(i, str(i)) for i in range(CLASSES))
    return Dataset(task, str(folder), "drawn", classes, tuple(samples), "drawn")


def plan(task: str, augment: Augment) -> Plan:
    side = SIZES[task]
    fit = {"classification": "crop", "segmentation": "squash", "detection": "letterbox"}[task]
    frame = (side, side) if task != "segmentation" else (352, side)
    settings = {
        "image_size": frame, "crop": (320, 320) if task == "segmentation" else frame, "fit": fit,
        "stored_size": 288 if task == "classification" else 0,
        "mosaic": 1.0 if task == "detection" else 0.0, "epochs": 1, "batch_size": BATCH,
        "micro_batch": BATCH, "optimiser": "adamw", "lr": 1e-3, "backbone_lr": 1.0,
        "layer_decay": 1.0, "weight_decay": 0.0, "warmup_epochs": 0.0, "schedule": "cosine",
        "clip_norm": 0.0, "ema": 0.0, "patience": 0, "label_smoothing": 0.0,
        "class_weights": "none", "precision": "fp32", "workers": 0, "threads": 1, "seed": 0,
    }  # fmt: skip
    return Plan(
        task=task, dataset_digest="drawn", model="resnet18", engine="native", augment=augment,
        weights=Weights(source="none", covers="nothing"), train=Train(**settings), device="cpu",
    )  # fmt: skip


@contextmanager
def store(place: str) -> Iterator[None]:
    os.environ["AUTOML_CACHE"] = place
    yield
    os.environ["AUTOML_CACHE"] = "off"


def ours(given: Plan, data: Dataset, place: str, *, normalise: bool = False) -> Way:
    """Every batch as the training loop takes it: uint8, or normalised as it is on the device."""
    preprocess = Preprocess(given.train.image_size, given.train.fit, MEAN, STD)
    row = find("efficientnet_lite0", "classification")
    nothing = torch.nn.Identity()
    network = Network(nothing, given.task, row, preprocess, "fp32", BATCH, torch.device("cpu"), {})
    order = np.array_split(np.arange(len(data.samples)), -(-len(data.samples) // BATCH))

    with store(place or "off"):  # as a training has it: opened once
        kept = BatchStream(TrainingSamples(given, data), pin=False)

    def epoch(number: int) -> None:
        with tempfile.TemporaryDirectory() as fresh, store(fresh):
            stream = kept if place else BatchStream(TrainingSamples(given, data), pin=False)
            for batch in stream.batches(number, order):
                if normalise:
                    network.normalise(batch.images)

    return epoch


def torchvision_v2(data: Dataset) -> Way:
    from torchvision.transforms import v2

    steps = v2.Compose(
        [
            v2.RandomResizedCrop(SIZES["classification"], antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.3, 0.3, 0.3, 0.03),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    paths = [sample.path for sample in data.samples]

    def epoch(_: int) -> None:
        for at in range(0, len(paths), BATCH):
            torch.stack([steps(Image.open(p).convert("RGB")) for p in paths[at : at + BATCH]])

    return epoch


def ultralytics(data: Dataset, folder: Path) -> Way:
    from automl.engines.yolo_data import description
    from automl.engines.yolo_layout import write_layout
    from automl.engines.yolo_settings import load_ultralytics

    load_ultralytics(folder)
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build_yolo_dataset

    images = write_layout(folder / "yolo", Path(data.root), list(data.samples))
    settings = get_cfg(overrides={"imgsz": SIZES["detection"], "task": "detect", "mosaic": 1.0})
    samples = build_yolo_dataset(
        settings, str(images), BATCH, description(images, data.names), mode="train"
    )

    def epoch(_: int) -> None:
        for at in range(0, len(samples), BATCH):
            places = range(at, min(at + BATCH, len(samples)))
            samples.collate_fn([samples[place] for place in places])

    return epoch


def ways(task: str, data: Dataset, folder: Path) -> dict[str, Way]:
    """The first is what the others are compared with."""
    policy = Augment(policy="medium", transforms=POLICIES[task]["medium"])
    listed = Augment(policy="custom", transforms=POLICIES[task]["medium"])
    given, warm = plan(task, policy), str(folder / "warm")
    found: dict[str, Way] = {}
    match task:
        case "classification":
            found["Pillow + torchvision v2"] = torchvision_v2(data)
        case "detection":
            found["Ultralytics' dataset"] = ultralytics(data, folder)
    found["Albumentations, from files"] = ours(plan(task, listed), data, "off")
    if task == "detection":
        del found["Albumentations, from files"]
    found["automl, no store"] = ours(given, data, "off")
    found["automl, first"] = ours(given, data, "")
    found["automl, warm"] = ours(given, data, warm)
    found["automl, warm, normalised to fp32"] = ours(given, data, warm, normalise=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=list(SIZES), action="append")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=lambda path: Path(path).absolute())
    given = parser.parse_args()
    os.environ.update(AUTOML_CACHE="off", NO_ALBUMENTATIONS_UPDATE="1")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()  # as every training does
    print(f"{torch.__version__=} {cv2.__version__=} {Image.__version__=}, one thread")
    for task in given.task or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            data = dataset(task, Path(folder), given.images, given.photos)
            compared = ways(task, data, Path(folder))
            report(task, compared, given.images, given.rounds)
    return 0


def report(task: str, compared: dict[str, Way], images: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in compared}
    for number in range(rounds + 1):
        for name, way in compared.items():
            began = time.process_time()
            way(number)
            if number:  # the first warms up
                rates[name].append(images / (time.process_time() - began))
    base = statistics.median(rates[next(iter(rates))])
    print(f"\n| {task} | images per CPU second | ratio |\n|---|---|---|")
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"| {name} | {rate:,.0f} | {rate / base:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
