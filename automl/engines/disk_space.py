"""Whether the disk has room for a training: asked before the first step, not after an epoch."""

from automl.dataset import Dataset
from automl.engines.checkpoint import KEPT
from automl.errors import MachineError
from automl.files import free_bytes
from automl.plan import Plan
from automl.planning.backbones import find
from automl.run_dir import RunDir

BYTES = 4
"""Of a parameter: everything is kept in float32."""
COPIES = {"adamw": 5, "sgd": 4}
"""Of the parameters in a checkpoint: weights, averaged ones, the best, and the optimiser's."""
ONE_ANSWER = 100
"""Bytes of an image's prediction without what follows, for its path."""
A_NUMBER = 10
BOXES = 100 * 6 * A_NUMBER
MASK_PIXELS_PER_BYTE = 8
"""A mask is a PNG of few colours; noise would take more."""
SMALL_FILES = 2**20


def check(plan: Plan, dataset: Dataset, run: RunDir) -> None:
    """MachineError where the disk cannot hold what this training writes at its fullest."""
    there = sum(p.stat().st_size for p in run.checkpoints.rglob("*") if p.is_file())
    needed, free = needed_bytes(plan, dataset) - there, free_bytes(run.root)
    if free < needed:
        raise MachineError(
            f"too little room on the disk: the training takes {needed:,} bytes, {free:,} are free",
            where=str(run.root),
            hint="make room, or name a folder on another disk with `--run-dir`",
        )


def needed_bytes(plan: Plan, dataset: Dataset) -> int:
    """The kept checkpoints and the one that is being written, the bundle, and the predictions."""
    weights = round(find(plan.model, plan.task).parameters * 1e6) * BYTES
    checkpoints = (KEPT + 1) * COPIES[plan.train.optimiser] * weights
    return checkpoints + weights + _predictions(plan, dataset) + SMALL_FILES


def _predictions(plan: Plan, dataset: Dataset) -> int:
    samples = dataset.split(plan.judge_on)
    match plan.task:
        case "classification":
            each = A_NUMBER * len(dataset.classes)
        case "segmentation":
            pixels = sum(sample.width * sample.height for sample in samples)
            each = pixels // MASK_PIXELS_PER_BYTE // max(1, len(samples))
        case "detection":
            each = BOXES
    return len(samples) * (ONE_ANSWER + each)
