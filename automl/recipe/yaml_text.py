"""Strict YAML: text in, a tree whose every value knows its place out; faults instead of surprises.

What plain YAML 1.1 reads as something else stays what was written: `no`, `on`, `0123`, `12:30`
are text, `1e-3` is a number. Tags, aliases and several documents are refused.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from automl.errors import Fault, RecipeError

MOST_BYTES = 2**20
DEEPEST = 32
"""Far above any honest recipe, far below Python's recursion limit."""

Key = str | int
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None} | {
    word: value
    for value in (True, False)
    for word in (str(value), str(value).lower(), str(value).upper())
}


@dataclass(frozen=True)
class Origin:
    """Where a tree was written: the name that messages show, and what its paths are relative to."""

    label: str
    folder: Path
    lines: bool = True
    """False for a `--set`, whose one line needs no number."""

    def place(self, line: int, column: int) -> str:
        """`file:line:column`, counted from 1."""
        return f"{self.label}:{line}:{column}" if self.lines else self.label


@dataclass(frozen=True)
class Node:
    """One value: a dict or list of nodes, or a scalar; `text` is a scalar as it was written."""

    value: Any
    origin: Origin
    line: int = 1
    column: int = 1
    text: str = ""
    keys: dict[Key, str] = field(default_factory=dict)
    """The place of each key of a mapping."""

    @property
    def place(self) -> str:
        """Where the value stands."""
        return self.origin.place(self.line, self.column)

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_text(path: Path, shown: str, what: str = "the recipe") -> str:
    """The text of a recipe file, or one clear line about why it is none."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RecipeError(
            f"{what} cannot be read: {error.strerror}",
            where=shown,
            hint="correct its name; `automl init DATA` writes a recipe for a folder of images",
        ) from error
    if len(raw) > MOST_BYTES:
        raise RecipeError(f"{what} is larger than 1 MiB", where=shown, hint="is it a recipe?")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:64]:
        raise RecipeError(f"{what} is not UTF-8 text", where=shown, hint="save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        where = f"{shown}:{line}:{column}"
        raise RecipeError("not UTF-8 text", where=where, hint="save it as UTF-8") from error


def parse(text: str, origin: Origin) -> tuple[Node, list[Fault]]:
    """The tree of one document and its doubled keys; RecipeError where the text is no YAML."""
    reader = _Reader(text, origin)
    return reader.document(), reader.faults


class _Reader:
    """Builds nodes from PyYAML's events; PyYAML resolves nothing itself."""

    def __init__(self, text: str, origin: Origin) -> None:
        self.origin = origin
        self.faults: list[Fault] = []
        self._events = self._guarded(text)

    def _guarded(self, text: str) -> Any:
        """The events of the text; what PyYAML raises becomes one line with its place."""
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                tag = getattr(event, "tag", None)
                if tag is not None:
                    self._refuse(event, f"a tag (`{tag}`)", "write the value without a tag")
                if getattr(event, "anchor", None) is not None:
                    self._refuse(event, "an anchor or an alias", "write the value itself")
                yield event
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, int(error.position)) + 1
            column = int(error.position) - text.rfind("\n", 0, int(error.position))
            where = self.origin.place(line, column)
            raise RecipeError("a control character in the recipe", where=where) from error
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error, text) from error

    def _not_yaml(self, error: yaml.MarkedYAMLError, text: str) -> RecipeError:
        mark = error.problem_mark or error.context_mark
        where = self.origin.place(mark.line + 1, mark.column + 1) if mark else self.origin.label
        tab = mark is not None and text[mark.index : mark.index + 1] == "\t"
        hint = "indent with spaces, not with a tab" if tab else ""
        what = ", ".join(part for part in (error.context, error.problem) if part)
        return RecipeError(f"not valid YAML: {what}", where=where, hint=hint)

    def _refuse(self, event: Any, message: str, hint: str) -> NoReturn:
        where = self.origin.place(event.start_mark.line + 1, event.start_mark.column + 1)
        raise RecipeError(message, where=where, hint=hint)

    def document(self) -> Node:
        """The one document of the text."""
        root = Node(None, self.origin)
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document", "one recipe a file, without `---`")
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        if depth > DEEPEST:
            self._refuse(event, f"nested deeper than {DEEPEST} levels", "a recipe is flat")
        mark = event.start_mark
        at = {"origin": self.origin, "line": mark.line + 1, "column": mark.column + 1}
        match event:
            case yaml.ScalarEvent():
                if any("\ud800" <= character <= "\udfff" for character in event.value):
                    self._refuse(event, "half a character (a lone surrogate)", "write it whole")
                value = resolve(event.value) if event.implicit[0] else event.value
                return Node(value, text=event.value, **at)
            case yaml.SequenceStartEvent():
                items = []
                while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                    items.append(self._node(event, depth + 1))
                return Node(items, **at)
        return self._mapping(at, depth)

    def _mapping(self, at: dict[str, Any], depth: int) -> Node:
        values: dict[Key, Node] = {}
        keys: dict[Key, str] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._node(event, depth + 1)
            if isinstance(name.value, dict | list):
                self._refuse(event, "a key that is no word or number", "`key: value`")
            key = name.value if type(name.value) is int else name.text
            if key in keys:
                self.faults.append(_twice(key, name, keys[key]))
            keys.setdefault(key, name.place)
            values[key] = self._node(next(self._events), depth + 1)
        return Node(values, keys=keys, **at)


def _twice(key: Key, again: Node, first: str) -> Fault:
    line = first.rsplit(":", 2)[-2] if again.origin.lines else "1"
    return Fault(
        f"`{key}` stands twice, in line {line} and in line {again.line}",
        where=again.place,
        hint="keep one of the two",
    )


def resolve(text: str) -> Any:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def dump(value: Any, width: float = 100) -> str:
    """YAML that `parse` reads back equal: text that looks like a number is quoted, no aliases."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if resolve(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(tuple, _Dumper.represent_list)
