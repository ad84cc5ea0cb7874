"""The verbs that look after finished runs; `cli.py` has those that make them."""

from typing import Annotated

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


@verbs.command()
def sync(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="left out: every run not there yet")
    ] = None,
    json: AsJson = False,
) -> None:
    """Delivers to MLflow what an outage or a stop kept back; twice is as good as once."""
    from automl.commands import registry
    from automl.commands.terminal import out, out_json

    done = registry.sync(run)
    out_json(registry.sync_facts(done)) if json else out(*registry.sync_lines(done))
    registry.complain(done)


@verbs.command()
def promote(
    run: RunName,
    alias: Annotated[str, typer.Option("--as", metavar="ALIAS", help="such as `champion`")],
    force: Annotated[
        bool, typer.Option("--force", help="even if the run's goal is not met; that is kept")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="kept with who and when")] = "",
    json: AsJson = False,
) -> None:
    """Gives an alias in the model registry to the model of a run."""
    from automl.commands import registry
    from automl.commands.terminal import out, out_json

    made = registry.promote(run, alias, reason=reason, force=force)
    out_json(vars(made)) if json else out(*registry.promotion_lines(made))
