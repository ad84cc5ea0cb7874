"""CSV: `index.csv` with a line per image, or per box; images in `images/`, masks in `ids/`."""

import csv
import io

from automl.data.writers.target import Target, numbers
from automl.dataset import Sample, SplitName, Task
from automl.errors import UsageError

TASKS: tuple[Task, ...] = ("classification", "detection", "segmentation")
_BOX = ("xmin", "ymin", "xmax", "ymax")


def write(target: Target) -> None:
    """Groups and attributes become columns."""
    dataset = target.dataset
    _refuse_names(target)
    further = sorted({name for s in dataset.samples for name, _ in s.attributes})
    columns = ["path", *_columns(target), "split"]
    columns += ["group"] if any(s.group for s in dataset.samples) else []
    further = [name for name in further if name not in columns]
    rows: list[dict[str, object]] = []
    for split, samples in target.splits():
        for sample in samples:
            own = dict(sample.attributes) | {"group": sample.group}
            rows += [own | row for row in _rows(target, sample, split)]
    text = io.StringIO()
    table = csv.DictWriter(text, [*columns, *further], extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    target.text("index.csv", text.getvalue())
    if dataset.task == "segmentation":
        target.text("classes.txt", "".join(f"{name}\n" for name in dataset.names))
    crowds = sum(sum(s.crowd) for s in dataset.samples)
    target.lost(crowds, "crowds, which a table does not know, are left out")


def _columns(target: Target) -> tuple[str, ...]:
    match target.dataset.task:
        case "classification":
            return ("labels",) if target.dataset.multi_label else ("label",)
        case "detection":
            return ("label", *_BOX)
        case "segmentation":
            return ("mask",)


def _refuse_names(target: Target) -> None:
    for name in target.dataset.names:
        split = target.dataset.multi_label and any(c in name for c in "|;")
        if split or name != name.strip():
            raise UsageError(f"a table cannot hold the class name {name!r}", hint="rename it")


def _rows(target: Target, sample: Sample, split: SplitName) -> list[dict[str, object]]:
    names = target.dataset.names
    base: dict[str, object] = {"path": target.image(sample, f"images/{split}"), "split": split}
    match target.dataset.task:
        case "classification" if sample.label is not None:
            return [base | {"label": names[sample.label]}]
        case "classification":
            return [base | {"labels": "|".join(names[i] for i in sample.labels)}]
        case "segmentation":
            mask = f"ids/{split}/{target.stem(sample)}.png"
            target.mask(sample, mask)
            return [base | {"mask": mask}]
    boxes = [
        base | {"label": names[label]} | dict(zip(_BOX, numbers(box), strict=True))
        for label, box, crowd in zip(sample.labels, sample.boxes, sample.crowd, strict=True)
        if not crowd
    ]
    return boxes or [base]
