"""What an epoch reads of each sample: its pixels in the geometry that nothing is drawn for.

Either fitted as the model sees them, or whole with a bounded short side, for random crops. They
come from the store of decoded pixels where they are there, and go there where they are not: the
bits are the same either way.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl.data.ahead import ahead, decoded_bytes
from automl.data.decoding import read_bytes, reduced_size
from automl.data.ground_truth import mask_and_digest
from automl.data.images import reduced_image
from automl.data.pixel_store import PixelStore, open_store
from automl.dataset import Dataset, Sample
from automl.engines.protocol import Event, OnEvent
from automl.model.preprocess import Geometry, Preprocess

AS_IT_IS = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
"""Mean and spread of what is not normalised here."""


@dataclass(frozen=True)
class Frame:
    """`image` uint8 [h, w, 3] and `mask` uint8 [h, w], perhaps read-only; `geometry` if fitted."""

    image: np.ndarray
    mask: np.ndarray | None = None
    geometry: Geometry | None = None

    @property
    def content(self) -> np.ndarray:
        """The image without the bars of a letterbox."""
        return self.image[self.geometry.target.window] if self.geometry else self.image


class Frames:
    """The frames of samples, by their place; `fit` as at prediction, or else `short_side`."""

    def __init__(
        self,
        dataset: Dataset,
        samples: Sequence[Sample],
        fit: Preprocess | None = None,
        short_side: int = 0,
        *,
        masks: bool = False,
    ) -> None:
        """Decodes nothing yet."""
        self.dataset, self.samples = dataset, samples
        self.fit, self.short_side, self.masks = fit, short_side, masks
        self.store, self.told = self._store(), False

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> Frame:
        kept = self.store.get(place) if self.store else None
        if kept is not None:
            return self._from_store(self.samples[place], kept)
        frame, genuine = self._read(self.samples[place])
        if self.store and genuine:
            parts = (frame.image,) if frame.mask is None else (frame.image, frame.mask)
            self.store.put(place, *parts)
        return frame

    def fitted(self) -> Iterator[tuple[str, np.ndarray, Geometry]]:
        """Path, pixels and geometry of each, in their order."""
        read = ahead(self.__getitem__, range(len(self)), decoded_bytes(self.samples))
        for sample, frame in zip(self.samples, read, strict=True):
            if frame.geometry is not None:
                yield sample.path, frame.image, frame.geometry

    def tell_shortage(self, on_event: OnEvent) -> None:
        """Says once that there is no room for the pixels of all images."""
        store = self.store
        if store is None or self.told or not (store.full or store.limit < len(self)):
            return
        self.told = True
        text = (
            f"the disk has room for the decoded pixels of {store.filled} of {len(self)} images; "
            "the others are decoded in each epoch"
        )
        on_event(Event("cache", text, {"kept": store.filled, "images": len(self)}))

    def _size(self, sample: Sample) -> tuple[int, int]:
        if self.fit is not None:
            return self.fit.size
        return reduced_size((sample.height, sample.width), self.short_side)

    def _from_store(self, sample: Sample, kept: np.ndarray) -> Frame:
        height, width = self._size(sample)
        pixels = height * width * 3
        return Frame(
            kept[:pixels].reshape(height, width, 3),
            kept[pixels:].reshape(height, width) if self.masks else None,
            self.fit.geometry(sample.height, sample.width) if self.fit else None,
        )

    def _read(self, sample: Sample) -> tuple[Frame, bool]:
        """From the files, and whether they still hold what the data index knows."""
        path = Path(self.dataset.root) / sample.path
        data = read_bytes(path)
        image, geometry, mask = self._image(data, path), None, None
        genuine = self.store is not None and hashlib.sha256(data).hexdigest() == sample.digest
        if self.masks:
            mask, digest = mask_and_digest(self.dataset, sample)
            genuine = genuine and digest == sample.mask_digest
        if self.fit is not None:
            image, geometry = self.fit.apply(image)
            mask = None if mask is None else geometry.mask_forward(mask)
        return Frame(image, mask, geometry), genuine

    def _image(self, data: bytes, path: Path) -> np.ndarray:
        return reduced_image(data, path, self.short_side, self.dataset.frame)

    def _store(self) -> PixelStore | None:
        shown = [self._size(sample) for sample in self.samples]
        sizes = [height * width * (4 if self.masks else 3) for height, width in shown]
        fit = None if self.fit is None else (self.fit.size, self.fit.fit)
        key: list[Any] = [fit, self.short_side, [sample.digest for sample in self.samples]]
        if self.dataset.frame is not None:
            key.append({"frame": self.dataset.frame})
        if self.masks:
            classes = [(c.id, c.name) for c in self.dataset.classes]
            regions = [hash_of(repr(s.regions)) for s in self.samples]
            masks = [sample.mask_digest for sample in self.samples]
            key += [classes, self.dataset.colours, masks, regions]
        return open_store(key, sizes)


def hash_of(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
