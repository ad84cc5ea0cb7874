"""Pairs: `images/SPLIT/`, `masks/SPLIT/` of class indices, names in `classes.txt`."""

from automl.data.writers.target import Target
from automl.dataset import Task

TASKS: tuple[Task, ...] = ("segmentation",)


def write(target: Target) -> None:
    """255 in a mask is no class."""
    for split, samples in target.splits():
        for sample in samples:
            target.image(sample, f"images/{split}")
            target.mask(sample, f"masks/{split}/{target.stem(sample)}.png")
    target.text("classes.txt", "".join(f"{name}\n" for name in target.dataset.names))
    if any(s.regions for s in target.dataset.samples):
        target.notes.append("outlines become pixels; instances of a class are not told apart")
    target.lost_facts()
