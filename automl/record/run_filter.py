"""Summaries of runs in, those that are asked for in the order that is asked for out."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from automl.errors import UsageError
from automl.record.runs import RunSummary

Order = Literal["started", "score", "seconds", "id", "model"]
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class RunQuery:
    """What to show; an empty field asks for nothing. Texts are parts, upper and lower case alike.

    `best` keeps that many of the highest scores of each metric.
    """

    task: str = ""
    model: str = ""
    state: str = ""
    recipe: str = ""
    since: datetime | None = None
    best: int = 0
    sort: Order = "started"
    limit: int = 0


def select(found: Iterable[RunSummary], query: RunQuery) -> list[RunSummary]:
    """The runs that match, the newest or best first."""
    kept = [run for run in found if _fits(run, query)]
    kept = _best(kept, query.best) if query.best else _sorted(kept, query.sort)
    return kept[: query.limit] if query.limit else kept


def parse_time(text: str, now: datetime | None = None) -> datetime:
    """`90m`, `12h`, `7d`, `2w` ago, or a day or time as `2026-01-31` or `2026-01-31T12:00`."""
    here = now or datetime.now().astimezone()
    span = re.fullmatch(r"(\d{1,6})\s*([mhdw])", text.strip().lower())
    if span:
        try:
            return here - timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            return datetime.min.replace(tzinfo=here.tzinfo)
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{text}` is not a time", hint="such as `90m`, `12h`, `7d`, `2w` or `2026-01-31`"
        ) from None


def _fits(run: RunSummary, query: RunQuery) -> bool:
    return (
        query.task in ("", run.task)
        and query.state in ("", run.state)
        and query.model.lower() in run.model.lower()
        and query.recipe.lower() in run.id.lower()
        and (query.since is None or run.started >= query.since)
    )


def _best(found: list[RunSummary], count: int) -> list[RunSummary]:
    """Of each task's metric, since those of two cannot be compared."""
    groups: dict[tuple[str, str], list[RunSummary]] = {}
    for run in _sorted(found, "score"):
        if run.score is not None:
            groups.setdefault((run.task, run.metric), []).append(run)
    return [run for runs in groups.values() for run in runs[:count]]


def _sorted(found: list[RunSummary], order: Order) -> list[RunSummary]:
    """By name from the first letter on; by time, score and duration from the largest on."""
    keys: dict[str, Callable[[RunSummary], Any]] = {
        "started": lambda run: (run.started, run.id),
        "score": lambda run: (run.score is not None, run.score or 0.0),
        "seconds": lambda run: (run.seconds is not None, run.seconds or 0.0),
        "id": lambda run: run.id,
        "model": lambda run: (run.model, run.id),
    }
    newest_first = sorted(found, key=keys["started"], reverse=True)
    return sorted(newest_first, key=keys[order], reverse=order not in ("id", "model"))
