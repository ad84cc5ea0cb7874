"""Where a converted set is written: safe names for its images, and notes of what was lost."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from automl.data.decoding import ending_of
from automl.data.images import SUFFIXES
from automl.dataset import Dataset, Sample, SplitName
from automl.errors import UsageError

_LONGEST = 180
"""Bytes of a name without its ending: room for `.png` and a number within the 255 of a file."""
_SIGNATURES = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"BM": ".bmp", b"GIF8": ".gif"}


@dataclass
class Target:
    """A new folder for one data set."""

    dataset: Dataset
    folder: Path
    link: bool = False
    notes: list[str] = field(default_factory=list)
    _stems: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def splits(self) -> Iterator[tuple[SplitName, list[Sample]]]:
        """The splits that hold images."""
        for name in self.dataset.counts():
            split: SplitName = name  # type: ignore[assignment]
            yield split, self.dataset.split(split)

    def stem(self, sample: Sample) -> str:
        """A name without ending that no other image of the set has, not even in another case."""
        if sample.path not in self._stems:
            self._stems[sample.path] = self._free(Path(sample.path))
        return self._stems[sample.path]

    def image(self, sample: Sample, folder: str) -> str:
        """Copies or links the image into a folder of the target; gives its path there."""
        source = (Path(self.dataset.root) / sample.path).absolute()
        name = f"{folder}/{self.stem(sample)}{_suffix(source)}"
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if self.link:
            place.symlink_to(source)
        else:
            shutil.copyfile(source, place)
        return name

    def text(self, name: str, text: str) -> None:
        """Writes a text file of the target."""
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def mask(self, sample: Sample, name: str, *, palette: bool = False) -> None:
        """Writes the mask as a PNG of class indices; 255 is no class."""
        from PIL import Image

        from automl.data.ground_truth import truth

        pixels = truth(self.dataset, sample).mask
        if pixels is None:
            raise UsageError(f"`{sample.path}` has no mask")
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        if palette:
            image.putpalette([v for i in range(256) for v in _colour(i)])
        image.save(place)

    def lost(self, count: int, what: str) -> None:
        """Notes what the layout cannot hold."""
        if count:
            self.notes.append(f"{count} {what}")

    def lost_facts(self) -> None:
        """Groups and attributes, which only a table holds."""
        samples = self.dataset.samples
        self.lost(sum(bool(s.group) for s in samples), "groups of images are not written")
        self.lost(sum(bool(s.attributes) for s in samples), "images lose their attributes")

    def _free(self, path: Path) -> str:
        plain = re.sub(r"[\s\x00-\x1f\x7f/\\:*?\"<>|]+", "_", path.stem).lstrip(".") or "image"
        short = plain.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
        name, number = short, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{short}-{number}"
        self._taken.add(name.casefold())
        return name


def _suffix(image: Path) -> str:
    if ending_of(image) in SUFFIXES:
        return ending_of(image)
    with image.open("rb") as file:
        head = file.read(8)
    return next((end for sign, end in _SIGNATURES.items() if head.startswith(sign)), ".tif")


def _colour(index: int) -> tuple[int, int, int]:
    """Pascal VOC's colours: the bits of the id spread over the three channels."""
    red = green = blue = 0
    for bit in range(8):
        red |= (index & 1) << 7 - bit
        green |= (index >> 1 & 1) << 7 - bit
        blue |= (index >> 2 & 1) << 7 - bit
        index >>= 3
    return red, green, blue


def numbers(values: tuple[float, ...]) -> list[int | float]:
    """Whole numbers as such."""
    return [int(v) if v == int(v) else round(v, 6) for v in values]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, wherever links lead."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
