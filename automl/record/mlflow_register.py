"""A bundle in, a version of a registered MLflow model out: models from code, nothing pickled."""

import base64
import re
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.record.mlflow_facts import Facts
from automl.run_dir import RunDir

if TYPE_CHECKING:
    from mlflow import MlflowClient

NEEDS = (
    "albumentations",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "segmentation-models-pytorch",
    "timm",
    "torch",
    "torchvision",
)
"""What the model's code imports; written into the model in the versions that made it."""


def register(
    client: "MlflowClient", experiment_id: str, run_id: str, run: RunDir, facts: Facts, name: str
) -> str:
    """The version of `name` that holds this run's weights; a new one where there is none yet."""
    known = _versions(client, run_id, facts, name)
    if known:
        return known[0]
    model_id = _log(client, experiment_id, run_id, run, facts)
    _ensure_registered(client, name, facts)
    client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=run_id,
        tags=_tags(facts),
        description=f"{facts.tags['automl.model']} from run {facts.name}",
        model_id=model_id,
    )
    first, *extra = _versions(client, run_id, facts, name)
    for version in extra:  # of a delivery that was killed while a slow server made it
        client.delete_model_version(name, version)
    return first


def _versions(client: "MlflowClient", run_id: str, facts: Facts, name: str) -> list[str]:
    """The versions that hold these weights of this training, the first one first."""
    weights = facts.tags.get("automl.weights_sha256", "")
    found = [
        int(version.version)
        for version in client.search_model_versions(f"run_id = '{run_id}'")
        if version.name == name and version.tags.get("automl.weights_sha256") == weights
    ]
    return [str(version) for version in sorted(found)]


def model_name(experiment: str, recipe: str) -> str:
    """The name in the registry; MLflow forbids `/` and `:`."""
    return re.sub(r"[/:\s]+", "-", f"{experiment}-{recipe}")


def _log(client: "MlflowClient", experiment_id: str, run_id: str, run: RunDir, facts: Facts) -> str:
    """Uploads the model and ties it to the run; goes on with what a killed delivery began."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    weights = facts.tags.get("automl.weights_sha256", "")
    begun = [
        model
        for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
        if model.tags.get("automl.weights_sha256") == weights
    ]
    logged = begun[0] if begun else _begin(client, experiment_id, run_id, facts)
    if logged.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            _save(folder, run, run_id, logged)
            client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    outputs = client.get_run(run_id).outputs
    tied = {out.model_id for out in outputs.model_outputs} if outputs else set()
    if logged.model_id not in tied:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _begin(client: "MlflowClient", experiment_id: str, run_id: str, facts: Facts) -> Any:
    return client.create_logged_model(
        experiment_id,
        name="model",
        source_run_id=run_id,
        tags=_tags(facts),
        params=facts.parameters,
        model_type=facts.task,
    )


def _save(folder: Path, run: RunDir, run_id: str, logged: Any) -> None:
    """Writes the model folder: this package's code, the bundle, and how the two are called."""
    from mlflow import pyfunc
    from mlflow.models import Model

    here = Path(__file__)
    pyfunc.save_model(
        path=str(folder),
        python_model=str(here.with_name("mlflow_model.py")),
        artifacts={"bundle": run.model.absolute().as_uri()},
        code_paths=[str(here.parents[1])],
        signature=_signature(),
        input_example=_example(),
        pip_requirements=_requirements(run),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        ),
    )
    for cache in sorted(folder.rglob("__pycache__")):
        for file in cache.iterdir():
            file.unlink()
        cache.rmdir()


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]),
        outputs=Schema([ColSpec(AnyType(), "prediction")]),
        params=ParamSchema([ParamSpec("min_confidence", DataType.double, 0.3)]),
    )


def _example() -> Any:
    """What the model takes, shown with the model: an image as base64 text needs no file."""
    import cv2
    import numpy as np
    import pandas  # type: ignore[import-untyped]

    grey = np.full((32, 32, 3), 128, np.uint8)
    text = base64.b64encode(cv2.imencode(".png", grey)[1].tobytes()).decode()
    return pandas.DataFrame({"image": [text]})


def _requirements(run: RunDir) -> list[str]:
    names = list(NEEDS)
    if '"engine": "yolo"' in (run.model / "model.json").read_text(encoding="utf-8"):
        names.append("ultralytics-opencv-headless")
    # Without the label of a build, such as `+cu128`: no index knows it that a server installs from.
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


def _tags(facts: Facts) -> dict[str, str]:
    """What names the model; the whole origin is with the run."""
    return {key: v for key, v in facts.tags.items() if key.startswith(("automl.", "dvc."))}


def _ensure_registered(client: "MlflowClient", name: str, facts: Facts) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            name, tags={"automl.task": facts.task, "automl.recipe": facts.recipe}
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
