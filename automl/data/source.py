"""What a person names, a data set or a recipe, in; a recipe out."""

import re
from pathlib import Path

from automl.data.recognise import recognise
from automl.dataset import Task
from automl.errors import UsageError
from automl.recipe.schema import Data, Recipe, load_recipe


def recipe_of(source: Path, task: Task | None = None) -> Recipe:
    """A recipe as it is, or one made up for a set."""
    if source.suffix.lower() in (".yaml", ".yml") and source.is_file() and _is_recipe(source):
        recipe = load_recipe(source)
        if task not in (None, recipe.task):
            message = f"the recipe is for {recipe.task}"
            raise UsageError(message, where=str(source), hint="leave out `--task`")
        return recipe
    found = recognise(source, task)
    data = {"path": str(source.absolute()), "format": found.format}
    return Recipe(task=found.task, data=Data.model_validate(data))


def _is_recipe(path: Path) -> bool:
    """A YOLO description is YAML as well, but names no task at its top."""
    head = path.read_bytes()[: 1 << 16]
    return re.search(rb'(?m)^(\{\s*task|[\s{]*"task"|task)\s*:', head) is not None
