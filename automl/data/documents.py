"""Annotation files to plain values: JSON, XML and YAML that can neither run code nor grow."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from automl.data.reading import unusable
from automl.data.worker import mark
from automl.errors import DataError

PART = 1 << 22
"""Bytes that are looked through at a time."""

_NAMES = frozenset(
    f'"{word}"'.encode()
    for word in (
        *("images", "annotations", "categories", "bbox", "segmentation", "category_id"),
        *("items", "type", "polygon", "mask", "ellipse", "label", "shapes", "imagePath"),
        "segments_info",
    )
)
_TAGS = frozenset(
    f"<{word} ".encode() for word in ("box", "polygon", "mask", "ellipse", "tag", "track")
)
"""What the readers ask for, in JSON and in XML."""

_NO_NUMBER = re.compile(rb"[:,\[]\s*(-?Infinity|NaN)\b")


def load_json(path: Path) -> Any:
    """The value in a JSON file; DataError with line and column where it is none."""
    return parse_json(_bytes(path), path)


def parse_json(data: bytes, path: Path) -> Any:
    """The same from bytes that are read already."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise unusable("not valid JSON: UTF-16", Path(f"{path}:1:1"), "save it as UTF-8")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = Path(f"{path}:{error.lineno}:{error.colno}")
        raise unusable(f"not valid JSON: {error.msg}", where, "export it again") from None
    except _NotNumberError as error:
        found = _NO_NUMBER.search(data)
        line = data.count(b"\n", 0, found.start(1)) + 1 if found else 1
        message = f"not valid JSON: {error} is no number"
        raise unusable(message, Path(f"{path}:{line}"), "correct it, or export again") from None
    except (ValueError, RecursionError) as error:
        raise unusable(f"not valid JSON: {error}", path, "export it again") from None


class _NotNumberError(ValueError):
    """NaN, or an infinity."""


def _refuse(name: str) -> Any:
    raise _NotNumberError(name)


def parse_xml(data: bytes) -> ElementTree.Element:
    """The root of an XML document; ValueError with the reason where it is none, or may explode."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("holds entity declarations")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise ValueError("is UTF-16, where declarations could hide: save it as UTF-8")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(str(error)) from None


def load_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; DataError where it is none."""
    try:
        return parse_xml(_bytes(path))
    except ValueError as error:
        raise unusable(f"not valid XML: {error}", path, "export it again") from None


def load_yaml(path: Path, text: str) -> Any:
    """The value in a YAML text without tags; DataError where it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise unusable(f"not valid YAML: {error}", path, "correct it") from None


def begins_with(path: Path, *words: bytes, most: int = 65536) -> bool:
    """Whether the first bytes of a file hold all these words."""
    try:
        with path.open("rb") as file:
            head = file.read(most)
    except OSError:
        return False
    return all(word in head for word in words)


def holds(path: Path, *words: bytes) -> bool:
    """Whether a file holds all these words somewhere; it is read once for all that may be asked."""
    seen = mark(path)
    if seen is None:
        return False
    known = _TAGS if words[0].startswith(b"<") else _NAMES
    try:
        return _held(path, tuple(seen), known | frozenset(words)) >= set(words)
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _held(path: Path, _seen: tuple[int, ...], words: frozenset[bytes]) -> frozenset[bytes]:
    """Those of the words that a file holds; a part of it is in memory at a time."""
    pattern = re.compile(b"|".join(map(re.escape, sorted(words))))
    longest = max(map(len, words))
    found: set[bytes] = set()
    with path.open("rb") as file:
        before = b""
        while len(found) < len(words) and (part := file.read(PART)):
            found.update(pattern.findall(before + part))
            before = part[1 - longest :]
    return frozenset(found)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from None
