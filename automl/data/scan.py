"""Entries to facts: every image and mask is read once and decoded in full, in threads."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from automl.data.images import ImageFacts, MaskFacts, image_facts, mask_facts
from automl.data.reading import Entry, fatal, shown
from automl.dataset import Finding
from automl.errors import DataError
from automl.talk import Talk


@dataclass(frozen=True)
class Scanned:
    """An entry whose files could be decoded."""

    entry: Entry
    image: ImageFacts
    mask: MaskFacts | None = None


def scan(entries: Sequence[Entry], root: Path, talk: Talk) -> tuple[list[Scanned], list[Finding]]:
    """Decodes all; what cannot be decoded becomes a finding and is left out."""
    scanned: list[Scanned] = []
    findings: list[Finding] = []
    workers = min(32, (os.cpu_count() or 1) + 1)  # decoding leaves the interpreter's lock
    with ThreadPoolExecutor(workers) as pool:
        results: Iterable[Scanned | Finding] = pool.map(lambda e: _one(e, root), entries)
        try:
            for done, result in enumerate(results, 1):
                if isinstance(result, Finding):
                    findings.append(result)
                else:
                    scanned.append(result)
                talk.progress("checking images", done, len(entries))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # a stop must not wait for all others
            raise
    return scanned, findings


def _one(entry: Entry, root: Path) -> Scanned | Finding:
    for path in (entry.path, entry.mask):
        if path and _unspeakable(path):
            name = shown(path, root).encode("utf-8", "backslashreplace").decode()
            return fatal("bad_name", name, "the file's name is not UTF-8", "rename it")
    try:
        image = image_facts(entry.path)
    except DataError as error:
        return _broken(entry.path, root, error, "image")
    if entry.mask is None:
        return Scanned(entry, image)
    try:
        return Scanned(entry, image, mask_facts(entry.mask))
    except DataError as error:
        return _broken(entry.mask, root, error, "mask")


def _unspeakable(path: Path) -> bool:
    """Such a name could not be written into `dataset.json`."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _broken(path: Path, root: Path, error: DataError, kind: str) -> Finding:
    fault = error.faults[0]
    missing = fault.message == "no such file"
    cure = fault.hint or ("add the file or remove it from the list" if missing else "check it")
    code = f"{'missing' if missing else 'broken'}_{kind}"
    return fatal(code, shown(path, root), fault.message, cure)
