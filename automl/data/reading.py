"""What every reader returns: entries as annotated, not yet decoded, checked or split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from automl.data.frame import Frame
from automl.data.images import Corners, ImageFacts
from automl.dataset import Class, Finding, SplitName
from automl.errors import DataError

Given = list[str] | dict[int, str] | None
"""`data.classes` of a recipe: names in the order of their ids, or a map from id to name."""


@dataclass(frozen=True)
class ReadOptions:
    """What a recipe says about how to read its set."""

    classes: Given = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Ours to those of a table: `{label: diagnosis}`."""
    attributes: tuple[str, ...] = ()
    """Further columns of a table that are kept with each image."""
    colours: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Red, green and blue of each class in masks that are colours."""


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask as COCO writes it: run lengths down the columns, as a list or as compressed text."""

    size: tuple[int, int]
    """Height and width."""
    counts: Sequence[int] | str


@dataclass(frozen=True, slots=True)
class Shape:
    """One region as annotated: rings `x, y, x, y, ...` in the units of its entry, or runs."""

    class_id: int
    rings: tuple[tuple[float, ...], ...] = ()
    runs: Runs | None = None
    where: str = ""
    kaggle_rle: str = ""
    """Run lengths as Kaggle writes them, for an image of a size that they do not say."""


@dataclass(frozen=True, slots=True)
class Box:
    """One object as annotated: corners in pixels, or in shares of the image for `relative`."""

    class_id: int
    corners: Corners
    crowd: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as the set lists it; `declared` is the width and height that the set claims."""

    path: Path
    split: SplitName | None = None
    label: int | None = None
    mask: Path | None = None
    boxes: tuple[Box, ...] = ()
    relative: bool = False
    declared: tuple[int, int] | None = None
    shapes: tuple[Shape, ...] | None = None
    """For segmentation without a mask; what no shape covers is the first class."""
    labels: tuple[int, ...] | None = None
    """For classification with several labels."""
    group: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    parts: tuple[Path, ...] = ()
    """Masks of one object each, which become shapes or boxes of the class `part_class`."""
    part_class: int = 0
    as_stored: bool = False
    """Whether it was drawn on the stored pixels, before EXIF turned them, as others of the set."""

    @property
    def objects(self) -> tuple["Box | Shape", ...]:
        """Boxes and shapes."""
        return *self.boxes, *(self.shapes or ())


@dataclass(frozen=True)
class Reading:
    """A set as its files describe it; no `classes` means: those whose ids the masks hold."""

    format: str
    root: Path
    classes: tuple[Class, ...]
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()
    splits: frozenset[SplitName] = frozenset()
    """Splits that the set names, even where they turn out to be empty."""
    colours: tuple[tuple[int, int, int, int], ...] = ()
    """Red, green, blue and id of masks that may be colours."""
    ignore: tuple[int, ...] = ()
    """Mask ids that the set itself says not to judge."""
    frame: Frame | None = None
    """Which picture of files that hold several."""


def drawn_as_stored(entry: Entry, image: ImageFacts) -> bool:
    """Whether boxes and shapes are to be turned upright with the image."""
    own = entry.declared == image.stored != (image.width, image.height)
    return own or (entry.as_stored and entry.declared == image.stored)


def fatal(code: str, file: str, reason: str, cure: str) -> Finding:
    """A fault that stops a run."""
    return Finding(code, "fatal", file, reason, cure)


def warning(code: str, file: str, reason: str, cure: str) -> Finding:
    """A fault that is counted and survived."""
    return Finding(code, "warning", file, reason, cure)


def shown(path: Path, root: Path) -> str:
    """The path as findings and samples show it: POSIX, relative where it lies inside the set."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def classes_by_name(names: Iterable[str], given: Given) -> tuple[Class, ...]:
    """Classes for formats that know names only; digits sort as numbers, `given` decides else."""
    if isinstance(given, dict):
        return tuple(Class(i, name) for i, name in sorted(given.items()))
    return tuple(Class(i, name) for i, name in enumerate(given or sorted(set(names), key=_natural)))


def classes_by_id(names: Mapping[int, str], given: Given) -> tuple[Class, ...]:
    """Classes for formats that know ids; `given` renames them."""
    given_names = dict(enumerate(given)) if isinstance(given, list) else given
    return tuple(Class(i, name) for i, name in sorted((given_names or dict(names)).items()))


def unknown_class(name: object, classes: Iterable[Class], file: str) -> Finding:
    """An annotation names a class that the set or the recipe does not list."""
    known = ", ".join(f"{c.name}" for c in classes) or "none"
    return fatal(
        "unknown_class",
        file,
        f"class `{name}` is not one of: {known}",
        "add it to `data.classes`, or correct the annotation",
    )


def unusable(message: str, path: Path, hint: str) -> DataError:
    """The set as a whole cannot be read."""
    return DataError(message, where=str(path), hint=hint)


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() and len(name) < 20 else (1, 0, name)
