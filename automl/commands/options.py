"""Arguments and options that several verbs share; cheap to import, since `--help` does."""

from pathlib import Path
from typing import Annotated, Literal

import typer

TaskName = Literal["classification", "segmentation", "detection"]
LIKELIEST = "task, if the data fit several; default: the likeliest"
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="recipe file (YAML)")]
MaybeRecipe = Annotated[Path | None, typer.Argument(metavar="RECIPE", help="recipe file (YAML)")]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="run id, unique prefix, folder, or `latest`")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="overrides the recipe; repeatable"),
]
Params = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML file whose `set:` mapping overrides the recipe"),
]
RunFolder = Annotated[
    Path | None, typer.Option("--run-dir", metavar="DIR", help="folder of the run")
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda:0, mps; default: the best available")
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="quick test of every stage: a few small images, 2 epochs")
]
AsJson = Annotated[bool, typer.Option("--json", help="prints one JSON document")]
