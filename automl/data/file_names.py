"""Names and links of a set's files: what some systems mix up, and what a link shows twice."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from automl.data.reading import Entry, Reading, shown, warning
from automl.dataset import Finding


def once_each(reading: Reading) -> tuple[tuple[Entry, ...], list[Finding]]:
    """Each real folder once, by its own name where it has one in the set; and links that loop."""
    parents = list(dict.fromkeys(entry.path.parent for entry in reading.entries))
    kept: dict[Path, Path] = {}
    for parent in sorted(parents, key=lambda p: (p.resolve() != p, str(p))):
        kept.setdefault(parent.resolve(), parent)
    findings = _loops(parents, reading.root)
    twice = [p for p in parents if kept[p.resolve()] != p]
    for parent in twice:
        reason = f"a link shows `{shown(kept[parent.resolve()], reading.root)}` again, left out"
        cure = "remove the link"
        findings.append(warning("linked_twice", shown(parent, reading.root), reason, cure))
    left_out = set(twice)
    listed = {e.path for e in reading.entries}
    entries = tuple(
        e
        for e in reading.entries
        if e.path.parent not in left_out
        or kept[e.path.parent.resolve()] / e.path.name not in listed
    )
    return entries, findings


def _loops(parents: Sequence[Path], root: Path) -> list[Finding]:
    looked_at: set[Path] = set()
    findings = []
    for parent in parents:
        for folder in (parent, *parent.parents):
            if folder in looked_at or not folder.is_relative_to(root) or not folder.is_dir():
                continue
            looked_at.add(folder)
            real = folder.resolve()
            for inside in sorted(folder.iterdir()):
                if (
                    inside.is_symlink()
                    and inside.is_dir()
                    and real.is_relative_to(inside.resolve())
                ):
                    reason = "a link back to a folder above it, which is not followed"
                    name = shown(inside, root)
                    findings.append(warning("link_loop", name, reason, "remove the link"))
    return findings


def name_twins(paths: Sequence[str]) -> list[Finding]:
    """Paths that differ in upper and lower case only, or in how their accents are written."""
    first: dict[str, str] = {}
    findings = []
    for path in paths:
        plain = unicodedata.normalize("NFC", path).casefold()
        known = first.setdefault(plain, path)
        if known != path:
            reason = f"some systems cannot tell it from `{known}`"
            findings.append(warning("name_twins", path, reason, "rename one of them"))
    return findings
