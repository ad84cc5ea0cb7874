"""A bundle in, the folder of an MLflow model out: the format that MLflow documents, written here.

MLflow's own writer has to import tables, arrays and this package to say what is known already.
Nothing is copied: files are links, for MLflow copies them to where they stay.
"""

import json
import os
import platform
import shutil
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from automl.run_dir import RunDir

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

GREY = (
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAWElEQVRIDbXBAQEAAAABIJ433QpV5KnIU5GnIk9Fnoo8"
    "FXkq8lTkqchTkaciT0WeijwVeSryVOSpyFORpyJPRZ6KPBV5KvJU5KnIU5GnIk9Fnoo8FXkq8jSdxDAhMmaq4gAAAABJ"
    "RU5ErkJggg=="
)
"""A PNG of 32x32 grey pixels as base64, which shows with the model what it takes."""

CODE = "mlflow_model.py"
SIGNATURE = {
    "inputs": [{"type": "string", "name": "image", "required": True}],
    "outputs": [{"type": "any", "name": "prediction", "required": True}],
    "params": [{"name": "least", "default": 0.3, "shape": None, "type": "double"}],
}


def write(folder: Path, run: RunDir, *, run_id: str, model_id: str, place: str) -> None:
    """Writes how this package's code and the bundle are called, and links both."""
    package = Path(__file__).parents[1]
    linked(package, folder / "code" / package.name)
    linked(run.model, folder / "artifacts" / run.model.name)
    (folder / CODE).symlink_to(Path(__file__).with_name(CODE))
    for name, text in _descriptions(run).items():
        (folder / name).write_text(text, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    (folder / "MLmodel").write_text(
        yaml.safe_dump(
            {
                "artifact_path": place,
                "flavors": {"python_function": _flavour(run)},
                "is_signature_from_type_hint": False,
                "mlflow_version": metadata.version("mlflow"),
                "model_id": model_id,
                "model_size_bytes": size,
                "model_uuid": model_id,
                "prompts": None,
                "run_id": run_id,
                "saved_input_example_info": {
                    "artifact_path": "input_example.json",
                    "pandas_orient": "split",
                    "serving_input_path": "serving_input_example.json",
                    "type": "dataframe",
                },
                "signature": {key: json.dumps(value) for key, value in SIGNATURE.items()},
                "type_hint_from_example": False,
                "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
            }
        ),
        encoding="utf-8",
    )


def linked(source: Path, target: Path) -> None:
    """The same tree of links to the files, without byte code."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source.absolute(), target, copy_function=os.symlink, ignore=ignored)


def _flavour(run: RunDir) -> dict[str, Any]:
    bundle = {"path": f"artifacts/{run.model.name}", "uri": run.model.absolute().as_uri()}
    return {
        "artifacts": {"bundle": bundle},
        "code": "code",
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.pyfunc.loaders.code_model",
        "model_code_path": CODE,
        "python_version": platform.python_version(),
        "streamable": False,
    }


def _descriptions(run: RunDir) -> dict[str, str]:
    """What the model needs, for each of the tools that MLflow may install it with; an example."""
    needs, python = _requirements(run), platform.python_version()
    table = {"columns": ["image"], "data": [[GREY]]}
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": needs}],
        "name": "mlflow-env",
    }
    tools = {"python": python, "build_dependencies": ["pip", "setuptools", "wheel"]}
    return {
        "conda.yaml": yaml.safe_dump(conda),
        "python_env.yaml": yaml.safe_dump({**tools, "dependencies": ["-r requirements.txt"]}),
        "requirements.txt": "\n".join(needs),
        "input_example.json": json.dumps(table),
        "serving_input_example.json": json.dumps({"dataframe_split": table}),
    }


def _requirements(run: RunDir) -> list[str]:
    names = list(NEEDS)
    if '"engine": "yolo"' in (run.model / "model.json").read_text(encoding="utf-8"):
        names.append("ultralytics-opencv-headless")
    return [f"{name}=={metadata.version(name)}" for name in names]
