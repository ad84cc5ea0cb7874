"""A pattern on paths to groups: images that a split which is drawn must keep together."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from automl.data.reading import Entry, shown, unusable

LONGEST_NAME = 4096
"""Characters of a path that a pattern looks at: some patterns take ages on endless names."""


def grouped(entries: Iterable[Entry], root: Path, pattern: str) -> tuple[Entry, ...]:
    """Entries with the group that the pattern's first bracket, or all of it, finds in their path.

    What it does not find keeps the group that the set itself gave.
    """
    if not pattern:
        return tuple(entries)
    wanted = re.compile(pattern)
    found = [(entry, _group(wanted, shown(entry.path, root))) for entry in entries]
    if found and not any(group for _, group in found):
        name = shown(found[0][0].path, root)
        raise unusable(
            f"`data.group` `{pattern}` fits no image; the first is `{name}`",
            root,
            r"such as `(patient\d+)_`, searched in the path below `data.path`",
        )
    return tuple(replace(entry, group=group or entry.group) for entry, group in found)


def _group(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.search(path[:LONGEST_NAME])
    return (found[1] if found.re.groups else found[0]) or "" if found else ""
