"""The verbs that look after the installation; `cli.py` has those that make runs."""

from typing import Annotated, Literal

import typer

from automl.commands.options import AsJson

verbs = typer.Typer()


@verbs.command()
def doctor(json: AsJson = False) -> None:
    """Shows what is installed, what is missing, and how to fix it."""
    from automl.commands.doctor import examine
    from automl.commands.terminal import out, out_json

    found = examine()
    out_json(found.facts()) if json else out(*found.lines())


@verbs.command()
def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish")
    ],
) -> None:
    """Prints a shell script that completes verbs, options and runs."""
    from automl.commands.completion import script
    from automl.commands.terminal import out

    out(script(shell))
