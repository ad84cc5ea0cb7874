"""The stages as a library: what each needs, leaves and forgets."""

import json
from pathlib import Path

import numpy as np
import pytest

from automl import pipeline
from automl.dataset import Profile
from automl.errors import DataError, Fault, GateError, UsageError
from automl.plan import Goal, Plan
from automl.recipe.schema import load_recipe
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.engines.test_distributed import RECIPE, class_folders


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run of a tiny net on toy images that is prepared and planned."""
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    run = RunDir(tmp_path / "run")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    pipeline.prepare(recipe, run, Silent())
    pipeline.plan(recipe, run, Silent())
    return run


def test_stages__each_names_the_one_that_is_missing(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    for stage in (pipeline.train, pipeline.evaluate, pipeline.report, pipeline.record):
        with pytest.raises(UsageError, match="does not exist yet") as caught:
            stage(run, Silent())
        assert "run `automl " in caught.value.faults[0].hint


def test_train__a_changed_plan_does_not_go_on_from_old_checkpoints(started: RunDir) -> None:
    first = pipeline.train(started, Silent())
    again = pipeline.train(started, Silent())  # the same plan: nothing is left to train
    assert (first.epochs, again.epochs) == (2, 2)
    epochs = [e for e in started.journal.read_text().splitlines() if '"event": "epoch"' in e]
    assert len(epochs) == 2
    plan = Plan.read(started.plan)
    changed = plan.model_copy(update={"train": plan.train.model_copy(update={"lr": 0.01})})
    changed.write(started.plan)
    pipeline.train(started, Silent())
    epochs = [e for e in started.journal.read_text().splitlines() if '"event": "epoch"' in e]
    assert len(epochs) == 4


def test_plan_digest__ignores_what_training_does_not_depend_on(started: RunDir) -> None:
    plan = Plan.read(started.plan)
    goal = Goal(metric="accuracy", at_least=0.5)
    assert plan.model_copy(update={"goal": goal, "reasons": {}}).digest() == plan.digest()
    assert plan.model_copy(update={"model": "test_vit"}).digest() != plan.digest()


def test_line__ends_with_scores_of_the_judged_split_and_a_gate(started: RunDir) -> None:
    pipeline.train(started, Silent())
    scores = pipeline.evaluate(started, Silent())
    assert scores.split == "val"
    assert json.loads(started.metrics.read_text())["accuracy"] == scores.metrics["accuracy"]
    pipeline.check_goal(started, Silent())  # no goal, no gate
    plan = Plan.read(started.plan)
    plan.model_copy(update={"goal": Goal(metric="accuracy", at_least=1.01)}).write(started.plan)
    with pytest.raises(GateError, match=r"the goal is 1\.01"):
        pipeline.check_goal(started, Silent())
    plan.model_copy(update={"goal": Goal(metric="nonsense", at_least=0)}).write(started.plan)
    with pytest.raises(UsageError, match="was not scored"):
        pipeline.check_goal(started, Silent())


def test_check_goal__a_smoke_run_has_none_to_reach(started: RunDir) -> None:
    told: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            told.append(text)

    goal = Goal(metric="accuracy", at_least=1.0)
    smoke = {"goal": goal, "smoke": True}
    Plan.read(started.plan).model_copy(update=smoke).write(started.plan)
    started.metrics.write_text('{"accuracy": 0.1}')
    pipeline.check_goal(started, Listener())
    assert told == ["goal: not checked in a smoke run"]


def test_prepare__fatal_findings_are_all_raised_at_once(tmp_path: Path) -> None:
    class_folders(tmp_path)
    broken = sorted((tmp_path / "data" / "train" / "disc").iterdir())[:2]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(DataError) as caught:
        pipeline.prepare(load_recipe(tmp_path / "recipe.yaml"), RunDir(tmp_path / "r"), Silent())
    named = " ".join(fault.where for fault in caught.value.faults)
    assert all(path.name in named for path in broken)


def test_predict__what_cannot_be_read_is_told_and_costs_no_other_image(started, tmp_path) -> None:
    pipeline.train(started, Silent())
    good = sorted((tmp_path / "data").rglob("*.png"))[:2]
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    unread: list[Fault] = []
    given = [good[0], broken, tmp_path / "missing.png", good[1]]
    found = list(pipeline.predict(started.root, given, Silent(), unread=unread))
    alone = list(pipeline.predict(started.root, good, Silent(), unread=[]))
    assert [path for path, _ in found] == good
    for (_, one), (_, other) in zip(found, alone, strict=True):
        assert one.probabilities is not None
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert [fault.where for fault in unread] == [str(broken), str(tmp_path / "missing.png")]


def test_prepare__counts_what_a_smoke_run_keeps(started, tmp_path) -> None:
    recipe = load_recipe(tmp_path / "recipe.yaml")
    kept = pipeline.prepare(recipe, RunDir(tmp_path / "smoke"), Silent(), smoke=True)
    assert Profile.read(tmp_path / "smoke/profile.json").images == kept.counts()
