"""The README's generated parts: verbs, recipe fields, models. `make docs` writes them."""

import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from typer.main import get_command

from automl.cli import app
from automl.planning.backbones import TABLE
from automl.recipe.schema import Recipe

README = Path(__file__).resolve().parents[2] / "README.md"
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def verbs() -> Iterator[str]:
    yield "| verb | does | options |"
    yield "|---|---|---|"
    for name, verb in get_command(app).commands.items():  # type: ignore[attr-defined]
        arguments = [p.metavar for p in verb.params if p.param_type_name == "argument"]
        options = [p.opts[0] for p in verb.params if p.param_type_name == "option"]
        shown = " ".join(f"`{option}`" for option in options if option != "--help")
        yield f"| `{' '.join([name, *arguments])}` | {verb.help.partition(chr(10))[0]} | {shown} |"


def fields() -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    yield from _fields(Recipe, "")


def _fields(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        inner = _section(info.annotation)
        value = "mapping" if inner else _value(info.annotation)
        default = "required" if info.is_required() else _default(None if inner else info.default)
        meaning = (info.description or "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | {value} | {default} | {meaning} |"
        if inner:
            yield from _fields(inner, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    kinds = (annotation, *get_args(annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _default(value: Any) -> str:
    return "open" if value is None else f"`{value}`"


def _value(annotation: Any) -> str:
    arguments = [a for a in get_args(annotation) if a is not type(None)]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_value(argument) for argument in arguments)
    if origin is tuple:
        return "number or [height, width]"
    if origin in (list, dict):
        return {list: "list", dict: "mapping"}[origin]
    if hasattr(annotation, "__metadata__"):
        return _value(arguments[0])
    return {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}[
        annotation
    ]


def models() -> Iterator[str]:
    yield "| name | task | size | M params | px | licence of code / weights |"
    yield "|---|---|---|---|---|---|"
    for row in TABLE:
        if not row.for_tests:
            licences = " / ".join(dict.fromkeys([row.licence, row.weights_licence]))
            yield (
                f"| `{row.name}` | {row.task} | {row.size} | {row.parameters:.1f} "
                f"| {row.image_size} | {licences} |"
            )


BLOCKS: dict[str, Callable[[], Iterator[str]]] = {
    "verbs": verbs,
    "fields": fields,
    "models": models,
}


def written(text: str) -> str:
    """The README with its generated blocks made anew."""
    return _BLOCK.sub(lambda m: m[1] + "\n".join(BLOCKS[m[2]]()) + "\n" + m[3], text)


def blocks(text: str) -> list[str]:
    return [found[2] for found in _BLOCK.finditer(text)]


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
