"""`automl gc`: what can go and what stays, with sizes; removed only when it was said to be."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from automl.commands.terminal import table
from automl.commands.workspace import shown
from automl.record.garbage import DAY_S, Garbage, Item, Rules, find_garbage, remove
from automl.record.run_filter import parse_time
from automl.run_dir import runs_folder


@dataclass(frozen=True)
class Collected:
    """What was found and, where it was said to be, removed."""

    found: Garbage
    really: bool
    removed: list[Item] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """`automl gc --json`."""
        items = [
            {"path": str(i.path), "bytes": i.bytes, "why": i.why, "removed": i in self.removed}
            for i in self.found.items
        ]
        left = [*self.found.kept, *self.failed]
        return {
            "folder": str(self.found.folder),
            "removed": self.really,
            "bytes": sum(item.bytes for item in self.removed) if self.really else self.found.bytes,
            "items": items,
            "left": [{"name": name, "why": why} for name, why in left],
        }

    def lines(self) -> list[str]:
        """For a person: what goes, what stays, and what to say next."""
        shown_items = self.removed if self.really else self.found.items
        rows = [(shown(item.path), size_text(item.bytes), item.why) for item in shown_items]
        left = [*self.found.kept, *self.failed]
        head = "removed" if self.really else "can go"
        lines = table((head, "size", "because"), rows) if rows else []
        if left:
            lines += [*([""] if lines else []), *table(("left alone", "because"), left)]
        return [*lines, *([""] if lines else []), self._sum(len(rows))]

    def _sum(self, count: int) -> str:
        if not count:
            return "nothing was removed" if self.really else "nothing to remove"
        things = "1 thing" if count == 1 else f"{count} things"
        if self.really:
            return f"{things} removed, {size_text(sum(i.bytes for i in self.removed))} freed"
        size = size_text(self.found.bytes)
        return f"{things}, {size}; nothing was deleted; `--really` deletes them"


def collect_garbage(*, keep: int, older_than: str, tracked: bool, really: bool) -> Collected:
    """Looks, and removes where it is really meant."""
    now = datetime.now().astimezone()
    days = (now - parse_time(older_than, now)).total_seconds() / DAY_S
    found = find_garbage(runs_folder(), Rules(keep, days, tracked))
    if not really:
        return Collected(found, really)
    return Collected(found, really, *remove(found))


def size_text(count: int) -> str:
    """`812 B`, `3.4 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
