"""Batches of augmented training samples; the same bits for any number of worker processes."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from automl.data.ground_truth import truth
from automl.dataset import Dataset
from automl.engines.frames import AS_IT_IS, Frame, Frames
from automl.engines.fused import InitialCrop
from automl.engines.mosaic import mosaic
from automl.engines.randomness import epoch_order, seed_for
from automl.engines.transforms import augmenter
from automl.errors import MachineError
from automl.model.preprocess import Preprocess
from automl.plan import Plan
from automl.prediction import Truth
from automl.signals import serve_parent, starting_workers
from automl.tasks.protocol import module


@dataclass
class Batch:
    """`images` uint8 [B, 3, H, W]; `targets` as the task collates them; `paths` for messages."""

    images: torch.Tensor
    targets: Any
    paths: list[str]

    def pin_memory(self) -> "Batch":
        """Called by the loader so that copies to the device need not wait."""
        targets = change_each(self.targets, lambda tensor: tensor.pin_memory())
        return Batch(self.images.pin_memory(), targets, self.paths)

    def to(self, device: torch.device) -> "Batch":
        """The batch on the device; copied to a card without waiting.

        Elsewhere nothing guards the source until it is read (pytorch#139550, for MPS).
        """

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device, non_blocking=device.type == "cuda")

        return Batch(moved(self.images), change_each(self.targets, moved), self.paths)


class TrainingSamples(torch.utils.data.Dataset[Batch]):
    """Item = (epoch, indices of a micro-batch): batches are built as batches."""

    def __init__(self, plan: Plan, dataset: Dataset) -> None:
        """Reads nothing yet."""
        self.plan = plan
        self.dataset = dataset
        self.samples = dataset.split("train")
        self.task = module(plan.task)
        self.augment = augmenter(plan)
        self.augment_mosaic = augmenter(plan, without_affine=True)
        self.size = plan.train.crop if plan.task == "segmentation" else plan.train.image_size
        self.frames = training_frames(plan, dataset)

    def __len__(self) -> int:
        return len(self.samples)

    def item(
        self, epoch: int, index: int, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """One augmented image, uint8 [H, W, 3], in `out` where that is given; its annotation."""
        key = seed_for(self.plan.train.seed, "augment", epoch, index)
        if self.plan.train.mosaic:
            draw = np.random.default_rng(seed_for(self.plan.train.seed, "mosaic", epoch, index))
            if draw.random() < self.plan.train.mosaic:
                return self.augment_mosaic(*self._mosaic(index, draw), key, out)
        frame = self.frames[index]
        return self.augment(frame.image, self.annotation(index, frame), key, out)

    def _mosaic(self, index: int, draw: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        """The image with three others that are drawn."""
        tiles = []
        for place in (index, *draw.integers(0, len(self), 3).tolist()):
            sample, frame = self.samples[place], self.frames[place]
            known = self.task.annotation(truth(self.dataset, sample))
            share = [frame.content.shape[1] / sample.width, frame.content.shape[0] / sample.height]
            tiles.append((frame.content, known["bboxes"] * (share * 2), known["labels"]))
        return mosaic(tiles, self.size, draw)

    def annotation(self, index: int, frame: Frame) -> dict[str, Any]:
        """What is known of a sample, in the pixels of its frame."""
        sample = self.samples[index]
        if frame.mask is not None:
            return self.task.annotation(Truth(sample.path, mask=frame.mask))
        annotated = self.task.annotation(truth(self.dataset, sample))
        if "bboxes" in annotated and frame.geometry is not None:
            annotated["bboxes"] = frame.geometry.boxes_forward(annotated["bboxes"])
        return annotated

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch:
        epoch, indices = key
        images = np.empty((len(indices), *self.size, 3), np.uint8)
        items = [self.item(epoch, int(i), out) for i, out in zip(indices, images, strict=True)]
        return Batch(
            # A view of NHWC memory: already channels_last for the device.
            torch.from_numpy(images.transpose(0, 3, 1, 2)),
            self.task.collate([annotated for _, annotated in items]),
            [self.samples[int(i)].path for i in indices],
        )


def training_frames(plan: Plan, dataset: Dataset) -> Frames:
    """What an epoch reads of the training split, before anything is drawn."""
    train, samples = plan.train, dataset.split("train")
    if InitialCrop.of(plan).least_area:
        return Frames(dataset, samples, short_side=train.stored_size)
    fit = Preprocess(train.image_size, train.fit, *AS_IT_IS)
    return Frames(dataset, samples, fit, masks=plan.task == "segmentation")


class BatchStream:
    """Hands out batches of the samples; its worker processes stay from epoch to epoch."""

    def __init__(self, samples: TrainingSamples, *, pin: bool) -> None:
        """Starts nothing yet; `pin`: for copies to a card that need not wait."""
        self.keys: list[tuple[int, np.ndarray]] = []
        self.last: Generator[Batch] = _told_of_trouble(iter(()), 0)
        self.workers = samples.plan.train.workers
        self.loader = DataLoader(
            samples,
            sampler=self.keys,
            batch_size=None,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=pin,
            worker_init_fn=_quiet_worker if self.workers else None,
            generator=torch.Generator().manual_seed(0),
        )

    def __enter__(self) -> "BatchStream":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Ends the worker processes; MachineError where one had ended before, whenever that was."""
        self.last.close()
        del self.loader
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            raise MachineError(
                "a worker process that loads images was killed; mostly the memory did not suffice",
                hint="continue with `automl run --resume latest`; a run with "
                "`--set train.workers=0` has none",
            ) from error

    def batches(self, epoch: int, micro_batches: list[np.ndarray]) -> Iterator[Batch]:
        """The micro-batches of an epoch in their order; the ones asked for before have ended."""
        self.keys[:] = [(epoch, indices) for indices in micro_batches]
        with starting_workers():
            batches = iter(self.loader)
        self.last = _told_of_trouble(batches, self.workers)
        return self.last


def _told_of_trouble(batches: Iterator[Batch], workers: int) -> Generator[Batch]:
    """The batches of worker processes, which hand them over in `/dev/shm`: small in containers."""
    try:
        yield from batches
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        raise MachineError(
            f"too little shared memory for the batches of {workers} worker processes",
            hint="give the container more (`--shm-size 2g`), or `--set train.workers=0`",
        ) from error


def _quiet_worker(_: int) -> None:
    import cv2

    serve_parent()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def change_each(targets: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same targets with every tensor changed: one for all images, or some by name for each."""
    if isinstance(targets, torch.Tensor):
        return change(targets)
    return [{name: change(value) for name, value in target.items()} for target in targets]


def augmented(plan: Plan, dataset: Dataset, count: int) -> tuple[list[np.ndarray], list[str]]:
    """The first `count` training images of epoch 0 with their annotations drawn; captions."""
    from automl.tasks.draw import THUMBNAIL, draw

    samples = TrainingSamples(plan, dataset)
    images, captions = [], []
    for index in epoch_order(plan.train.seed, 0, len(samples))[:count]:
        image, annotated = samples.item(0, int(index))
        path = samples.samples[index].path
        shown = _as_truth(path, annotated)
        images.append(draw(image, dataset.names, shown, longest=THUMBNAIL, every_name=True))
        captions.append(path)
    return images, captions


def _as_truth(path: str, annotated: dict[str, Any]) -> Truth:
    boxes = annotated.get("bboxes")
    label = annotated.get("label")
    several = isinstance(label, np.ndarray)
    return Truth(
        path,
        label=None if several else label,
        shown=label if several else None,
        mask=annotated.get("mask"),
        boxes=None if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=None if boxes is None else np.asarray(annotated["labels"], np.int64),
    )
