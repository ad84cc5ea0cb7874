"""Class folders: `SPLIT/CLASS/image`."""

import os
import unicodedata

from automl.data.writers.target import Target
from automl.dataset import Task
from automl.errors import UsageError

TASKS: tuple[Task, ...] = ("classification",)


def write(target: Target) -> None:
    """One class an image; every class gets its folder, also an empty one."""
    dataset = target.dataset
    if dataset.multi_label:
        hint = "`--to csv` or `--to coco` hold several"
        raise UsageError("a folder holds one class an image, this set has several", hint=hint)
    _refuse_names(dataset.names)
    for split, samples in target.splits():
        for name in dataset.names:
            (target.folder / split / name).mkdir(parents=True)
        for sample in samples:
            if sample.label is not None:
                target.image(sample, f"{split}/{dataset.names[sample.label]}")
    target.lost_facts()


def _refuse_names(names: list[str]) -> None:
    """A class's name becomes a folder: it must be one, inside, and no other's twin."""
    twins: dict[str, str] = {}
    for name in names:
        unfit = not name or name.startswith((".", "__MACOSX")) or any(c in name for c in "/\\\0")
        if unfit or len(os.fsencode(name)) > 255:
            raise UsageError(f"no folder can be called {name!r}", hint="rename the class")
        twin = twins.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if twin != name:
            message = f"the folders {twin!r} and {name!r} would be one on many systems"
            raise UsageError(message, hint="rename a class")
