"""Names and arguments of Albumentations transforms, as a policy or a recipe lists them, to objects.

No name outside of that library's transforms is ever looked up or called.
"""

import warnings
from typing import Any

from automl.errors import RecipeError
from automl.plan import Augment
from automl.suggestions import nearest


def build(augment: Augment) -> list[Any]:
    """The Albumentations transforms that a policy names; nothing else of that module."""
    return [_transform(step) for step in augment.transforms]


def _transform(step: dict[str, dict[str, Any]]) -> Any:
    if len(step) != 1:
        hint = "each item of the list is one transform: `- HorizontalFlip: {p: 0.5}`"
        raise RecipeError(f"{len(step)} transforms in one item of `augment`", hint=hint)
    ((name, arguments),) = step.items()
    known = _known()
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else "the names are those of albumentations 2.0.8"
        raise RecipeError(f"`{name}` in `augment` is not an Albumentations transform", hint=hint)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made = known[name](**arguments)
    except Exception as error:  # each transform has checks of its own
        raise _refused(name, str(error) or type(error).__name__) from error
    for warning in said:  # an unknown argument is dropped with a warning only
        if "are not valid for transform" in str(warning.message):
            raise _refused(name, str(warning.message).partition(" for transform")[0])
    return made


def _refused(name: str, why: str) -> RecipeError:
    lines = [line.strip() for line in why.splitlines() if "For further information" not in line]
    lines = [line for line in lines if not line.endswith("InitSchema")]
    return RecipeError(
        f"`{name}` in `augment` does not take these arguments: {'; '.join(lines)[:300]}",
        hint=f"see the documentation of albumentations.{name}",
    )


def _known() -> dict[str, Any]:
    """Every transform by its name, without the base classes."""
    import albumentations

    return {
        name: kind
        for name, kind in vars(albumentations).items()
        if isinstance(kind, type)
        and issubclass(kind, albumentations.BasicTransform)
        and kind.__module__.startswith("albumentations.augmentations.")
    }
