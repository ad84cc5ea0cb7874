"""The verbs that look after finished runs; `cli.py` has those that make them."""

import typer

from automl.commands.options import AsJson, RunName

verbs = typer.Typer()


@verbs.command()
def runs(json: AsJson = False) -> None:
    """Lists the runs of this workspace, the newest first."""
    from automl.commands import workspace
    from automl.commands.summary import runs_facts, runs_lines
    from automl.commands.terminal import out, out_json

    found = workspace.summaries()
    out_json(runs_facts(found)) if json else out(*runs_lines(found))


@verbs.command()
def show(run: RunName = "latest", json: AsJson = False) -> None:
    """What a run is: data, model, scores, records."""
    from automl.commands import workspace
    from automl.commands.summary import run_facts, run_lines
    from automl.commands.terminal import out, out_json

    facts = run_facts(workspace.find(run))
    out_json(facts) if json else out(*run_lines(facts))
