"""An alias for a run's model: the gate, what is kept, and what plain MLflow makes of it."""

import base64
import json
from pathlib import Path

import pytest
import yaml

from automl import pipeline
from automl.errors import GateError, UsageError
from automl.recipe.schema import Recipe
from automl.record import mlflow_delivery
from automl.record.journal import Journal
from automl.record.mlflow_promote import promote
from automl.record.mlflow_store import record
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.record.conftest import make_plan, write_bundle
from tests.record.loading import predict_elsewhere
from tests.record.test_mlflow_store import client


@pytest.fixture
def bundled(run):
    write_bundle(run.model, run.id)
    return run


@pytest.fixture
def recorded(store, bundled, recipe):
    """A run whose model is in the registry."""
    made, _, _ = record(bundled, mlflow_delivery.store_of(bundled, recipe))
    bundled.record.write_text(json.dumps({"mlflow": vars(made), "dvc": None}))
    return bundled


def set_goal(run, at_least: float) -> None:
    goal = {"metric": "accuracy", "at_least": at_least}
    run.plan.write_text(yaml.safe_dump(make_plan(goal=goal).model_dump(mode="json")))


def test_promote__plain_mlflow_loads_the_champion_and_predicts(store, recorded, recipe, tmp_path):
    set_goal(recorded, 0.75)
    url = "from https://me:hunter2@mail.example"
    made = promote(recorded, recipe, "champion", reason=url, force=False)

    assert (made.uri, made.version) == ("models:/automl-tiny@champion", "1")
    tags = client(store).get_model_version("automl-tiny", "1").tags
    assert tags["automl.champion.goal"] == "accuracy at least 0.75"
    assert tags["automl.champion.value"] == "0.8"
    assert tags["automl.champion.forced"] == "false"
    assert tags["automl.champion.reason"] == "from https://mail.example"
    assert "@" in tags["automl.champion.by"]
    assert tags["automl.champion.at"].startswith("20")
    kept = [json.loads(line) for line in recorded.promotions.read_text().splitlines()]
    assert kept == [vars(made)]
    image = Path("data/pets/cat/0.png").absolute()
    encoded = base64.b64encode(image.read_bytes()).decode()
    told = predict_elsewhere(store, made.uri, [str(image), encoded], tmp_path)
    assert told["answers"][0] == told["answers"][1]
    assert told["answers"][0]["label"] in {"cat", "dog"}


def test_promote__a_goal_that_is_not_met_needs_force(store, recorded, recipe):
    set_goal(recorded, 0.9)
    with pytest.raises(GateError, match="0.8000, the goal is 0.9") as caught:
        promote(recorded, recipe, "champion", reason="", force=False)
    assert "--force" in caught.value.faults[0].hint
    assert not client(store).get_registered_model("automl-tiny").aliases
    assert not recorded.promotions.exists()

    made = promote(recorded, recipe, "champion", reason="a demo", force=True)
    assert made.forced
    assert made.value == 0.8
    holder = client(store).get_model_version_by_alias("automl-tiny", "champion")
    assert (str(holder.version), holder.tags["automl.champion.forced"]) == ("1", "true")


def test_promote__force_without_need_is_not_kept_as_forced(recorded, recipe):
    assert not promote(recorded, recipe, "shadow", reason="", force=True).forced


@pytest.mark.parametrize("alias", ["latest", "v1", "a b", "", "../x"])
def test_promote__names_that_no_alias_can_have(bundled, recipe, alias):
    with pytest.raises(UsageError, match="cannot be an alias"):
        promote(bundled, recipe, alias, reason="", force=False)


def test_promote__a_run_that_is_not_recorded_says_how(bundled, recipe):
    with pytest.raises(UsageError, match="not in the registry yet") as caught:
        promote(bundled, recipe, "champion", reason="", force=False)
    assert f"automl sync {bundled.id}" in caught.value.faults[0].hint
    track = recipe.track.model_copy(update={"mlflow": "off"})
    with pytest.raises(UsageError, match="not in MLflow"):
        promote(bundled, recipe.model_copy(update={"track": track}), "x", reason="", force=False)


def test_promote__other_weights_than_those_recorded(recorded, recipe):
    described = json.loads((recorded.model / "model.json").read_text())
    described["weights"]["sha256"] = "0" * 64
    (recorded.model / "model.json").write_text(json.dumps(described))
    with pytest.raises(UsageError, match="trained again"):
        promote(recorded, recipe, "champion", reason="", force=False)


def test_promote__says_whose_place_it_takes(store, recorded, recipe):
    assert promote(recorded, recipe, "champion", reason="", force=False).before == ""
    reader = client(store)
    extra = reader.create_model_version("automl-tiny", source="models:/automl-tiny/1")
    reader.set_registered_model_alias("automl-tiny", "champion", extra.version)
    assert promote(recorded, recipe, "champion", reason="", force=False).before == "2"


@pytest.fixture
def yolo_run(workspace):
    """Trained for one epoch on a few toy images by Ultralytics' own trainer."""
    from automl.engines import yolo
    from tests.engines.toy import draw_set, yolo_plan

    dataset, plan = draw_set("detection", workspace / "toy", train=8, val=4), yolo_plan()
    run = RunDir(workspace / "runs" / "toy-20260102-030405")
    run.root.mkdir(parents=True)
    yolo.train(plan, dataset, run, lambda epoch: 0.1 * len(list(epoch.predictions)), lambda *_: 0)
    plan.write(run.plan)
    dataset.write(run.dataset)
    run.metrics.write_text(json.dumps({"primary": "map", "map": 0.5, "split": "val"}))
    log = Journal(run.journal)
    log.write("start")
    log.write("epoch", epoch=1, total=1, losses={}, metrics={"map": 0.5})
    log.write("trained", best_epoch=1, epochs=1)
    return run


@pytest.mark.slow
def test_promote__a_yolo_bundle(store, yolo_run, workspace, tmp_path):
    recipe = Recipe.model_validate({"task": "detection", "data": {"path": str(workspace / "toy")}})
    made, _, _ = record(yolo_run, mlflow_delivery.store_of(yolo_run, recipe))
    yolo_run.record.write_text(json.dumps({"mlflow": vars(made), "dvc": None}))
    champion = promote(yolo_run, recipe, "champion", reason="", force=False)

    images = [workspace / "toy" / name for name in ("000.png", "001.png")]
    told = predict_elsewhere(store, champion.uri, list(map(str, images)), tmp_path, least=0.0)
    answers = pipeline.predict(yolo_run.model, images, Silent(), device="cpu", unread=[])
    found = [prediction for _, prediction in answers]
    assert sum(len(p.confidences) for p in found) > 0
    for answer, here in zip(told["answers"], found, strict=True):
        assert [o["confidence"] for o in answer["objects"]] == pytest.approx(
            here.confidences.tolist(), abs=1e-4
        )
