"""A dataset's digest: classes, and every sample's path, split, bytes and annotation."""

import hashlib
import json
from dataclasses import asdict

from automl.dataset import SPLITS, Dataset, Sample


def digest_of(dataset: Dataset) -> str:
    """The same for equal content wherever the set lies: `root` and `format` do not count."""
    content = {
        "task": dataset.task,
        "classes": [asdict(c) for c in dataset.classes],
        "ignore": dataset.ignore,
        "samples": [asdict(s) for s in dataset.samples],
    }
    return hashlib.sha256(_text(content).encode()).hexdigest()


def split_digests(dataset: Dataset) -> dict[str, str]:
    """A digest for each split that has images: the same for the same samples and classes."""
    classes = [asdict(c) for c in dataset.classes]
    found: dict[str, str] = {}
    for name in SPLITS:
        samples = dataset.split(name)
        if samples:
            content = {"classes": classes, "samples": [_content(s) for s in samples]}
            found[name] = hashlib.sha256(_text(content).encode()).hexdigest()
    return found


def _content(sample: Sample) -> dict[str, object]:
    """A sample without the name of its split, so that equal splits are found equal."""
    return {key: value for key, value in asdict(sample).items() if key != "split"}


def _text(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
