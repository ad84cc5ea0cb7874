"""The values that describe data without holding pixels: Dataset, Finding, Profile."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from automl.files import to_json, told_as_damage, write_json, write_parts

Task = Literal["classification", "segmentation", "detection"]
SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Class:
    """A class: its place in `Dataset.classes` is the index a model learns, `id` the set's own."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image that shows one class; `label` is its index, or 255: not to be judged.

    Either `outline`: rings as `x,y x,y x,y;x,y ...` in pixels of the upright image, each filled
    where a pixel's middle lies inside; or `runs`: COCO's compressed run lengths of the whole image.
    """

    label: int
    outline: str = ""
    runs: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and its annotation; paths are POSIX, relative to `Dataset.root`.

    `width` and `height` are those of the upright image; `boxes` are x0, y0, x1, y1 in its pixels,
    clipped to it; `labels` and `label` are class indices; `mask` is the path of an id mask.
    `digest` and `mask_digest` are SHA-256 of the files' bytes. Without a `mask`, `regions` painted
    in their order over class 0 are one. In a multi-label set, `labels` are those of the image.
    """

    path: str
    split: SplitName
    width: int
    height: int
    digest: str
    label: int | None = None
    mask: str | None = None
    mask_digest: str | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    labels: tuple[int, ...] = ()
    crowd: tuple[bool, ...] = ()
    regions: tuple[Region, ...] = ()
    group: str = ""
    """What must not be torn apart by a split, such as a patient or a video."""
    attributes: tuple[tuple[str, str], ...] = ()
    """What else is known of the image, by name, such as the camera."""


@dataclass(frozen=True)
class Dataset:
    """Immutable index of samples, classes and splits; `digest` covers every byte of it all."""

    task: Task
    root: str
    format: str
    classes: tuple[Class, ...]
    samples: tuple[Sample, ...]
    digest: str
    ignore: tuple[int, ...] = ()
    """Mask ids that mean "no label", besides 255."""
    brought_splits: tuple[str, ...] = ()
    """Splits that the set itself brought; the others were drawn."""
    colours: tuple[tuple[int, int, int, int], ...] = ()
    """Red, green, blue and id, where masks are colours."""
    multi_label: bool = False
    """Classification in which an image may show several classes, or none."""
    frame: int | Literal["middle"] | None = None
    """Which picture of files that hold several, counted from 0."""

    def split(self, name: SplitName) -> list[Sample]:
        """The samples of one split in their fixed order."""
        return [sample for sample in self.samples if sample.split == name]

    @property
    def names(self) -> list[str]:
        """Class names by index."""
        return [c.name for c in self.classes]

    def counts(self) -> dict[str, int]:
        """Images per split."""
        found = Counter(sample.split for sample in self.samples)
        return {name: found[name] for name in SPLITS if found[name]}

    def write(self, path: Path) -> None:
        """Writes `dataset.json`; equal datasets give equal bytes."""
        empty = to_json(asdict(replace(self, samples=())))
        write_parts(path, _spliced(empty, self.samples))

    @staticmethod
    def read(path: Path) -> "Dataset":
        """Reads what `write` wrote; DataError where it is anything else."""
        with told_as_damage(path, "prepare"):
            text = path.read_text(encoding="utf-8")
            # each sample as soon as it is parsed: the raw values of all would take far more room
            return _dataset(json.loads(text, object_hook=_sample_in))


_FIELDS = tuple(f.name for f in fields(Sample))
_NO_SAMPLES = '\n "samples": []'


def plain(sample: Sample) -> dict[str, Any]:
    """What `asdict` gives, without its copies of everything inside."""
    raw = {name: getattr(sample, name) for name in _FIELDS}
    raw["regions"] = [asdict(region) for region in sample.regions]
    return raw


def _spliced(empty: str, samples: tuple[Sample, ...]) -> Iterator[str]:
    """The document of a dataset, one sample at a time, from that of one without any."""
    before, key, after = empty.partition(_NO_SAMPLES)
    if not samples:
        yield empty
        return
    yield before + key[:-1]
    for number, sample in enumerate(samples):
        text = to_json(plain(sample)).rstrip("\n").replace("\n", "\n  ")
        yield f"{',' if number else ''}\n  {text}"
    yield "\n ]" + after


def _sample_in(raw: dict[str, Any]) -> Any:
    """The sample, where a JSON object is one."""
    if "split" not in raw:
        return raw
    return Sample(
        **{
            **raw,
            "boxes": tuple(tuple(b) for b in raw["boxes"]),
            "labels": tuple(raw["labels"]),
            "crowd": tuple(raw["crowd"]),
            "regions": tuple(Region(**r) for r in raw.get("regions", ())),
            "attributes": tuple((k, v) for k, v in raw.get("attributes", ())),
        }
    )


def _dataset(raw: dict[str, Any]) -> Dataset:
    """The value of what JSON has kept; TypeError where a sample is none."""
    samples = tuple(raw.pop("samples"))
    if not all(isinstance(sample, Sample) for sample in samples):
        raise TypeError
    classes = tuple(Class(**c) for c in raw.pop("classes"))
    raw["ignore"], raw["brought_splits"] = tuple(raw["ignore"]), tuple(raw["brought_splits"])
    raw["colours"] = tuple(tuple(colour) for colour in raw.get("colours", ()))
    return Dataset(**raw, samples=samples, classes=classes)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the data contract found: `fatal` stops a run, `warning` is counted and goes on."""

    code: str
    severity: Literal["fatal", "warning"]
    file: str
    reason: str
    cure: str
    waived: str = ""
    """Why the recipe lets it pass."""


@dataclass(frozen=True)
class Profile:
    """Facts about a dataset that the plan is made from.

    `width`, `height` are median pixels; `object_size` holds quantiles (10, 50, 90 %) of the square
    root of box area over that of image area (detection) or the same of connected class regions
    (segmentation); `balance` is images (or objects, or pixels) of the rarest class over the most
    frequent; `class_counts` counts images, boxes or pixels of the training split by class name.
    """

    task: Task
    images: dict[str, int]
    classes: int
    class_counts: dict[str, int]
    balance: float
    width: int
    height: int
    smallest_side: int
    largest_side: int
    channels: int
    bit_depth: int
    objects_per_image: float = 0.0
    object_size: tuple[float, float, float] | None = None
    extra: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Writes `profile.json`."""
        write_json(path, asdict(self))

    @staticmethod
    def read(path: Path) -> "Profile":
        """Reads what `write` wrote; DataError where it is anything else."""
        with told_as_damage(path, "prepare"):
            raw = json.loads(path.read_text(encoding="utf-8"))
            size = raw.pop("object_size")
            return Profile(**raw, object_size=tuple(size) if size else None)
