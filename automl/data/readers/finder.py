"""Names in a table to files: as written, in the usual folder, or by a name that one image has."""

from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path

from automl.data.files import (
    first_there,
    folders,
    is_image,
    is_there,
    split_in,
    split_word,
    walk_images,
    ways,
)
from automl.data.readers.rows import rows_of
from automl.dataset import SplitName

_LOOKED_AT = 5
_Known = tuple[dict[str, Path | None], dict[str, Path | None]]


def names_images(table: Path, column: str) -> bool:
    """Whether the first lines of a column each name an image."""
    return _names_images(table, column, table.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _names_images(table: Path, column: str, _changed: int) -> bool:
    finder = Finder(table.parent, "images", split_in(table.stem))
    cells = [row.get(column, "") for _, row in islice(rows_of(table), _LOOKED_AT)]
    found = [finder.find(cell) for cell in cells if cell]
    return bool(found) and all(is_image(one) and is_there(one) for one in found)


class Finder:
    """Finds what the tables of one folder name."""

    def __init__(self, folder: Path, inside: str, split: SplitName | None = None) -> None:
        """`inside` is the usual folder beside the table, `split` what the table's name says."""
        self._folder, self._inside, self._split = folder, inside, split
        self._found: dict[str, Path] = {}

    def find(self, name: str) -> Path:
        """The file, or where it should be; a name is looked for once."""
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def _look(self, name: str) -> Path:
        bases = (self._folder, self._folder / self._inside, *self._of_split)
        candidates = [base / way for way in ways(name) for base in bases]
        found = first_there(candidates)
        return found if is_there(found) else self._alone(candidates[0])

    def _alone(self, place: Path) -> Path:
        """Tables often name images without their folder, or without their ending."""
        key = place.name
        for by_name, by_stem in self._below:
            if found := (by_name if is_image(place) else by_stem).get(key):
                return found
        return place

    @cached_property
    def _below(self) -> list[_Known]:
        """In all that may be meant; then in the folder of the split that the table is of.

        So `train.csv` means `train/1.png` where `test/1.png` is there too.
        """
        usual = self._folder / self._inside
        tops = [usual if usual.is_dir() else self._folder]
        return [_known(top) for top in (*tops, *self._of_split)]

    @cached_property
    def _of_split(self) -> list[Path]:
        """`train` and `train_images` beside `train.csv`."""
        named = [(f, f.name.lower().removesuffix("_images")) for f in folders(self._folder)]
        return [f for f, name in named if self._split and split_word(name) == self._split]


def _known(top: Path) -> _Known:
    """Images by name and by stem; None where several share it."""
    by_name: dict[str, Path | None] = {}
    by_stem: dict[str, Path | None] = {}
    for image in walk_images(top):
        by_name[image.name] = None if image.name in by_name else image
        by_stem[image.stem] = None if image.stem in by_stem else image
    return by_name, by_stem
