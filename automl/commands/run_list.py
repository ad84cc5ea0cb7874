"""The options of `automl runs` in; its table or its JSON out."""

from typing import Any

from automl.commands.summary import runs_facts, runs_lines
from automl.record.run_filter import RunQuery, parse_time, select
from automl.record.runs import RunSummary, summaries
from automl.run_dir import runs_folder


def query(since: str = "", **options: Any) -> RunQuery:
    """The options as a value."""
    given = {name: value for name, value in options.items() if value is not None}
    return RunQuery(since=parse_time(since) if since else None, **given)


def facts(query: RunQuery) -> list[dict[str, Any]]:
    """`automl runs --json`."""
    return runs_facts(_found(query))


def lines(query: RunQuery) -> list[str]:
    """`automl runs`."""
    if query == RunQuery():
        return runs_lines(_found(query))
    return runs_lines(_found(query), "no run matches; `automl runs` lists all")


def _found(query: RunQuery) -> list[RunSummary]:
    return select(summaries(runs_folder()), query)
