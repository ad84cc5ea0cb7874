"""Which classes a set has and which ids mean "no label", once its masks have been looked at."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from automl.data.images import MaskFacts
from automl.data.reading import Reading, fatal, warning
from automl.dataset import Class, Finding
from automl.errors import DataError, Fault
from automl.prediction import IGNORE
from automl.recipe.checks import LARGEST_ID
from automl.recipe.schema import Data

_DIFFERENT_TOPS = 4
"""Slices of a brain show one, two or three tissues, which are classes."""


_SHADES, _BRIGHT, _EDGES = 8, 200, 0.1
"""Different values, the highest of them, and the share of the pixels that edges have at most."""


@dataclass(frozen=True)
class Settled:
    """The classes in their final order; `ignore` holds no id of a class."""

    classes: tuple[Class, ...]
    ignore: tuple[int, ...] = ()
    ignores_background: bool = False
    """What no shape covers is not to be judged: the recipe ignores the class that is first."""

    @property
    def index(self) -> dict[int, int]:
        """The set's id to the index that a model learns."""
        return {c.id: i for i, c in enumerate(self.classes)}


def refuse_classes(reading: Reading) -> None:
    """DataError where a class has an id or a name that no file of ours could hold."""
    faults = []
    for c in reading.classes:
        name = c.name.encode("utf-8", "backslashreplace").decode()
        if not 0 <= c.id <= LARGEST_ID:
            message = f"no class can have the id {c.id}"
            hint = f"ids are whole numbers from 0 to {LARGEST_ID}"
            faults.append(Fault(message, str(reading.root), hint))
        if name != c.name:
            message = f"the name of class `{name}` is not UTF-8"
            faults.append(Fault(message, str(reading.root), "rename it"))
    if faults:
        raise DataError(f"{len(faults)} faults in the classes", faults=faults)


def numbers_of_objects(masks: Sequence[MaskFacts], settled: Settled) -> list[Finding]:
    """Ids that nobody has named, from 1 to as many as each mask needs: Penn-Fudan has such."""
    shown = [set(mask.counts) - {0, IGNORE, *settled.ignore} for mask in masks]
    tops = {max(ids) for ids in shown if ids}
    if len(tops) < _DIFFERENT_TOPS or any(len(ids) != max(ids) for ids in shown if ids):
        return []
    reason = f"in each mask the ids count from 1, up to {max(tops)}: are they objects, not classes?"
    cure = "write the id of its class into every object; if they are classes, name them in "
    return [warning("ids_of_objects", ".", reason, cure + "`data.classes`")]


def smoothed(masks: Sequence[MaskFacts]) -> list[Finding]:
    """Many values between 0 and 255 in few pixels: two classes whose edges were resized.

    Classes that nobody has named are numbered from 0, and are not as rare as that together.
    """
    counts = Counter[int]()
    for mask in masks:
        counts.update(mask.counts)
    between = {i: n for i, n in counts.items() if 0 < i < IGNORE}
    if not {0, IGNORE} <= set(counts) or len(between) < _SHADES or max(between) < _BRIGHT:
        return []
    share = sum(between.values()) / counts.total()
    if share > _EDGES:
        return []
    reason = f"{len(between)} values between 0 and 255 in {share:.1%} of the pixels: smoothed edges"
    cure = "write two values, such as by `mask > 127`; if they are classes, name them in "
    return [fatal("smoothed_mask", ".", reason, cure + "`data.classes`")]


def settle(reading: Reading, masks: Iterable[MaskFacts], data: Data) -> Settled:
    """Classes as read; for masks also those that nobody named, and 0/255 as a pair of classes.

    Ids in `data.ignore` are taken off the classes, but 255, its default, gives way to a class.
    """
    if all(e.mask is None and e.shapes is None for e in reading.entries):
        return Settled(reading.classes)
    found = {i for mask in masks for i in mask.counts}
    ignore = {*data.ignore, *reading.ignore}
    classes = reading.classes
    if found == {0, 255} and ignore == {255} and [c.id for c in classes] in ([], [0, 1]):
        names = [c.name for c in classes] or ["background", "foreground"]
        classes = (Class(0, names[0]), Class(255, names[1]))
    if any(e.shapes is not None for e in reading.entries) and classes[0].id not in found:
        classes = classes[1:]  # shapes cover every pixel: there is no background
    classes = classes or tuple(Class(i, f"class_{i}") for i in sorted(found - ignore))
    kept = tuple(c for c in classes if c.id == 255 or c.id not in ignore)
    hidden = bool(classes) and classes[0] not in kept
    return Settled(kept, tuple(sorted(ignore - {c.id for c in kept})), hidden)
