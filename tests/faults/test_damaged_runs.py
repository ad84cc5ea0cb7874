"""Files of a run that were cut, emptied or swapped: one fault of ours, never a page of two runs."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from automl import pipeline
from automl.commands.summary import run_facts
from automl.data.digest import digest_of
from automl.errors import AutomlError, DataError, UsageError
from automl.files import write_json
from automl.plan import Goal
from automl.recipe.schema import read_recipe
from automl.record import mlflow_delivery
from automl.record.runs import summary
from automl.run_dir import RunDir
from automl.scoring import goal
from automl.talk import Silent
from tests.engines.toy import draw_set, toy_plan
from tests.report.made_run import make_run


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip()[:-7])


def unreadable(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


@pytest.fixture
def run(tmp_path) -> RunDir:
    return make_run(tmp_path, "classification")


@pytest.mark.parametrize("harm", [cut, unreadable])
@pytest.mark.parametrize(
    "name", ["plan.yaml", "recipe.yaml", "dataset.json", "evaluation.json", "predictions.jsonl"]
)
def test_report__of_damaged_files_is_refused(name, harm: Callable[[Path], None], run):
    path = run.predictions / name if name == "predictions.jsonl" else run.root / name
    if name.endswith(".yaml"):
        path.write_text("checks: {waive: {near_duplicate: frames of one video}}\n")
    harm(path)
    with pytest.raises(DataError) as caught:
        pipeline.report(run, Silent())
    (fault,) = caught.value.faults
    assert name in fault.where
    assert fault.hint


@pytest.mark.parametrize("stage", [pipeline.report, pipeline.record])
def test_stages__the_index_of_another_run_is_refused(stage, run, tmp_path):
    write_json(run.recipe, {"task": "classification", "data": str(tmp_path / "shapes")})
    other = make_run(tmp_path / "other", "classification", names=["a", "b"])
    run.dataset.write_bytes(other.dataset.read_bytes())
    with pytest.raises(UsageError, match="made for other data"):
        stage(run, Silent())


def test_goal__empty_scores_are_damage(tmp_path):
    (tmp_path / "metrics.json").write_text("")
    with pytest.raises(AutomlError, match="damaged"):
        goal.check(Goal(metric="accuracy", at_least=0.5), tmp_path / "metrics.json")


@pytest.mark.parametrize("look", [summary, run_facts])
@pytest.mark.parametrize(
    ("name", "text"),
    [("provenance.json", '{"restarts": 7}'), ("metrics.json", '{"primary": ["accuracy"]}')],
)
def test_looks__values_of_another_kind_are_damage(look, name, text, run):
    (run.root / name).write_text(text)
    with pytest.raises(DataError, match=f"`{name}` is damaged"):
        look(run.root if look is summary else run)


def test_journal__lines_without_what_events_have_are_left_out(run):
    before = summary(run.root)
    with run.journal.open("a") as file:
        file.write(
            '{"time": "2026-08-01T12:00:00+00:00", "event": "epoch"}\n{"time": 3, "event": "end"}\n'
        )
    assert summary(run.root) == before
    pipeline.report(run, Silent())


def test_evaluate__the_model_of_another_run_is_refused(tmp_path):
    one, two = (finished(tmp_path / name, seed) for seed, name in enumerate("ab"))
    pipeline.evaluate(one, Silent())
    for path in two.model.iterdir():
        (one.model / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="not the one that this run has trained"):
        pipeline.evaluate(one, Silent())
    said = Heard()
    shutil.rmtree(one.checkpoints)
    pipeline.train(one, said)
    assert "train: no checkpoint of this plan is left; from the start" in said.lines
    pipeline.evaluate(one, Silent())


def test_evaluate__images_that_are_gone_are_counted_with_the_cure(tmp_path):
    run = finished(tmp_path / "run", 0)
    for path in (tmp_path / "data").glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="4 of 4 val images are gone, such as `008.png`") as caught:
        pipeline.evaluate(run, Silent())
    assert caught.value.faults[0].hint


def finished(folder: Path, seed: int) -> RunDir:
    """A training of one epoch."""
    run, dataset = RunDir(folder), draw_set("classification", folder.parent / "data", 8, 4)
    dataset = replace(dataset, digest=digest_of(dataset))
    dataset.write(run.dataset)
    write_json(run.recipe, {"task": "classification", "data": str(folder.parent / "data")})
    toy_plan("classification", dataset, epochs=1, seed=seed).write(run.plan)
    pipeline.train(run, Silent())
    return run


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_record__a_damaged_note_of_where_it_is_gets_written_anew(run, tmp_path):
    write_json(run.recipe, {"task": "classification", "data": "x", "track": {"mlflow": "off"}})
    recipe = read_recipe(run.recipe)
    run.record.write_text("")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    on = recipe.model_copy(update={"track": recipe.track.model_copy(update={"mlflow": store})})
    mlflow_delivery.record(run, on, None, Silent(), within_s=0.0)
    assert json.loads(run.record.read_text())["delivery"]["uri"] == store
