"""Where pretrained weights come from. Plain, so that listing models costs no pydantic."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Weights:
    """One set of weights.

    `source`: `package` (installed Python package), `store` (folder `AUTOML_WEIGHTS`), `hub` (the
    library downloads them), `none` (from scratch). `name` is a package, file or hub id.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  read by pydantic in a plan

    source: Literal["package", "store", "hub", "none"]
    name: str = ""
    sha256: str = ""
    covers: Literal["backbone", "all", "nothing"] = "backbone"
