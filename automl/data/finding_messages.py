"""Findings to what a person is told: every fault on a line, a line for each kind of warning."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from automl.dataset import Finding
from automl.errors import DataError, Fault

FAULTS_TOLD = 50
"""`findings.json` and the report list all; `automl check` counts them by kind."""
WARNINGS_TOLD = 5


def refuse_fatal(findings: Iterable[Finding]) -> None:
    """Raises DataError with every fatal finding at once."""
    fatal = [f for f in findings if f.severity == "fatal"]
    if fatal:
        shown = [Fault(f.reason, f.file, f.cure, brief=True) for f in fatal[:FAULTS_TOLD]]
        if len(fatal) > len(shown):
            hint = "`automl check` counts them by kind"
            shown.append(Fault(f"and {len(fatal) - len(shown)} more", hint=hint, brief=True))
        raise DataError(f"{len(fatal)} fatal findings in the data", faults=shown)


def counted(findings: Sequence[Finding]) -> str:
    """What is added to the line about the data; those that the recipe gives a reason for apart."""
    waived = sum(bool(f.waived) for f in findings)
    many = len(findings) - waived
    told = f"; {many} finding{'s' if many > 1 else ''}" if many else ""
    told += f"; {waived} waived" if waived else ""
    return f"{told}:" if many else told


def warnings(findings: Iterable[Finding]) -> list[str]:
    """A line for each kind of warning that nobody gave a reason for, with its first file."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for f in findings:
        if f.severity == "warning" and not f.waived:
            by_code[f.code].append(f)
    lines = [_line(alike) for alike in by_code.values()]
    more = len(lines) - WARNINGS_TOLD
    return lines[:WARNINGS_TOLD] + ([f"  and {more} more kinds of finding"] if more > 0 else [])


def _line(alike: Sequence[Finding]) -> str:
    first, more = alike[0], len(alike) - 1
    others = f", and {more} more like it" if more else ""
    where = f" ({first.file})" if first.file != "." else ""
    return f"  {first.reason}{where}{others}; {first.cure}"
