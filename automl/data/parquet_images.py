"""Images inside Parquet tables, as Hugging Face stores sets: to image files and `metadata.jsonl`.

A column of images is a struct of `bytes` and `path`, or plain bytes. A second one holds masks.
Class names come from the schema's own description of its features, where it has one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from automl.data.archive_members import MOST_ENTRIES, RATIO, SMALL
from automl.data.files import files, folders, images, split_in, split_word
from automl.errors import DataError, MachineError

_NAMES = ("image", "img", "picture", "pixels")
_MASKS = ("mask", "annotation", "segmentation", "label", "labels")
_LARGEST_GROUP = 2**30
"""Bytes of a row group: the least that a reader has to hold in memory."""
_AT_ONCE = 16
_ENDINGS = {
    b"\xff\xd8": ".jpg",
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"RIFF": ".webp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}


def tables(path: Path) -> list[Path]:
    """The Parquet tables at `path` that hold images; none where image files lie beside them."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" and _columns(path) else []
    if not path.is_dir() or images(path):
        return []
    places = [path, path / "data", *(f for f in folders(path) if split_word(f.name))]
    return [t for place in places for t in files(place, ".parquet") if _columns(t)]


def size_of(sources: list[Path]) -> int:
    """Bytes of all columns unpacked; DataError where a table is no harmless one."""
    total = rows = 0
    for source in sources:
        about = _opened(source).metadata
        groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
        if max(groups, default=0) > _LARGEST_GROUP:
            raise _refused(f"a row group of {max(groups)} bytes", source)
        if sum(groups) > SMALL and sum(groups) > RATIO * source.stat().st_size:
            raise _refused(f"packed more than {RATIO}:1, as bombs are", source)
        total += sum(groups)
        rows += about.num_rows
    if rows > MOST_ENTRIES:
        raise _refused(f"{rows} rows, more than {MOST_ENTRIES}", sources[0])
    return total


def write(sources: list[Path], target: Path) -> None:
    """Writes `SPLIT/images/` (and `masks/`) with a `metadata.jsonl` for each split."""
    splits = [_split(source) for source in sources]
    known = all(splits)
    counts: dict[str, int] = {}
    for source, split in zip(sources, splits, strict=True):
        folder = target / split if known and split else target
        (folder / "images").mkdir(parents=True, exist_ok=True)
        with (folder / "metadata.jsonl").open("a", encoding="utf-8") as listing:
            for row in _rows(source):
                number = counts[folder.name] = counts.get(folder.name, -1) + 1
                listing.write(json.dumps(_stored(row, folder, f"{number:06d}"), default=str) + "\n")


def _stored(row: dict[str, Any], folder: Path, name: str) -> dict[str, Any]:
    """The row with its images written to files and named."""
    pictures = {key: row.pop(key) for key in list(row) if isinstance(row[key], _Bytes)}
    for key, content in zip(("file_name", "mask"), pictures.values(), strict=False):
        inside = "masks" if key == "mask" else "images"
        file = folder / inside / f"{name}{content.ending}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        row[key] = f"{inside}/{file.name}"
    return row


class _Bytes(bytes):
    """The content of an image file."""

    @property
    def ending(self) -> str:
        """By its first bytes; one that is unknown is left to the decoder to refuse."""
        return next((e for magic, e in _ENDINGS.items() if self.startswith(magic)), ".jpg")


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    """Rows in file order: the image first, class numbers by name."""
    import pyarrow

    table = _opened(source)
    columns = _columns(source)
    names = _class_names(table.schema_arrow.metadata or {})
    try:
        for batch in table.iter_batches(batch_size=_AT_ONCE):
            for row in batch.to_pylist():
                found = {key: _Bytes(_content(row.pop(key))) for key in columns}
                yield found | {key: _named(value, names.get(key)) for key, value in row.items()}
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        message = f"broken Parquet table: {str(error).splitlines()[0]}"
        raise DataError(message, where=str(source), hint="fetch it again") from None


def _content(value: Any) -> bytes:
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else b""


def _columns(source: Path) -> list[str]:
    """The columns of images, that of the picture before that of the mask; none where none is."""
    try:
        schema = _opened(source).schema_arrow
    except (DataError, MachineError):
        return []  # said by the reader of tables
    import pyarrow

    found = []
    for field in schema:
        kind = field.type
        packed = pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        binary = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
        if packed or (binary and field.name.lower() in (*_NAMES, *_MASKS)):
            found.append(field.name)
    return sorted(found, key=lambda name: name.lower() in _MASKS)[:2]


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Per column what its numbers stand for, nested as the column is."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _named(value: Any, feature: Any) -> Any:
    """Class numbers by their names, within lists and structs too."""
    if isinstance(feature, list) and feature:
        feature = {"feature": feature[0]}
    if not isinstance(feature, dict):
        return value
    names = feature.get("names")
    inner = feature.get("feature", feature)
    if isinstance(value, list):
        return [_named(one, inner) for one in value]
    if isinstance(value, dict):
        return {key: _named(one, inner.get(key)) for key, one in value.items()}
    if isinstance(names, list) and isinstance(value, int) and 0 <= value < len(names):
        return str(names[value])
    return value


def _split(source: Path) -> str | None:
    return split_in(source.stem) or split_word(source.parent.name)


def _opened(source: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        hint = "`pip install pyarrow`, or write the images to files"
        raise MachineError(
            "reading Parquet needs the package pyarrow", where=str(source), hint=hint
        ) from None
    try:
        return parquet.ParquetFile(source)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"not a Parquet table: {message}", where=str(source)) from None


def _refused(why: str, source: Path) -> DataError:
    hint = "write smaller tables, or the images to files, and name the folder as `data.path`"
    return DataError(f"table refused: {why}", where=str(source), hint=hint)
