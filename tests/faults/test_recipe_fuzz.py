"""Recipes drawn from the schema, whole and spoilt: read, or refused with a place."""

import json
import random
import secrets
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automl.errors import RecipeError, UsageError
from automl.recipe.schema import Recipe, load_recipe, read_recipe, write_recipe

SCHEMA = Recipe.model_json_schema()
ODD: tuple[Any, ...] = (None, True, -1, 0, 1e308, "", "no", "1e-3", "ü\n", [], {}, [[]], {"a": {}})


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def drawn(rng: random.Random, schema: dict[str, Any]) -> Any:
    """A value that the schema allows."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return drawn(rng, rng.choice(schema["anyOf"]))
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    kind = schema.get("type", "string")
    return rng.choice(choices) if choices else DRAWN[kind](rng, schema)


def mapping(rng: random.Random, schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return {word(rng): word(rng) for _ in range(rng.randint(0, 3))}
    needed = schema.get("required", [])
    return {
        name: drawn(rng, inner)
        for name, inner in schema["properties"].items()
        if name in needed or rng.random() < 0.3
    }


def several(rng: random.Random, schema: dict[str, Any]) -> list[Any]:
    items = schema.get("prefixItems") or [schema.get("items", {})] * rng.randint(0, 3)
    return [drawn(rng, item) for item in items]


def least(schema: dict[str, Any]) -> int:
    return int(schema.get("minimum", schema.get("exclusiveMinimum", 0)))


def most(schema: dict[str, Any]) -> int:
    return int(min(schema.get("maximum", schema.get("exclusiveMaximum", 500)), 500))


def word(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase + "-_7", k=rng.randint(1, 9)))


DRAWN: dict[str, Callable[[random.Random, dict[str, Any]], Any]] = {
    "object": mapping,
    "array": several,
    "integer": lambda rng, schema: rng.randint(least(schema), most(schema)),
    "number": lambda rng, schema: round(rng.uniform(least(schema), most(schema)), 3),
    "boolean": lambda rng, _: rng.random() < 0.5,
    "null": lambda *_: None,
    "string": lambda rng, _: word(rng),
}
NOISE = ("", "\t", "'", "{", ":", "&a ", "*a", "!!x ", "\x00")


def spoilt(rng: random.Random, recipe: dict[str, Any]) -> str:
    """One to three changes of keys, values or characters."""
    for _ in range(rng.randint(0, 2)):
        place = recipe
        while (inner := [v for v in place.values() if isinstance(v, dict)]) and rng.random() < 0.5:
            place = rng.choice(inner)
        name = rng.choice([*place, word(rng)])
        match rng.randrange(3):
            case 0:
                place.pop(name, None)
            case 1:
                place[name] = rng.choice(ODD)
            case _:
                place[word(rng)] = place.pop(name, rng.choice(ODD))
    text = json.dumps(recipe, indent=1)
    at = rng.randrange(len(text))
    return (
        text[:at]
        + rng.choice(["", "\t", "'", "{", ":", "&a ", "*a", "!!x ", "\x00"])
        + text[at + 1 :]
    )


def outcome(path: Path, text: str) -> str:
    """Whether it is a recipe, which then reads back equal; anything but a fault fails here."""
    path.write_text(text, encoding="utf-8")
    try:
        recipe = load_recipe(path)
    except (RecipeError, UsageError) as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.exit_code == 2
        assert all(f.message and f.where for f in refused.faults)
        return "refused"
    kept = path.with_name("kept.yaml")
    write_recipe(recipe, kept)
    assert read_recipe(kept) == recipe
    return "read"


def fuzz(folder: Path, cases: int, seed: int) -> dict[str, int]:
    print(f"seed {seed}")  # noqa: T201  a failure shows it
    rng, counts = random.Random(seed), {"read": 0, "refused": 0, "spoilt": 0}
    for _ in range(cases):
        recipe = drawn(rng, SCHEMA)
        counts[outcome(folder / "r.yaml", json.dumps(recipe))] += 1
        counts["spoilt"] += outcome(folder / "r.yaml", spoilt(rng, recipe)) == "refused"
    return counts


def test_recipes__hundreds(tmp_path):
    counts = fuzz(tmp_path, 150, seed=3)
    assert min(counts.values()) > 5, counts


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, None])
def test_recipes__thousands(tmp_path, seed):
    counts = fuzz(tmp_path, 2000, secrets.randbelow(10**9) if seed is None else seed)
    assert min(counts.values()) > 50, counts
