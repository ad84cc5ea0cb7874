"""Findings to what a person is told: alike ones as one, of many kinds of fault the first few."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from automl.dataset import Finding
from automl.errors import DataError, Fault

FILES_NAMED = 3
"""Files that one line names; `findings.json` and the report list all."""
ALIKE_TOLD = 10
"""Reasons told of one code: a set of 10,000 broken files would drown the other codes."""
WARNINGS_TOLD = 5


def refuse_fatal(findings: Iterable[Finding]) -> None:
    """Raises DataError with every fatal finding at once."""
    fatal = [f for f in findings if f.severity == "fatal"]
    if fatal:
        raise DataError(f"{len(fatal)} fatal findings in the data", faults=faults(fatal))


def faults(findings: Iterable[Finding]) -> list[Fault]:
    """One fault for all findings of the same reason and cure; of each code the first ones."""
    by_code: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for f in findings:
        by_code[f.code][f.reason, f.cure].append(f.file)
    told = []
    for reasons in by_code.values():
        groups = list(reasons.items())
        told += [
            Fault(reason, _named(files), cure) for (reason, cure), files in groups[:ALIKE_TOLD]
        ]
        rest = [file for _, files in groups[ALIKE_TOLD:] for file in files]
        if rest:
            told.append(Fault(f"{len(rest)} more like these", _named(rest), groups[0][0][1]))
    return told


def warnings(findings: Iterable[Finding]) -> list[str]:
    """A line for each kind of warning, with its first file."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for f in findings:
        if f.severity == "warning":
            by_code[f.code].append(f)
    lines = [_line(alike) for alike in by_code.values()]
    more = len(lines) - WARNINGS_TOLD
    return lines[:WARNINGS_TOLD] + ([f"  and {more} more kinds of finding"] if more > 0 else [])


def _line(alike: Sequence[Finding]) -> str:
    first, more = alike[0], len(alike) - 1
    others = f", and {more} more like it" if more else ""
    where = f" ({first.file})" if first.file != "." else ""
    return f"  {first.reason}{where}{others}; {first.cure}"


def _named(files: Sequence[str]) -> str:
    more = len(files) - FILES_NAMED
    return ", ".join(files[:FILES_NAMED]) + (f" and {more} more" if more > 0 else "")
