"""A data set or a recipe to all that is wrong with it, and to a clean index of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from automl.data.files import is_there
from automl.data.prepare import Prepared, prepare
from automl.data.reading import fatal
from automl.data.repair import UNMENDED, Change, refuse_target, repaired, write_index
from automl.data.source import recipe_of
from automl.dataset import Dataset, Finding, Task
from automl.errors import DataError
from automl.recipe.schema import Recipe
from automl.talk import Talk


@dataclass(frozen=True)
class Checked:
    """What was found; `dataset` is None where the set cannot be read as a whole."""

    dataset: Dataset | None
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...] = field(default=())
    index: Path | None = None

    @property
    def fatal(self) -> int:
        """How many findings would stop a run."""
        return sum(f.severity == "fatal" for f in self.findings)


def check(
    source: Path, talk: Talk, *, task: Task | None = None, fix: Path | None = None
) -> Checked:
    """Checks a set or a recipe's set; with `fix`, also the clean index that it writes there."""
    try:
        recipe = recipe_of(source, task)
        if fix is not None:
            refuse_target(fix, Path(recipe.data.path))
        found = prepare(recipe, talk, mending=fix is not None)
    except DataError as error:
        if not is_there(source):
            raise
        return Checked(None, tuple(_unreadable(error, source)))
    stays = any(f.severity == "fatal" and f.code in UNMENDED for f in found.findings)
    if fix is None or stays:
        return Checked(found.dataset, found.findings)
    return _fixed(found, recipe, fix, talk)


def _fixed(found: Prepared, recipe: Recipe, fix: Path, talk: Talk) -> Checked:
    """The findings are those that are left in the index."""
    clean, changes = repaired(found.dataset, found.findings, found.copies)
    index = write_index(clean, changes, fix)
    data = recipe.data.model_copy(update={"path": str(index.absolute()), "format": "index"})
    left = prepare(recipe.model_copy(update={"data": data}), talk)
    return Checked(replace(clean, digest=left.dataset.digest), left.findings, tuple(changes), index)


def _unreadable(error: DataError, source: Path) -> list[Finding]:
    return [
        fatal("unreadable", f.where or str(source), f.message, f.hint or "mend it")
        for f in error.faults
    ]
