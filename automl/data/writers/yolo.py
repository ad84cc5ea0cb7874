"""YOLO: `data.yaml`, `images/SPLIT/`, and a text file of relative boxes or outlines per image."""

from automl.data.regions import rings_of
from automl.data.writers.target import Target
from automl.dataset import Sample, Task
from automl.errors import UsageError
from automl.prediction import IGNORE

TASKS: tuple[Task, ...] = ("detection", "segmentation")


def write(target: Target) -> None:
    """Class ids become places in the list of names; segmentation leaves out the background."""
    import yaml

    dataset = target.dataset
    outlined = dataset.task == "segmentation"
    _refuse_masks(target)
    names = dataset.names[1:] if outlined else dataset.names
    description: dict[str, object] = {"path": "."}
    for split, samples in target.splits():
        description[split] = f"images/{split}"
        for sample in samples:
            target.image(sample, f"images/{split}")
            lines = _outlines(sample) if outlined else _boxes(sample)
            target.text(f"labels/{split}/{target.stem(sample)}.txt", "".join(lines))
    description["names"] = dict(enumerate(names))
    target.text("data.yaml", yaml.safe_dump(description, sort_keys=False, allow_unicode=True))
    target.lost(
        sum(sum(s.crowd) for s in dataset.samples), "crowds, which YOLO does not know, are left out"
    )
    target.lost(
        sum(r.label in (0, IGNORE) for s in dataset.samples for r in s.regions),
        "regions of the background or of no class are left out",
    )
    target.lost_facts()


def _refuse_masks(target: Target) -> None:
    samples = target.dataset.samples
    masks = sum(bool(s.mask) or any(r.runs for r in s.regions) for s in samples)
    if target.dataset.task == "segmentation" and masks:
        raise UsageError(
            f"YOLO holds outlines, but {masks} images have masks of pixels",
            hint="`--to coco` or `--to masks` keep them to the pixel",
        )


def _boxes(sample: Sample) -> list[str]:
    width, height = sample.width, sample.height
    lines = []
    for label, box, crowd in zip(sample.labels, sample.boxes, sample.crowd, strict=True):
        if not crowd:
            x0, y0, x1, y1 = box
            middle = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height
            shares = (*middle, (x1 - x0) / width, (y1 - y0) / height)
            lines.append(f"{label} {' '.join(f'{v:.9g}' for v in shares)}\n")
    return lines


def _outlines(sample: Sample) -> list[str]:
    sides = (sample.width, sample.height)
    return [
        f"{region.label - 1} {' '.join(f'{v / sides[i % 2]:.9g}' for i, v in enumerate(ring))}\n"
        for region in sample.regions
        if region.label not in (0, IGNORE)
        for ring in rings_of(region.outline)
    ]
