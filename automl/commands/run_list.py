"""What `automl runs` is asked for in; its table or its JSON out."""

from typing import Any

from automl.commands.summary import runs_facts, runs_lines
from automl.record.run_filter import Wanted, chosen, moment
from automl.record.runs import RunSummary, summaries
from automl.run_dir import runs_folder


def wanted(since: str = "", **asked: Any) -> Wanted:
    """The options as a value."""
    given = {name: value for name, value in asked.items() if value is not None}
    return Wanted(since=moment(since) if since else None, **given)


def facts(asked: Wanted) -> list[dict[str, Any]]:
    """`automl runs --json`."""
    return runs_facts(_found(asked))


def lines(asked: Wanted) -> list[str]:
    """`automl runs`."""
    if asked == Wanted():
        return runs_lines(_found(asked))
    return runs_lines(_found(asked), "no run fits; `automl runs` lists all")


def _found(asked: Wanted) -> list[RunSummary]:
    return chosen(summaries(runs_folder()), asked)
