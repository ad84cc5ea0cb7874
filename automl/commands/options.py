"""Arguments and options that several verbs share; cheap to import, since `--help` does."""

from pathlib import Path
from typing import Annotated, Literal

import typer

TaskName = Literal["classification", "segmentation", "detection"]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="recipe file (YAML)")]
MaybeRecipe = Annotated[Path | None, typer.Argument(metavar="RECIPE", help="recipe file (YAML)")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="id, its beginning, folder, `latest`")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="wins over the recipe; repeatable"),
]
Params = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML file whose `set:` mapping lies over the recipe"),
]
RunFolder = Annotated[
    Path | None, typer.Option("--run-dir", metavar="DIR", help="folder of the run")
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda:0, mps; left out: the best there is")
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="few images, small, one or two epochs: does it all work?")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
