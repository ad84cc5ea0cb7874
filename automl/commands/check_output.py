"""What `automl check` shows: findings by kind with counts and the first files, or JSON."""

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from automl.errors import one_line
from automl.finding_codes import CODES

if TYPE_CHECKING:
    from automl.data.check import Checked
    from automl.dataset import Finding

LONGEST = 50
"""Lines of findings before the rest is counted."""

EACH = 4
"""Files shown of one kind."""


def facts(checked: "Checked") -> dict[str, Any]:
    """The same as JSON, in full."""
    dataset = checked.dataset
    counts: dict[str, int] = defaultdict(int)
    for finding in checked.findings:
        counts[finding.code] += 1
    return {
        "task": dataset.task if dataset else None,
        "format": dataset.format if dataset else None,
        "images": dataset.counts() if dataset else {},
        "classes": dataset.names if dataset else [],
        "fatal": checked.fatal,
        "warnings": len(checked.findings) - checked.fatal,
        "counts": dict(sorted(counts.items())),
        "findings": [asdict(finding) for finding in checked.findings],
        "changes": [asdict(change) for change in checked.changes],
        "index": str(checked.index) if checked.index else None,
    }


def lines(checked: "Checked") -> list[str]:
    """A summary for a person; fatal kinds come first, then the most frequent."""
    shown = _head(checked)
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in checked.findings:
        groups[finding.severity, finding.code].append(finding)
    told: list[str] = []
    for (_, code), found in sorted(
        groups.items(), key=lambda pair: (pair[0][0] != "fatal", -len(pair[1]), pair[0][1])
    ):
        told += _group(code, found)
    if len(told) > LONGEST:
        told = [*told[:LONGEST], f"and {len(told) - LONGEST} more lines; --json has them all"]
    warnings = len(checked.findings) - checked.fatal
    return [*shown, *told, f"{checked.fatal} fatal, {many(warnings, 'warning')}"]


def _head(checked: "Checked") -> list[str]:
    dataset = checked.dataset
    if dataset is None:
        return []
    counts = ", ".join(f"{n} {split}" for split, n in dataset.counts().items()) or "no"
    classes = len(dataset.classes)
    shown = many(classes, "class", "classes")
    head = [f"{dataset.format}, {dataset.task}: {counts} images, {shown}"]
    if checked.index:
        head.append(f"{len(checked.changes)} changes in {checked.index.parent / 'changes.csv'}")
        head.append(f"clean index: {checked.index}; what is left in it:")
    return head


def many(count: int, one: str, more: str = "") -> str:
    """`1 class`, `2 classes`."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def _reason(finding: "Finding") -> list[str]:
    """On one line, but for the list of all that could have been there."""
    whole = finding.code == "unreadable"
    first, *rest = finding.reason.split("\n") if whole else [finding.reason]
    return [f"  {one_line(finding.file)}: {one_line(first)}", *(f"  {one_line(r)}" for r in rest)]


def hint(checked: "Checked", data: str, *, fixed: bool) -> str:
    """What to do about fatal findings."""
    if checked.dataset is None:
        return "apply the fix above"
    if fixed and checked.index is None:
        from automl.data.repair import UNMENDED

        kinds = sorted({f.code for f in checked.findings if f.code in UNMENDED})
        return f"no index was written: none can fix {', '.join(kinds)}; correct the set itself"
    return "fix the rest by hand" if fixed else f"fix them, or `automl check {data} --fix OUT`"


def _group(code: str, found: "list[Finding]") -> list[str]:
    first = found[0]
    about = CODES.get(code, "")
    told = [f"{first.severity} {code} ({len(found)}){': ' if about else ''}{about}"]
    told += [line for f in found[:EACH] for line in _reason(f)]
    if len(found) > EACH:
        told.append(f"  and {len(found) - EACH} more")
    if first.waived:
        return [*told, f"  waived: {one_line(first.waived)}"]
    return [*told, f"  fix: {first.cure}"]
