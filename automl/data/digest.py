"""A dataset's digest: classes, and every sample's path, split, bytes and annotation."""

import hashlib
import json
from dataclasses import asdict

from automl.dataset import Dataset


def digest_of(dataset: Dataset) -> str:
    """The same for equal content wherever the set lies: `root` and `format` do not count."""
    content = {
        "task": dataset.task,
        "classes": [asdict(c) for c in dataset.classes],
        "ignore": dataset.ignore,
        "samples": [asdict(s) for s in dataset.samples],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
