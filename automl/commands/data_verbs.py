"""The verbs that look at data and rewrite it; no model takes part in them."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from automl.commands.options import LIKELIEST, AsJson, TaskName

verbs = typer.Typer()


@verbs.command()
def init(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="folder or file of a data set")],
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="default: name of DATA + .yaml")
    ] = None,
    task: Annotated[TaskName | None, typer.Option(help=LIKELIEST)] = None,
) -> None:
    """Detects format and task of a data set; writes a recipe."""
    from automl.commands.init_recipe import write_starter
    from automl.commands.terminal import out, talk

    written = write_starter(data, out_file, talk(), task)
    out(str(written))


@verbs.command()
def convert(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="data set, archive, or a recipe")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder")],
    to: Annotated[
        Literal["coco", "yolo", "voc", "csv", "folders", "masks"],
        typer.Option(help="coco, yolo, voc, csv, folders, masks"),
    ],
    task: Annotated[TaskName | None, typer.Option(help=LIKELIEST)] = None,
    link: Annotated[bool, typer.Option("--link", help="links images instead of copying")] = False,
    json: AsJson = False,
) -> None:
    """Converts a data set to another standard layout."""
    from automl.commands.terminal import out as show
    from automl.commands.terminal import out_json, talk
    from automl.data.convert import convert as write

    dataset, lost, findings = write(data, out, to, talk(), task=task, link=link)
    facts = {"out": str(out), "task": dataset.task, "images": dataset.counts(), "notes": lost}
    if json:
        out_json(facts | {"classes": dataset.names, "findings": len(findings)})
        return
    counts = ", ".join(f"{n} {split}" for split, n in dataset.counts().items())
    told = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    talk().say(f"read: {dataset.format}, {dataset.task}, {counts} images; {told}")
    for note in lost:
        talk().say(f"note: {note}")
    show(str(out))


@verbs.command()
def check(
    data: Annotated[
        Path, typer.Argument(metavar="RECIPE|DATA", help="a recipe, a data set or an archive")
    ],
    task: Annotated[TaskName | None, typer.Option(help=LIKELIEST)] = None,
    fix: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="writes a cleaned index of the data into a new folder"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Lists every problem of a data set, with the fix."""
    from automl.commands import check_output
    from automl.commands.terminal import out, out_json, talk
    from automl.data.check import check as examine
    from automl.errors import GateError

    found = examine(data, talk(), task=task, fix=fix)
    out_json(check_output.facts(found)) if json else out(*check_output.lines(found))
    if found.fatal:
        hint = check_output.hint(found, shlex.quote(str(data)), fixed=fix is not None)
        message = check_output.many(found.fatal, "fatal finding")
        raise GateError(message, where=str(data), hint=hint)


@verbs.command()
def sample(
    name: Annotated[
        Literal["digits-classification", "digits-detection", "digits-segmentation"],
        typer.Argument(metavar="NAME", help="digits-classification, -detection, -segmentation"),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")],
    images: Annotated[
        int | None, typer.Option(metavar="N", min=10, help="number of images")
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="PX", min=8, help="side of an image in pixels")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed gives another set")] = 0,
) -> None:
    """Writes a built-in sample data set of handwritten digits."""
    from automl.commands.terminal import out
    from automl.data.samples import write_sample

    write_sample(name, folder, images=images, size=size, seed=seed)
    out(str(folder))
