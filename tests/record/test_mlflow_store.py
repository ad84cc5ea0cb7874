"""The record in MLflow: in an SQLite file, and by a real server process."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from automl.record import mlflow_client, mlflow_delivery, mlflow_store
from automl.record.dvc_files import DvcOut
from automl.record.dvc_workspace import DvcRecord
from automl.record.journal import Journal, milliseconds
from automl.record.mlflow_facts import read_facts
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.record.conftest import make_plan, write_bundle
from tests.record.loading import predict_elsewhere

PICKLES = re.compile(r"\.(pkl|pickle|pt|pth|joblib)$")


def client(uri):
    mlflow_client.quiet()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def recorded(run, recipe, dvc=None):
    """The work of the child, in this process."""
    if dvc is not None:
        run.record.write_text(json.dumps({"dvc": asdict(dvc)}))
    return mlflow_store.record(run, mlflow_delivery.store_of(run, recipe))[0]


def only_run(uri):
    reader = client(uri)
    experiment = reader.get_experiment_by_name("automl")
    runs = reader.search_runs([experiment.experiment_id])
    assert len(runs) == 1
    return runs[0]


def test_record__values_times_and_epochs_are_those_of_the_run(store, run, recipe):
    dvc = DvcRecord(DvcOut("data/pets", "aa.dir", "data/pets.dvc"))
    made = recorded(run, recipe, dvc)

    found = only_run(store)
    assert found.info.run_id == made.run_id
    assert found.info.run_name == run.id
    assert found.info.status == "FINISHED"
    events = [json.loads(line) for line in run.journal.read_text().splitlines()]
    moments = [milliseconds(event) for event in events]
    assert (found.info.start_time, found.info.end_time) == (moments[0], moments[-1])
    assert found.data.params["train.lr"] == "0.001"
    assert found.data.params["train.image_size"] == "[32, 32]"
    assert found.data.params["weights.source"] == "none"
    assert not any(key.startswith("reasons") for key in found.data.params)
    assert found.data.metrics["accuracy"] == 0.8
    assert found.data.metrics["macro_f1"] == 0.75
    history = client(store).get_metric_history(made.run_id, "loss/train")
    assert [(m.step, m.value, m.timestamp) for m in history] == [
        (1, 1.0, moments[1]),
        (2, 0.5, moments[2]),
    ]
    assert len(client(store).get_metric_history(made.run_id, "val/accuracy")) == 2
    tags = found.data.tags
    assert tags["automl.run"] == run.id
    assert tags["automl.recipe"] == "tiny"
    assert tags["automl.dataset_digest"] == "d" * 64
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["automl.git"] == "c0ffee+"
    assert tags["dvc.data.md5"] == "aa.dir"


def test_read_facts__a_reproduction_is_a_run_of_its_recipe(run):
    again = run.root.rename(run.root.with_name("tiny-again-20260102-040506"))
    assert read_facts(RunDir(again)).recipe == "tiny"
    by_hand = again.rename(again.with_name("mine"))
    assert read_facts(RunDir(by_hand)).recipe == "pets", "the data's name"


def test_record__dataset_and_files(store, run, recipe):
    run.plots.mkdir()
    (run.plots / "epochs.csv").write_text("epoch,loss\n")
    made = recorded(run, recipe)
    given = only_run(store).inputs.dataset_inputs
    assert len(given) == 1
    assert given[0].dataset.name == "pets"
    assert ("d" * 64).startswith(given[0].dataset.digest)
    assert json.loads(given[0].dataset.profile)["digest"] == "d" * 64
    assert json.loads(given[0].dataset.source)["uri"].endswith("/data/pets")
    assert given[0].tags[0].value == "training"
    names = {file.path for file in client(store).list_artifacts(made.run_id)}
    assert names == {
        *("plan.yaml", "recipe.yaml", "report.html", "metrics.json", "evaluation.json"),
        *("findings.json", "profile.json", "provenance.json", "journal.jsonl", "plots"),
    }
    assert made.look == f"mlflow ui --workers 1 --backend-store-uri {store}"
    assert made.model == ""
    assert Path("mlartifacts/.gitignore").read_text() == "*\n"


def test_record__a_model_of_several_labels_loaded_by_plain_mlflow(store, run, recipe, tmp_path):
    write_bundle(run.model, several_labels=True)
    made = recorded(run, recipe)
    image = str(Path("data/pets/cat/0.png").absolute())
    (answer,) = predict_elsewhere(store, f"models:/{made.model}/1", [image], tmp_path)["answers"]
    assert set(answer) == {"classes", "probabilities"}
    shares = answer["probabilities"]
    assert set(shares) == {"cat", "dog"}
    assert all(0 < share < 1 for share in shares.values())
    expected = sorted((n for n in shares if shares[n] >= 0.5), key=lambda n: -shares[n])
    assert answer["classes"] == expected


def test_record__a_model_in_a_store_that_is_not_the_default(run, recipe, template_store, tmp_path):
    write_bundle(run.model)
    elsewhere = tmp_path / "an other place"
    elsewhere.mkdir()
    shutil.copy(template_store, elsewhere / "mlflow.db")
    track = recipe.track.model_copy(update={"mlflow": f"sqlite:///{elsewhere / 'mlflow.db'}"})
    made = recorded(run, recipe.model_copy(update={"track": track}))
    assert (made.model, made.version) == ("automl-tiny", "1")
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert not (tmp_path / "an%20other%20place").exists()
    assert not Path("mlflow.db").exists()


def test_record__again_updates_and_never_doubles(store, run, recipe):
    first = recorded(run, recipe)
    run.metrics.write_text(json.dumps({"primary": "accuracy", "accuracy": 0.9, "split": "test"}))
    goal = {"metric": "accuracy", "at_least": 0.85}
    run.plan.write_text(
        yaml.safe_dump(make_plan(goal=goal, judge_on="test").model_dump(mode="json"))
    )
    second = recorded(run, recipe)

    assert second == first
    found = only_run(store)
    assert found.data.metrics["accuracy"] == 0.9
    assert found.data.params["goal.at_least"] == "0.85"
    assert found.data.params["judge_on"] == "val"
    assert found.data.tags["automl.now.judge_on"] == "test"
    assert len(client(store).get_metric_history(first.run_id, "loss/train")) == 2
    assert len(found.inputs.dataset_inputs) == 1


def test_record__another_training_in_the_same_folder_is_another_run(store, run, recipe):
    first = recorded(run, recipe)
    time.sleep(0.002)
    log = Journal(run.journal)
    log.write("start", run=run.id)
    log.write("epoch", epoch=1, total=1, losses={"train": 0.1}, metrics={"accuracy": 0.95})
    second = recorded(run, recipe)
    assert second.run_id != first.run_id
    history = client(store).get_metric_history(second.run_id, "loss/train")
    assert [point.value for point in history] == [0.1]


def test_record__no_secret_leaves_the_folder(store, run, recipe):
    text = run.dataset.read_text()
    root = json.loads(text)["root"]
    run.dataset.write_text(text.replace(root, "https://me:hunter2@host/pets"))
    run.recipe.write_text("track: {mlflow: 'https://me:hunter2@host'}\n")
    made = recorded(run, recipe)
    folder = Path(made.tracking_uri.removeprefix("sqlite:///")).parent
    files = [path for path in (*folder.rglob("mlartifacts/**/*"), folder / "mlflow.db")]
    assert len(files) > 8
    assert not [path for path in files if path.is_file() and b"hunter2" in path.read_bytes()]


def test_record__off_and_elsewhere(store, run, recipe, monkeypatch, template_store):
    track = recipe.track.model_copy(update={"mlflow": "off"})
    off = recipe.model_copy(update={"track": track})
    assert mlflow_delivery.record(run, off, None, Silent()) is None
    assert json.loads(run.record.read_text())["mlflow"] is None
    assert mlflow_client.tracking_uri("auto") == store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker")
    assert mlflow_client.tracking_uri("auto") == "http://tracker"
    assert mlflow_client.tracking_uri("sqlite:///x.db") == "sqlite:///x.db"


def test_quiet__telemetry_is_off():
    code = (
        "from automl.record import mlflow_client; mlflow_client.quiet(); import mlflow;"
        "from mlflow.telemetry.utils import is_telemetry_disabled as off; print(off())"
    )
    silent = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI", "PYTEST_CURRENT_TEST"}
    bare = {key: value for key, value in os.environ.items() if key not in silent}
    told = subprocess.run(
        [sys.executable, "-c", code], env=bare, check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == ["True"]


def test_record__by_a_server_and_its_model_predicts_in_another_process(
    server, run, recipe, tmp_path
):
    weights = write_bundle(run.model, run.id)
    track = recipe.track.model_copy(update={"mlflow": server})
    remote = recipe.model_copy(update={"track": track})
    made = recorded(run, remote)

    assert made.look == f"{server}/#/experiments/{made.experiment_id}/runs/{made.run_id}"
    assert (made.model, made.version) == ("automl-tiny", "1")
    version = client(server).get_model_version(made.model, "1")
    assert version.run_id == made.run_id
    assert version.tags["automl.weights_sha256"] == weights
    assert recorded(run, remote) == made
    assert len(client(server).search_model_versions("name = 'automl-tiny'")) == 1
    files = [path.name for path in (tmp_path / "server").rglob("*")]
    assert "weights.safetensors" in files
    assert not [name for name in files if PICKLES.search(name)]
    mlmodel = next((tmp_path / "server").rglob("MLmodel")).read_text()
    flavour = yaml.safe_load(mlmodel)["flavors"]["python_function"]
    assert flavour["model_code_path"].endswith("mlflow_model.py")
    assert "python_model" not in flavour

    image = Path("data/pets/cat/0.png").absolute()
    encoded = base64.b64encode(image.read_bytes()).decode()
    told = predict_elsewhere(server, f"models:/{made.model}/1", [str(image), encoded], tmp_path)
    assert told["answers"][0] == told["answers"][1]
    assert told["answers"][0]["label"] in {"cat", "dog"}
    assert sum(told["answers"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert "/code/automl/" in told["code"]
