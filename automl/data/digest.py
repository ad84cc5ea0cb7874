"""A dataset's digest: classes, and every sample's path, split, bytes and annotation."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from automl.dataset import SPLITS, Dataset, Sample

_LATER = ("regions", "group", "attributes")
"""Left out where empty, so that sets without them keep the digest they always had."""


def digest_of(dataset: Dataset) -> str:
    """The same for equal content wherever the set lies: `root` and `format` do not count."""
    content: dict[str, Any] = {
        "task": dataset.task,
        "classes": [asdict(c) for c in dataset.classes],
        "ignore": dataset.ignore,
        "samples": [_content(s) for s in dataset.samples],
    }
    later = {"colours": dataset.colours, "multi_label": dataset.multi_label}
    content |= {name: value for name, value in later.items() if value}
    return _digest(content)


def split_digests(dataset: Dataset) -> dict[str, str]:
    """A digest for each split that has images: the same for the same samples and classes.

    The name of the split is left out, so that equal splits are found equal.
    """
    classes = [asdict(c) for c in dataset.classes]
    found: dict[str, str] = {}
    for name in SPLITS:
        samples = [_content(s) for s in dataset.split(name)]
        if samples:
            for sample in samples:
                del sample["split"]
            found[name] = _digest({"classes": classes, "samples": samples})
    return found


def _content(sample: Sample) -> dict[str, Any]:
    return {name: v for name, v in asdict(sample).items() if v or name not in _LATER}


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
