"""The folder of an MLflow model as it is written here, read by MLflow's own code."""

import base64
import json

import cv2
import numpy as np

from automl.record import mlflow_folder
from tests.record.conftest import write_bundle


def test_write__is_what_mlflow_reads(run, tmp_path):
    from mlflow.models import Model

    write_bundle(run.model)
    folder = tmp_path / "folder"
    mlflow_folder.write(folder, run, run_id="r", model_id="m-1", place="file:///there")
    model = Model.load(folder)
    assert (model.run_id, model.model_id, model.model_uuid) == ("r", "m-1", "m-1")
    assert [(column.name, column.type.name) for column in model.signature.inputs] == [
        ("image", "string")
    ]
    assert model.signature.params.params[0].default == 0.3
    assert model.signature.outputs is not None
    example = model.load_input_example(str(folder))
    assert list(example.columns) == ["image"]
    flavour = model.flavors["python_function"]
    assert (folder / flavour["model_code_path"]).is_file()
    assert (folder / flavour["artifacts"]["bundle"]["path"] / "weights.safetensors").is_file()
    assert (folder / flavour["code"] / "automl" / "cli.py").is_file()
    assert (folder / flavour["env"]["conda"]).is_file()
    assert (folder / flavour["env"]["virtualenv"]).is_file()
    assert model.model_size_bytes > (run.model / "weights.safetensors").stat().st_size
    assert not list(folder.rglob("__pycache__"))


def test_requirements__name_the_versions_that_made_it(run, tmp_path):
    write_bundle(run.model)
    folder = tmp_path / "folder"
    mlflow_folder.write(folder, run, run_id="r", model_id="m-1", place="file:///there")
    needs = (folder / "requirements.txt").read_text().splitlines()
    assert [need.partition("==")[0] for need in needs] == list(mlflow_folder.NEEDS)
    assert json.dumps(needs)[1:-1].count("==") == len(needs)


def test_grey__is_an_image():
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(mlflow_folder.GREY), np.uint8), 1)
    assert pixels.shape == (32, 32, 3)
    assert (pixels == 128).all()
