"""Two runs compared in, facts for `--json` and tables for a person out."""

from collections.abc import Sequence
from typing import Any

from automl.commands.terminal import table
from automl.record.compare import Comparison, Metric, Row

WIDEST = 34
"""Characters of a value in a table of 100 columns: a field of 28, and two of these."""
DIGEST = 12


def comparison_facts(found: Comparison) -> dict[str, Any]:
    """`automl compare --json`."""
    return {
        "a": {"run": found.a.id, "folder": str(found.a.root)},
        "b": {"run": found.b.id, "folder": str(found.b.root)},
        "comparable": not found.incomparable,
        "why_not": found.incomparable,
        "primary": found.primary,
        "differences": {name: _row_facts(rows) for name, rows in found.groups.items()},
        "metrics": [metric_facts(metric) for metric in found.metrics],
    }


def comparison_lines(found: Comparison) -> list[str]:
    """`automl compare`: only what differs, then the scores side by side."""
    lines = [f"A  {found.a.id}", f"B  {found.b.id}"]
    for name, rows in found.groups.items():
        if rows:
            lines += ["", *rows_table(name, rows)]
    if not any(found.groups.values()):
        lines += ["", "no difference in recipe, plan, data, code, environment and outcome"]
    if found.metrics:
        lines += ["", *metric_lines(found.metrics)]
    if found.incomparable:
        lines += ["", f"the scores cannot be compared: {found.incomparable}"]
    return lines


def rows_table(name: str, rows: Sequence[Row]) -> list[str]:
    """One line a difference under the name of their group."""
    cells = [(field, *_pair(a, b)) for field, a, b in rows]
    return table((name, "A", "B"), cells)


def metric_facts(metric: Metric) -> dict[str, Any]:
    """One metric of both runs."""
    return {
        "name": metric.name,
        "a": metric.a,
        "b": metric.b,
        "difference": metric.difference,
        "interval_a": metric.interval_a,
        "interval_b": metric.interval_b,
        "overlap": metric.overlap,
    }


def metric_lines(metrics: Sequence[Metric]) -> list[str]:
    """The metrics of both runs with 95 % intervals, and whether these overlap."""
    words = {None: "", True: "overlap", False: "apart"}
    rows = [
        (
            metric.name,
            _with_interval(metric.a, metric.interval_a),
            _with_interval(metric.b, metric.interval_b),
            "" if metric.difference is None else f"{metric.difference:+.4f}",
            words[metric.overlap],
        )
        for metric in metrics
    ]
    return table(("metric", "A (95 %)", "B (95 %)", "B - A", "intervals"), rows)


def value_text(value: Any, widest: int = WIDEST) -> str:
    """A value as short as a table needs it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        text = ", ".join(value_text(item, widest) for item in value) or "-"
    else:
        text = " ".join(str(value).split())
    if len(text) == 64 and all(c in "0123456789abcdef" for c in text):
        return text[:DIGEST]
    return text


def _pair(a: Any, b: Any) -> tuple[str, str]:
    """Two values cut to where they differ, so that a long one still shows its difference."""
    left, right = value_text(a), value_text(b)
    if max(len(left), len(right)) <= WIDEST:
        return left, right
    start = next(
        (i for i, (x, y) in enumerate(zip(left, right, strict=False)) if x != y),
        min(len(left), len(right)),
    )
    start = max(0, start - WIDEST // 3) if start > WIDEST // 2 else 0
    return _cut(left, start), _cut(right, start)


def _cut(text: str, start: int) -> str:
    if len(text) <= WIDEST and not start:
        return text
    head = "..." if start else ""
    room = WIDEST - len(head)
    rest = text[start:]
    return head + (rest if len(rest) <= room else rest[: room - 3] + "...")


def _row_facts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"field": field, "a": a, "b": b} for field, a, b in rows]


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
