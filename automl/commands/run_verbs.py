"""The verbs that look after finished runs; `cli.py` has those that make them."""

from typing import Annotated, Literal

import typer

from automl.commands.options import AsJson, RunFolder, RunName, TaskName

verbs = typer.Typer()


@verbs.command()
def runs(
    task: Annotated[TaskName | None, typer.Option(help="only this task")] = None,
    model: Annotated[str, typer.Option(metavar="TEXT", help="part of the model's name")] = "",
    state: Annotated[
        Literal["prepared", "planned", "training", "trained", "scored", "finished", "damaged"]
        | None,
        typer.Option(help="only runs in this state"),
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="TEXT", help="part of the recipe's name or the run's id")
    ] = "",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="started since: 12h, 7d, 2w, 2026-01-31")
    ] = "",
    best: Annotated[int, typer.Option(metavar="N", min=0, help="the N best runs of each task")] = 0,
    sort: Annotated[
        Literal["started", "score", "seconds", "id", "model"], typer.Option(help="sort order")
    ] = "started",
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="at most N lines; 0: all")] = 0,
    json: AsJson = False,
) -> None:
    """Lists the runs in this workspace, newest first."""
    from automl.commands import run_list
    from automl.commands.terminal import out, out_json

    query = run_list.query(
        task=task, model=model, state=state, recipe=recipe, since=since, best=best, sort=sort,
        limit=limit,
    )  # fmt: skip
    out_json(run_list.facts(query)) if json else out(*run_list.lines(query))


@verbs.command()
def show(run: RunName = "latest", json: AsJson = False) -> None:
    """Shows a run: data, model, scores, provenance, records."""
    from automl.commands import workspace
    from automl.commands.summary import run_facts, run_lines
    from automl.commands.terminal import out, out_json

    facts = run_facts(workspace.find(run))
    out_json(facts) if json else out(*run_lines(facts))


@verbs.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a run")],
    b: Annotated[str, typer.Argument(metavar="B", help="another run")],
    json: AsJson = False,
) -> None:
    """Shows how two runs differ, and their scores side by side."""
    from automl.commands import workspace
    from automl.commands.comparison import comparison_facts, comparison_lines
    from automl.commands.terminal import out, out_json
    from automl.record.compare import compare as compared

    found = compared(workspace.find(a), workspace.find(b))
    out_json(comparison_facts(found)) if json else out(*comparison_lines(found))


@verbs.command()
def reproduce(
    run: RunName,
    run_dir: RunFolder = None,
    here: Annotated[
        bool, typer.Option("--here", help="uses the current code instead of the code of that run")
    ] = False,
    json: AsJson = False,
) -> None:
    """Repeats a run and says whether the result is the same."""
    from automl.commands import reproduce_output
    from automl.commands.terminal import out, out_json

    answer = reproduce_output.again(run, run_dir, here=here)
    out_json(answer.facts()) if json else out(*reproduce_output.lines(answer))
    reproduce_output.raise_failures(answer)


@verbs.command()
def gc(
    keep: Annotated[int, typer.Option(metavar="N", min=0, help="keeps the N newest runs")] = 3,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="unfinished runs older than this: 12h, 30d")
    ] = "30d",
    tracked: Annotated[
        bool, typer.Option("--tracked", help="also runs with files tracked by DVC")
    ] = False,
    really: Annotated[
        bool, typer.Option("--really", help="deletes; without it nothing is changed")
    ] = False,
    json: AsJson = False,
) -> None:
    """Lists what can be deleted; deletes it only with --really."""
    from automl.commands import garbage_output
    from automl.commands.terminal import out, out_json

    answer = garbage_output.collect_garbage(
        keep=keep, older_than=older_than, tracked=tracked, really=really
    )
    out_json(answer.facts()) if json else out(*answer.lines())


@verbs.command()
def sync(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="default: every run not fully sent")
    ] = None,
    json: AsJson = False,
) -> None:
    """Sends to MLflow what an outage or an interruption held back."""
    from automl.commands import registry_output
    from automl.commands.terminal import out, out_json

    done = registry_output.sync(run)
    out_json(registry_output.sync_facts(done)) if json else out(*registry_output.sync_lines(done))
    registry_output.raise_failures(done)


@verbs.command()
def promote(
    run: RunName,
    alias: Annotated[str, typer.Option("--as", metavar="ALIAS", help="such as `champion`")],
    force: Annotated[
        bool, typer.Option("--force", help="even if the goal is not met; this is recorded")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="recorded with user and time")] = "",
    json: AsJson = False,
) -> None:
    """Gives the model of a run an alias in the model registry."""
    from automl.commands import registry_output
    from automl.commands.terminal import out, out_json

    made = registry_output.promote(run, alias, reason=reason, force=force)
    out_json(vars(made)) if json else out(*registry_output.promotion_lines(made))
