"""Images that show several classes: learnt, kept in the bundle, predicted, scored, reported."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from automl import pipeline
from automl.cli import app
from automl.data.ground_truth import truth
from automl.dataset import Dataset
from automl.engines.loader import augmented
from automl.errors import UsageError
from automl.files import write_json
from automl.model import bundle
from automl.recipe.schema import Recipe
from automl.run_dir import RunDir
from automl.scoring.goal import refuse_unscored
from automl.talk import Silent
from tests.data import drawn
from tests.data.toys import NAMES, Toy, prepared, toys
from tests.engines.toy import toy_plan

SQUARES = {"disc": (230, 30, 30), "ring": (30, 230, 30), "square": (30, 30, 230)}

GOAL = {"metric": "macro_f1", "at_least": 0.9}


def coloured(toy: Toy) -> Toy:
    """Each class of the image as a square of its colour: to be learnt in seconds."""
    pixels = toy.pixels // 3
    for i, name in enumerate(drawn.labels_of(toy)):
        pixels[6:24, 1 + 13 * i : 13 + 13 * i] = SQUARES[name]
    return Toy(toy.name, toy.split, pixels, toy.label, toy.boxes, toy.mask)


def a_run(tmp_path) -> tuple[RunDir, Dataset]:
    root = drawn.write_many_labels(tmp_path / "set", [coloured(t) for t in toys(48)])
    found = prepared(root, "classification")
    run = RunDir(tmp_path / "run")
    run.root.mkdir()
    plan = toy_plan("classification", found.dataset, epochs=8, lr=1e-2, class_weights="balanced")
    plan.write(run.plan)
    found.dataset.write(run.dataset)
    found.profile.write(run.profile)
    write_json(run.findings, [])
    run.recipe.write_text(f"task: classification\ndata: {root}\n")
    return run, found.dataset


def test_several_labels__the_whole_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, dataset = a_run(tmp_path)
    assert dataset.multi_label
    trained = pipeline.train(run, Silent())
    read = bundle.read(trained.bundle)
    assert read.several_labels
    scores = pipeline.evaluate(run, Silent())
    assert scores.primary == "mean_ap"
    assert scores.metrics["mean_ap"] > 0.8
    assert set(scores.per_class) == set(NAMES)
    page = pipeline.report(run, Silent()).read_text()
    assert "Mean AP" in page
    image = tmp_path / "set" / "images" / "00.png"
    said = CliRunner().invoke(app, ["predict", str(run.root), str(image)])
    line = json.loads(said.stdout)
    assert line["classes"] == [n for n, p in line["probabilities"].items() if p >= 0.5]
    shares = np.array([list(line["probabilities"].values())])
    assert ((shares >= 0) & (shares <= 1)).all()
    images, _ = augmented(pipeline.planned(run)[0], dataset, 2)
    assert len(images) == 2


def test_plan__a_goal_that_such_a_set_has_no_score_for_is_refused(tmp_path):
    root = drawn.write_many_labels(tmp_path / "set", toys())
    dataset = prepared(root, "classification").dataset
    recipe = Recipe.model_validate(
        {
            "task": "classification",
            "data": {"path": str(root)},
            "goal": {"metric": "accuracy", "at_least": 0.9},
        }
    )
    with pytest.raises(UsageError, match="where each image shows several classes") as caught:
        refuse_unscored(recipe, dataset)
    assert "mean_ap" in caught.value.faults[0].hint
    fine = Recipe.model_validate({**recipe.model_dump(exclude_unset=True), "goal": GOAL})
    refuse_unscored(fine, dataset)


def test_truth__which_classes_are_shown(tmp_path):
    made = toys()
    dataset = prepared(drawn.write_many_labels(tmp_path, made), "classification").dataset
    for toy, sample in zip(made, sorted(dataset.samples, key=lambda s: s.path), strict=True):
        shown = truth(dataset, sample).shown
        assert [dataset.names[i] for i in np.flatnonzero(shown)] == drawn.labels_of(toy)
