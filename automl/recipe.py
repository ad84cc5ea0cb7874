"""The recipe: what the user wrote. Loading it finds every fault at once, each with its place."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from automl.dataset import Task
from automl.plan import Goal, Share, Strict, Train

Policy = Literal["auto", "none", "light", "medium", "heavy"]
Format = Literal["auto", "folders", "csv", "coco", "yolo", "voc", "masks"]

TrainSettings = create_model(
    "TrainSettings",
    __base__=Strict,
    **{  # type: ignore[call-overload]
        name: (field.rebuild_annotation() | None, Field(None, description=field.description))
        for name, field in Train.model_fields.items()
    },
)


class Split(Strict):
    """Shares of the images that are drawn for splits the set does not bring."""

    val: Annotated[Share, Field(description="share of images drawn for validation")] = 0.2
    test: Annotated[Share, Field(description="share of images drawn for the final test")] = 0.0


class Data(Strict):
    """Where the data is and how to read it."""

    path: Annotated[str, Field(description="folder or file, relative to the recipe")]
    format: Annotated[Format, Field(description="layout of the set")] = "auto"
    classes: Annotated[
        list[str] | dict[int, str] | None,
        Field(description="class names in the order of their ids, or a map from id to name"),
    ] = None
    ignore: Annotated[list[int], Field(description="mask ids that mean: no label")] = [255]
    split: Annotated[Split, Field(description="shares drawn where the set brings no split")] = (
        Split()
    )


class Track(Strict):
    """Where a run is recorded."""

    mlflow: Annotated[
        str,
        Field(
            description="tracking URI; `auto` is MLFLOW_TRACKING_URI or mlflow.db in the workspace; `off`"
        ),
    ] = "auto"
    dvc: Annotated[
        Literal["auto", "off"],
        Field(description="`auto` tracks data and model in a Git + DVC workspace"),
    ] = "auto"
    experiment: Annotated[str, Field(description="MLflow experiment and registered model")] = (
        "automl"
    )


class Recipe(Strict):
    """A task, its data, and whatever the user does not want to leave open."""

    task: Annotated[Task, Field(description="what is learnt")]
    data: Annotated[Data, Field(description="a path, or the mapping below")]
    model: Annotated[str, Field(description="`auto` or a name from `automl models`")] = "auto"
    weights: Annotated[
        Literal["auto", "pretrained", "none"],
        Field(description="`auto` prefers pretrained ones at hand; `none` trains from scratch"),
    ] = "auto"
    effort: Annotated[
        Literal["quick", "standard", "thorough"], Field(description="the one dial")
    ] = "standard"
    budget: Annotated[str | None, Field(description="longest training time: 90s, 10m, 2h")] = None
    licence: Annotated[
        Literal["any", "permissive"],
        Field(description="which models `auto` may choose and `model` may name"),
    ] = "permissive"
    augment: Annotated[
        Policy | list[dict[str, dict[str, Any]]],
        Field(description="a policy, or a list of Albumentations transforms"),
    ] = "auto"
    train: Annotated[TrainSettings, Field(description="any key of the plan's train section")] = (
        TrainSettings()
    )  # type: ignore[valid-type]
    goal: Annotated[Goal | None, Field(description="gate on a metric of the judged split")] = None
    track: Annotated[Track, Field(description="where the run is recorded")] = Track()
