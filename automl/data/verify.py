"""The images and masks of a dataset read again: which are no longer the bytes that were prepared.

Every byte is hashed, in threads: that takes a fraction of one epoch, which decodes as well. File
times would miss folders that changed places.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from automl.data.digest import digest_of
from automl.dataset import Dataset, Sample, SplitName
from automl.talk import Talk

SHOWN = 10
"""How many changed files are named; the rest is counted."""


@dataclass(frozen=True)
class Again:
    """The data as it is now: `dataset` has its digests, `changed` the paths that differ."""

    dataset: Dataset
    changed: tuple[str, ...]


def recheck(dataset: Dataset, talk: Talk, split: SplitName | None = None) -> Again:
    """Hashes the files of a split, or of all; a file that cannot be read has changed."""
    samples = dataset.samples if split is None else tuple(dataset.split(split))
    paths = sorted({path for sample in samples for path, _ in _files(sample)})
    root = Path(dataset.root)
    real: dict[str, str] = {}
    with ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 1)) as pool:
        hashed = pool.map(lambda path: sha256_of(root / path), paths)
        for done, (path, digest) in enumerate(zip(paths, hashed, strict=True), start=1):
            real[path] = digest
            talk.progress("checking the data again", done, len(paths))
    changed = {path for s in samples for path, digest in _files(s) if digest != real[path]}
    if not changed:
        return Again(dataset, ())
    now = replace(dataset, samples=tuple(_now(s, real) for s in dataset.samples))
    return Again(replace(now, digest=digest_of(now)), tuple(sorted(changed)))


def sha256_of(path: Path) -> str:
    """The digest of a file; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _files(sample: Sample) -> Iterator[tuple[str, str]]:
    """The files of a sample, with the digests that they had."""
    yield sample.path, sample.digest
    if sample.mask is not None:
        yield sample.mask, sample.mask_digest or ""


def _now(sample: Sample, real: dict[str, str]) -> Sample:
    """A sample with the digests that its files have now, as far as they were read."""
    mask = sample.mask and real.get(sample.mask, sample.mask_digest)
    return replace(sample, digest=real.get(sample.path, sample.digest), mask_digest=mask or None)
