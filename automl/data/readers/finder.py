"""Names in a table to files: as written, in the usual folder, or by a name that one image has."""

from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path

from automl.data.files import first_there, is_image, is_there, walk_images, ways
from automl.data.readers.rows import rows_of

_LOOKED_AT = 5


def names_images(table: Path, column: str) -> bool:
    """Whether the first lines of a column each name an image."""
    return _names_images(table, column, table.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _names_images(table: Path, column: str, _changed: int) -> bool:
    finder = Finder(table.parent, "images")
    cells = [row.get(column, "") for _, row in islice(rows_of(table), _LOOKED_AT)]
    found = [finder.find(cell) for cell in cells if cell]
    return bool(found) and all(is_image(one) and is_there(one) for one in found)


class Finder:
    """Finds what the tables of one folder name."""

    def __init__(self, folder: Path, inside: str) -> None:
        """`inside` is the usual folder beside the table."""
        self._folder, self._inside = folder, inside
        self._found: dict[str, Path] = {}

    def find(self, name: str) -> Path:
        """The file, or where it should be; a name is looked for once."""
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def _look(self, name: str) -> Path:
        bases = (self._folder, self._folder / self._inside)
        candidates = [base / way for way in ways(name) for base in bases]
        found = first_there(candidates)
        return found if is_there(found) else self._alone(candidates[0])

    def _alone(self, place: Path) -> Path:
        """Tables often name images without their folder, or without their ending."""
        by_name, by_stem = self._below
        known = by_name if is_image(place) else by_stem
        return known.get(place.name) or place

    @cached_property
    def _below(self) -> tuple[dict[str, Path | None], dict[str, Path | None]]:
        """Images by name and by stem; None where several share it."""
        by_name: dict[str, Path | None] = {}
        by_stem: dict[str, Path | None] = {}
        usual = self._folder / self._inside
        for image in walk_images(usual if usual.is_dir() else self._folder):
            by_name[image.name] = None if image.name in by_name else image
            by_stem[image.stem] = None if image.stem in by_stem else image
        return by_name, by_stem
