"""pydantic's errors about a recipe in, faults with place and cure out."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from automl.errors import Fault
from automl.recipe.tree import KeyPath
from automl.recipe.yaml_text import Node, resolve
from automl.suggestions import did_you_mean, nearest

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "two numbers",
    "too_short": "two numbers",
    "too_long": "two numbers",
    "missing": "two numbers",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_OF_OTHER_TOOLS = {
    **dict.fromkeys(("batch", "bs", "per_device_train_batch_size"), "train.batch_size"),
    **dict.fromkeys(("imgsz", "img_size", "input_size", "resolution"), "train.image_size"),
    **dict.fromkeys(("lr0", "learning_rate"), "train.lr"),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs", "num_train_epochs"), "train.epochs"),
    **dict.fromkeys(("num_workers", "dataloader_num_workers"), "train.workers"),
    **dict.fromkeys(("arch", "architecture", "backbone", "encoder"), "model"),
    **dict.fromkeys(("amp", "fp16", "bf16", "half"), "train.precision"),
    **dict.fromkeys(("dataset", "data_dir", "data_path"), "data.path"),
    **dict.fromkeys(("project", "experiment_name"), "track.experiment"),
    "opt": "train.optimiser",
    "freeze": "train.frozen_epochs",
    "early_stopping": "train.patience",
    "max_time": "budget",
    "pretrained": "weights",
    "augmentation": "augment",
}
"""What Ultralytics, timm, Lightning, transformers and others call our keys."""


def rewrite(error: ValidationError, tree: Node, model: type[BaseModel]) -> list[Fault]:
    """One fault per wrong value, in the order of the recipe."""
    found: dict[KeyPath, list[dict[str, Any]]] = defaultdict(list)
    for item in error.errors(include_url=False):
        found[_real_path(item, tree)].append(dict(item))
    # A value that fits one branch of a union in part is judged by that branch alone.
    paths = [
        path for path in found if not any(path == other[: len(path)] != other for other in found)
    ]
    faults = [_fault(path, found[path], tree, model) for path in paths]
    meant = {fault.hint for fault in faults if fault.message.startswith("unknown key")}
    return [fault for fault in faults if _only_mistyped(fault) not in meant]


def _only_mistyped(fault: Fault) -> str:
    """The hint that an unknown key has where it is this missing key, misspelt."""
    missing = re.fullmatch(r"the key `(?:.*\.)?(.*)` is missing", fault.message)
    return f"did you mean `{missing[1]}`?" if missing else "-"


def _real_path(item: Any, tree: Node) -> KeyPath:
    """The error's location without pydantic's names of union branches."""
    path: list[Any] = []
    node = tree
    absent = item["type"] == "missing"
    for part in item["loc"]:
        child = _child(node, part)
        if child is not None:
            path.append(part)
            node = child
    empty = path == list(item["loc"])  # the key is there, but holds no value
    if absent and not empty and isinstance(item["loc"][-1], str):
        path.append(item["loc"][-1])
    return tuple(path)


def _child(node: Node, key: Any) -> Node | None:
    inside: Any = node.value
    if isinstance(inside, list):
        inside = dict(enumerate(inside))
    child = inside.get(key) if isinstance(inside, dict) else None
    return child if isinstance(child, Node) else None


def _fault(path: KeyPath, items: list[dict[str, Any]], tree: Node, model: type[BaseModel]) -> Fault:
    parent = _node(tree, path[:-1])
    key = str(path[-1]) if path else ""
    section = ".".join(map(str, path[:-1]))
    kind = items[0]["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        inside = f" in `{section}`" if section else ""
        where = parent.keys.get(path[-1], parent.place)
        return Fault(f"unknown key `{key}`{inside}", where, _key_hint(key, path[:-1], model))
    name = ".".join(map(str, path))
    child = _child(parent, path[-1]) if path else None
    if kind == "missing" and (child is None or child.value is None):
        hint = f"add `{key}: ...`" + _described(path, model)
        return Fault(f"the key `{name}` is missing", parent.keys.get(key, parent.place), hint)
    node = _node(tree, path)
    return Fault(f"`{name}` {_wrong(items, node)}", node.place, _value_hint(items, node))


def _node(tree: Node, path: KeyPath) -> Node:
    for key in path:
        tree = _child(tree, key) or tree
    return tree


def _wrong(items: list[dict[str, Any]], node: Node) -> str:
    """What the value should be and what it is."""
    got = _shown(node)
    choices = [choice for item in items for choice in _choices(item)]
    if choices and isinstance(node.value, str):
        return f"cannot be {got}"
    wanted = ["one of " + ", ".join(f"`{choice}`" for choice in choices)] if choices else []
    for item in items:
        if item["type"] in _BOUNDS:
            name, words = _BOUNDS[item["type"]]
            wanted.append(f"{words} {_number(item['ctx'][name])}")
        elif item["loc"][-1] == "[key]":
            wanted.append("a list, or a mapping from whole numbers")
        elif item["type"] in _WANTED:
            wanted.append(_WANTED[item["type"]])
    unique = list(dict.fromkeys(wanted)) or [items[0]["msg"].lower()]
    return f"must be {' or '.join(unique)}, not {got}"


def _number(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _shown(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    kind = "the text " if isinstance(node.value, str) else ""
    text = node.text if len(node.text) <= 60 else node.text[:57] + "..."
    return f"{kind}`{text}`"


def _choices(item: dict[str, Any]) -> list[str]:
    return (
        re.findall(r"'([^']*)'", item["ctx"]["expected"]) if item["type"] == "literal_error" else []
    )


def _value_hint(items: list[dict[str, Any]], node: Node) -> str:
    choices = [choice for item in items for choice in _choices(item)]
    if choices and isinstance(node.value, str):
        return did_you_mean(node.value, choices)
    if items[0]["type"] == "string_type" and not isinstance(node.value, dict | list):
        return f"put it in quotes: '{node.text}'"
    if isinstance(node.value, str) and not isinstance(resolve(node.value), str):
        return "write it without quotes"
    return ""


def _key_hint(key: str, section: KeyPath, model: type[BaseModel]) -> str:
    known = list(_section(model, section).model_fields)
    if nearest(key, known):
        return did_you_mean(key, known)
    for path, owner in _sections(model):
        if path != section and key in owner.model_fields:
            home = ".".join(map(str, path))
            return f"`{key}` belongs in `{home}`" if home else f"`{key}` belongs at the top level"
    meant = _OF_OTHER_TOOLS.get(key.lower())
    return f"did you mean `{meant}`?" if meant else did_you_mean(key, known)


def key_for(word: str, model: type[BaseModel]) -> str:
    """The recipe's key that somebody means by `epochs` or `imgsz`; empty where none is near."""
    names = {name: name for name in model.model_fields}
    names |= {name: f"train.{name}" for name in _section(model, ("train",)).model_fields}
    known = names | {"data": "data.path"} | _OF_OTHER_TOOLS
    plain = word.lower().replace("-", "_")
    found = plain if plain in known else nearest(plain, names)
    return known[found] if found else ""


def _sections(
    model: type[BaseModel], path: KeyPath = ()
) -> Iterator[tuple[KeyPath, type[BaseModel]]]:
    """Every mapping of the recipe with its path."""
    yield path, model
    for name, info in model.model_fields.items():
        for kind in (info.annotation, *get_args(info.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _sections(kind, (*path, name))


def _section(model: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    return dict(_sections(model)).get(path, model)


def _described(path: KeyPath, model: type[BaseModel]) -> str:
    info = _section(model, path[:-1]).model_fields.get(str(path[-1]))
    return f" ({info.description})" if info and info.description else ""
