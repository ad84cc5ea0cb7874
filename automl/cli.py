"""The command line: each verb parses, calls one function and shows what it gave back.

Nothing heavy is imported before a verb runs: each body begins with its own imports.
"""

import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from automl import __version__
from automl.commands.data_verbs import verbs as work_on_data
from automl.commands.options import (
    AsJson,
    Device,
    MaybeRecipe,
    Params,
    RecipePath,
    RunFolder,
    RunName,
    Sets,
    Smoke,
    TaskName,
)
from automl.commands.run_verbs import verbs as record_of_runs
from automl.commands.setup_verbs import verbs as set_up

app = typer.Typer(
    name="automl",
    help="From one recipe to a trained, versioned classifier, segmenter or detector.",
    epilog="A RUN is a run id, a unique prefix of one, a run folder, or `latest`.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"automl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """From one recipe to a trained, versioned classifier, segmenter or detector."""


@app.command()
def run(
    recipe: MaybeRecipe = None,
    set_: Sets = None,
    params: Params = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="longest time of the whole run: 90s, 10m, 1h30m"),
    ] = None,
    smoke: Smoke = False,
    device: Device = None,
    run_dir: RunFolder = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="continues a run that was stopped")
    ] = None,
    json: AsJson = False,
) -> None:
    """All stages: prepare, plan, train, evaluate, report, record."""
    from automl.commands import workspace
    from automl.commands.terminal import out, out_json, talk

    sets = [*(set_ or []), *([f"budget={budget}"] if budget else [])]
    loaded, folder = workspace.begin(recipe, sets, params, resume=resume, run_dir=run_dir)
    from automl import pipeline  # a recipe's fault is told without it
    from automl.clock import process_age
    from automl.commands.summary import finished_lines, run_facts

    workspace.refuse_other_plan(folder, smoke=smoke, device=device, resumed=resume is not None)
    new = run_dir is None and resume is None
    with workspace.running(folder, new=new, smoke=smoke, device=device):
        workspace.keep(loaded, folder)
        finished = pipeline.run(
            loaded, folder, talk(), device=device, smoke=smoke, age=process_age()
        )
    if finished.scores is None:
        return
    facts = run_facts(folder)
    out_json(facts) if json else out(*finished_lines(facts))
    pipeline.check_goal(folder, talk())


@app.command()
def prepare(
    recipe: RecipePath,
    set_: Sets = None,
    params: Params = None,
    smoke: Smoke = False,
    run_dir: RunFolder = None,
) -> None:
    """Reads and checks the data; writes its index and profile."""
    from automl import pipeline
    from automl.commands import workspace
    from automl.commands.run_lock import working
    from automl.commands.terminal import out, talk

    loaded, folder = workspace.begin(recipe, set_ or [], params, run_dir=run_dir, again=True)
    with working(folder):
        pipeline.prepare(loaded, folder, talk(), smoke=smoke)
    out(str(workspace.shown(folder.root)))


@app.command()
def plan(
    recipe: RecipePath,
    set_: Sets = None,
    params: Params = None,
    smoke: Smoke = False,
    device: Device = None,
    run_dir: RunFolder = None,
    show_augmented: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="draws N augmented training images into one picture"),
    ] = 0,
    augmented: Annotated[
        Path, typer.Option(metavar="FILE", help="picture written by --show-augmented")
    ] = Path("augmented.png"),
    json: AsJson = False,
) -> None:
    """Shows every choice with its reason; trains nothing."""
    from automl import pipeline
    from automl.commands import workspace
    from automl.commands.summary import plan_lines, plan_notes
    from automl.commands.terminal import out, out_json, talk

    loaded = workspace.load(recipe, set_ or [], params)
    with workspace.planning(run_dir, loaded) as folder:
        if not folder.dataset.is_file():
            pipeline.prepare(loaded, folder, talk(), smoke=smoke)
        made = pipeline.plan(loaded, folder, talk(), device=device, smoke=smoke)
        if show_augmented:
            talk().say(f"drawn: {pipeline.show_augmented(folder, show_augmented, augmented)}")
    out_json(made.model_dump(mode="json")) if json else out(
        *plan_lines(made), "", *plan_notes(made)
    )


@app.command()
def train(run: RunName = "latest") -> None:
    """Trains the planned model; continues where it was stopped."""
    from automl import pipeline
    from automl.commands import workspace
    from automl.commands.run_lock import working
    from automl.commands.terminal import out, talk

    folder = workspace.find(run)
    with working(folder, lambda: f"automl train {workspace.name(folder)}"):
        trained = pipeline.train(folder, talk())
    if trained is not None:
        out(str(workspace.shown(trained.bundle)))


@app.command()
def evaluate(
    run: RunName = "latest",
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="scores the model on this other data; the run stays"),
    ] = None,
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option(help="part of --data; default: its test split, or val, or else all"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="how to read --data; repeatable"),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="scores, predictions and a page of --data"),
    ] = None,
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Scores the model on its test split, or val, or other data."""
    from automl import pipeline
    from automl.commands import other_data, workspace
    from automl.commands.run_lock import working
    from automl.commands.summary import run_facts, score_lines
    from automl.commands.terminal import out, out_json, talk

    if data is not None:
        facts = other_data.scored(workspace.bundle(run), data, set_ or [], split, out_dir, device)
    else:
        other_data.refuse_options(split=split, set=set_, out=out_dir, device=device)
        folder = workspace.find(run)
        with working(folder):
            pipeline.evaluate(folder, talk())
        facts = run_facts(folder)
    scores, intervals = facts["scores"], facts["intervals"]
    out_json(scores | {"intervals": intervals}) if json else out(*score_lines(scores, intervals))
    if data is None:
        pipeline.check_goal(folder, talk())


@app.command()
def report(run: RunName = "latest") -> None:
    """Writes report.html: scores, examples, data and provenance."""
    from automl import pipeline
    from automl.commands import workspace
    from automl.commands.run_lock import working
    from automl.commands.terminal import out, talk

    folder = workspace.find(run)
    with working(folder):
        page = pipeline.report(folder, talk())
    out(str(workspace.shown(page)))


@app.command()
def record(run: RunName = "latest") -> None:
    """Records a run in MLflow and DVC; repeating it changes nothing."""
    from automl import pipeline
    from automl.commands import workspace
    from automl.commands.run_lock import working
    from automl.commands.summary import record_lines, run_facts
    from automl.commands.terminal import out, talk

    folder = workspace.find(run)
    with working(folder):
        pipeline.record(folder, talk())
    out(*record_lines(run_facts(folder)))


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="RUN", help="a run, or a model folder")],
    images: Annotated[list[Path], typer.Argument(metavar="PATH...", help="images or folders")],
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="output folder; default: stdout")
    ] = None,
    format: Annotated[  # noqa: A002  the option's name
        Literal["jsonl", "coco", "masks"] | None,
        typer.Option(help="default: masks for segmentation with --out, else jsonl"),
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="also draws each prediction into --out")
    ] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="boxes below it are left out")
    ] = 0.3,
    device: Device = None,
) -> None:
    """Predicts images with a trained model, without data or recipe."""
    from automl import pipeline
    from automl.commands import predict_output, workspace
    from automl.commands.terminal import out, talk
    from automl.errors import DataError, Fault

    folder = workspace.bundle(model)
    sink = predict_output.choose(
        folder, images, format=format, out=out_dir, draw=draw, min_confidence=min_confidence
    )
    unread: list[Fault] = []
    found = pipeline.predict(folder, sink.paths, talk(), device=device, unread=unread)
    for line in sink.lines(found):
        out(line)
    if unread:
        raise DataError("images that cannot be read", faults=unread)


@app.command()
def models(
    task: Annotated[TaskName | None, typer.Option(help="only this task")] = None,
    fetch: Annotated[
        str | None, typer.Option(metavar="NAME", help="downloads the pretrained weights of NAME")
    ] = None,
    json: AsJson = False,
) -> None:
    """Lists the models: size, licence, availability of weights."""
    from automl.commands import model_list
    from automl.commands.terminal import out, out_json

    if fetch is not None:
        out(model_list.fetch(fetch, task))
    elif json:
        out_json(model_list.rows(task))
    else:
        out(*model_list.lines(task))


app.add_typer(set_up)
app.add_typer(work_on_data)
app.add_typer(record_of_runs)


def main() -> None:
    """The entry point: exit codes and messages for whatever a verb raises."""
    if "_AUTOML_COMPLETE" in os.environ:
        from automl.commands.completion import answer

        return answer(app)
    from automl.commands.exit_codes import exit_code
    from automl.signals import leave_to_the_system

    code = exit_code(app)
    leave_to_the_system()
    if "triton" not in sys.modules:  # its binding would count what stays as leaks, line by line
        gc.freeze()  # what is left goes with the process; a look through it is a tenth of `--help`
    raise SystemExit(code)
