"""Trees of a recipe: layers merged, short forms written out, places kept."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from automl.errors import Fault
from automl.recipe.yaml_text import Key, Node

KeyPath = tuple[Key, ...]
_PIXEL_PAIRS = (("train", "image_size"), ("train", "crop"))
_CLASSES = ("data", "classes")
_FREE = ("augment",)
_TEXTS = (("data", "path"), ("model",), ("budget",), ("track", "experiment"))
"""Always text, whatever it looks like: a folder may be called 2024."""


def merge(layers: list[Node], faults: list[Fault]) -> Node:
    """One tree; later layers win key by key, mappings are merged and anything else replaced."""
    merged = Node({}, layers[0].origin)
    for layer in layers:
        if isinstance(layer.value, dict):
            merged = _over(merged, _spread(layer))
        else:
            what = "is empty" if layer.value is None else "is not a mapping of keys to values"
            faults.append(Fault(f"the recipe {what}", layer.place, hint="begin with `task: ...`"))
    return merged


def values(tree: Node) -> Any:
    """What pydantic validates: short forms written out, keys left empty taken out."""
    return _value(tree, ())


def places(tree: Node, path: KeyPath = ()) -> dict[str, str]:
    """The place of every key and list item that holds a value, by dotted path."""
    found: dict[str, str] = {}
    for key, node in _items(tree):
        here = (*path, key)
        if node.value is not None:
            found[".".join(map(str, here))] = tree.keys.get(key, node.place)
            found |= places(node, here)
    return found


def _items(node: Node) -> Iterator[tuple[Key, Node]]:
    if isinstance(node.value, dict):
        yield from node.value.items()
    elif isinstance(node.value, list):
        yield from enumerate(node.value)


def _over(below: Node, above: Node) -> Node:
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    both = dict(below.value)
    for key, node in above.value.items():
        both[key] = _over(both[key], node) if key in both else node
    return Node(both, below.origin, below.line, below.column, keys=below.keys | above.keys)


def _spread(layer: Node) -> Node:
    """`data: folder` stands for `data: {path: folder}`."""
    data = layer.value.get("data")
    if data is None or isinstance(data.value, dict | list) or data.value is None:
        return layer
    whole = Node(
        {"path": data}, data.origin, data.line, data.column, keys={"path": layer.keys["data"]}
    )
    return Node(
        layer.value | {"data": whole}, layer.origin, layer.line, layer.column, keys=layer.keys
    )


def _value(node: Node, path: KeyPath) -> Any:
    if path[:1] == _FREE:
        return node.plain()
    if isinstance(node.value, dict):
        inner = ((key, child, (*path, key)) for key, child in node.value.items())
        return {
            key: _value(child, here)
            for key, child, here in inner
            if child.value is not None or path == _CLASSES
        }
    if path in _PIXEL_PAIRS:
        return tuple(node.plain()) if isinstance(node.value, list) else (node.value,) * 2
    if isinstance(node.value, list):
        return [_value(child, (*path, index)) for index, child in enumerate(node.value)]
    if path == ("data", "path") and node.text:
        # Unlike Path.expanduser, this leaves the `~` of an unknown user as it is.
        home = os.path.expanduser(node.text)  # noqa: PTH111
        return str(absolute(node.origin.folder / home))
    return node.text if path in _TEXTS or path[:2] == _CLASSES else node.value


def absolute(path: Path) -> Path:
    """The absolute path with `..` taken out; links are kept, since a data folder may be one."""
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow the links
