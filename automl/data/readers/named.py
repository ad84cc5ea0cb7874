"""Annotations that name their classes, to a Reading; what most formats have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from automl.data.images import Corners
from automl.data.reading import (
    Box,
    Entry,
    Given,
    Reading,
    ReadOptions,
    Runs,
    Shape,
    classes_by_name,
    fatal,
    shown,
    unknown_class,
    warning,
)
from automl.data.regions import UNJUDGED, box_of, box_ring
from automl.dataset import Class, Finding, SplitName, Task

BACKGROUND = ("background", "_background_", "__background__")
"""Names that stand for what no shape covers."""
OBJECT = "object"
"""The class of what a set marks without saying what it is."""
UNJUDGED_NAMES = ("__ignore__",)
"""Names that mean: do not judge here."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One annotation of a class: a box, rings or runs; with none, a tag of the whole image."""

    name: str
    corners: Corners | None = None
    rings: tuple[tuple[float, ...], ...] = ()
    runs: Runs | None = None
    crowd: bool = False
    where: str = ""
    kaggle_rle: str = ""

    @property
    def is_tag(self) -> bool:
        """Whether it says something of the whole image."""
        drawn = self.corners or self.rings or self.runs or self.kaggle_rle
        return not drawn


@dataclass(frozen=True, slots=True)
class Picture:
    """One image with its annotations."""

    path: Path
    split: SplitName | None = None
    marks: tuple[Mark, ...] = ()
    declared: tuple[int, int] | None = None
    relative: bool = False
    group: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass
class Found:
    """What a reader gathers; `listed` are class names that the set itself puts in order."""

    format: str
    root: Path
    pictures: list[Picture] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    splits: frozenset[SplitName] = frozenset()
    many: bool = False
    """Several tags are meant to be possible, even where no image has them."""


def assemble(found: Found, task: Task, options: ReadOptions) -> Reading:
    """The reading of one task: boxes, shapes or labels."""
    marks = [m for p in found.pictures for m in p.marks if m.is_tag == (task == "classification")]
    findings = list(found.findings)
    names = [m.name for m in marks if m.name not in UNJUDGED_NAMES]
    classes = _classes(found.listed, names, options.classes, task)
    ids = {c.name: c.id for c in classes}
    if task == "segmentation":
        ids |= dict.fromkeys(UNJUDGED_NAMES, UNJUDGED)
        findings += _painted_boxes(marks)
    elif task == "detection":
        ids |= {name: ids.get(name, -1) for name in UNJUDGED_NAMES}
    findings += [unknown_class(m.name, classes, m.where) for m in marks if m.name not in ids]
    if task == "classification":
        entries = _labelled(found, ids, findings)
    else:
        entries = [_entry(picture, ids, task, findings) for picture in found.pictures]
    once = _once(entries, found.root, findings)
    return Reading(found.format, found.root, classes, once, tuple(findings), found.splits)


def _classes(
    listed: Sequence[str], names: list[str], given: Given, task: Task
) -> tuple[Class, ...]:
    if given or not listed:
        classes = classes_by_name(names, given)
    else:
        unlisted = sorted(set(names) - set(listed))
        classes = tuple(Class(i, n) for i, n in enumerate([*dict.fromkeys(listed), *unlisted]))
    return with_background(classes) if task == "segmentation" else classes


def only_class(given: Given) -> str:
    """The name of what a set marks without a class: that of the recipe, where it has one."""
    names = given.values() if isinstance(given, dict) else given or ()
    named = [name for name in names if name.lower() not in BACKGROUND]
    return named[0] if len(named) == 1 else OBJECT


def with_background(classes: Iterable[Class]) -> tuple[Class, ...]:
    """Puts the class of what no shape covers first; a new one where the set has none."""
    known = list(classes)
    own = next((c for c in known if c.name.lower() in BACKGROUND), None)
    if own:
        return own, *(c for c in known if c is not own)
    ids = {c.id for c in known}
    free = next(i for i in range(len(ids) + 1) if i not in ids)
    return Class(free, BACKGROUND[0]), *known


def _entry(picture: Picture, ids: dict[str, int], task: Task, findings: list[Finding]) -> Entry:
    boxes: list[Box] = []
    shapes: list[Shape] = []
    for mark in picture.marks:
        if mark.is_tag or mark.name not in ids:
            continue
        number = ids[mark.name]
        if task == "segmentation":
            shapes.append(_shape(mark, number))
        elif mark.name not in UNJUDGED_NAMES:
            try:
                corners = mark.corners or box_of(_shape(mark, number))
                boxes.append(Box(number, corners, mark.crowd, mark.where))
            except ValueError as error:
                findings.append(malformed(mark.where, str(error)))
    return Entry(
        picture.path,
        picture.split,
        boxes=tuple(boxes),
        shapes=tuple(shapes) if task == "segmentation" else None,
        relative=picture.relative,
        declared=picture.declared,
        group=picture.group,
        attributes=picture.attributes,
    )


def _shape(mark: Mark, number: int) -> Shape:
    if mark.corners and not mark.rings and mark.runs is None:
        return Shape(number, (box_ring(*mark.corners),), where=mark.where)
    return Shape(number, mark.rings, mark.runs, mark.where, mark.kaggle_rle)


def _painted_boxes(marks: list[Mark]) -> list[Finding]:
    plain = [m for m in marks if m.corners and not m.rings and m.runs is None]
    if not plain:
        return []
    reason = f"{len(plain)} boxes have no outline and are painted as rectangles"
    return [warning("box_as_region", plain[0].where, reason, "draw outlines or masks")]


def _labelled(found: Found, ids: dict[str, int], findings: list[Finding]) -> list[Entry]:
    """One label an image, or several where any image has several."""
    tagged = [(p, _tags(p)) for p in found.pictures]
    many = found.many or any(len(names) > 1 for _, names in tagged)
    entries = []
    for picture, names in tagged:
        where = next((m.where for m in picture.marks if m.is_tag), shown(picture.path, found.root))
        known = [ids[name] for name in names if name in ids]
        if not names and not many:
            cure = "give it a class or remove it"
            findings.append(fatal("no_class", where, "the image has no class", cure))
        if (not many and not known) or len(known) < len(names):
            continue
        entries.append(
            Entry(
                picture.path,
                picture.split,
                label=None if many else known[0],
                labels=tuple(known) if many else None,
                group=picture.group,
                attributes=picture.attributes,
            )
        )
    return entries


def _tags(picture: Picture) -> list[str]:
    return list(dict.fromkeys(m.name for m in picture.marks if m.is_tag))


def _once(entries: list[Entry], root: Path, findings: list[Finding]) -> tuple[Entry, ...]:
    """One entry an image and split: a second one is said and left out."""
    kept: dict[tuple[Path, SplitName | None], Entry] = {}
    for entry in entries:
        if kept.setdefault((entry.path, entry.split), entry) is not entry:
            reason = "the image is listed twice; the first time counts"
            findings.append(fatal("listed_twice", shown(entry.path, root), reason, "list it once"))
    return tuple(kept.values())


def malformed(where: str, reason: str, cure: str = "correct the file") -> Finding:
    """An annotation that says nothing usable."""
    return fatal("malformed_annotation", where, reason, cure)
