"""A dataset's digest: classes, and every sample's path, split, bytes and annotation."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from automl.dataset import SPLITS, Dataset, Sample, plain

_LATER = ("regions", "group", "attributes")
"""Left out where empty, so that sets without them keep the digest they always had."""


def digest_of(dataset: Dataset) -> str:
    """The same for equal content wherever the set lies: `root` and `format` do not count."""
    content: dict[str, Any] = {
        "task": dataset.task,
        "classes": [asdict(c) for c in dataset.classes],
        "ignore": dataset.ignore,
    }
    later = {"colours": dataset.colours, "multi_label": dataset.multi_label}
    content |= {name: value for name, value in later.items() if value}
    content |= {} if dataset.frame is None else {"frame": dataset.frame}
    return _digest(content, map(_content, dataset.samples))


def split_digests(dataset: Dataset) -> dict[str, str]:
    """A digest for each split that has images: the same for the same samples and classes.

    The name of the split is left out, so that equal splits are found equal.
    """
    classes = [asdict(c) for c in dataset.classes]
    frame = {} if dataset.frame is None else {"frame": dataset.frame}
    found: dict[str, str] = {}
    for name in SPLITS:
        samples = dataset.split(name)
        if samples:
            found[name] = _digest({"classes": classes, **frame}, map(_unsplit, samples))
    return found


def _content(sample: Sample) -> dict[str, Any]:
    return {name: v for name, v in plain(sample).items() if v or name not in _LATER}


def _unsplit(sample: Sample) -> dict[str, Any]:
    content = _content(sample)
    del content["split"]
    return content


def _digest(content: dict[str, Any], samples: Iterable[dict[str, Any]]) -> str:
    """Of one JSON document, of which only one sample at a time is in memory."""
    before, key, after = _json({**content, "samples": []}).partition('"samples":[')
    digest = hashlib.sha256(_bytes(before + key))
    for number, sample in enumerate(samples):
        digest.update(_bytes("," * bool(number) + _json(sample)))
    digest.update(_bytes(after))
    return digest.hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
