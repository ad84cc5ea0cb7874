"""A trained model scored on another set: the same images in another layout score the same."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl import other_data, pipeline
from automl.commands.other_data import folder_for, recipe_for, refuse_options
from automl.data.digest import digest_of
from automl.dataset import Dataset
from automl.errors import DataError, RecipeError, UsageError
from automl.recipe.schema import load_recipe
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.data.toys import (
    Toy,
    toys,
    write_coco,
    write_csv,
    write_folders,
    write_masks,
    write_voc,
    write_yolo,
)


def write_masks_in_another_order(root: Path, made: list[Toy]) -> Path:
    """Ids 0 to 3 are square, ground, disc and ring."""
    ids = np.array([1, 2, 3, 0], np.uint8)
    write_masks(root, [replace(toy, mask=ids[toy.mask]) for toy in made], layout="split last")
    (root / "classes.txt").write_text("square\nground\ndisc\nring\n")
    return root


MODELS = {
    "classification": ("test_resnet", write_folders, write_csv),
    "segmentation": ("unet-test_resnet", write_masks, write_masks_in_another_order),
    "detection": ("fcos-test_resnet", write_coco, write_voc),
}


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)


def trained(folder: Path, task: str) -> RunDir:
    """A run of a tiny net on 18 toys, 3 of them to test."""
    model, write, _ = MODELS[task]
    write(folder / "data", toys(18))
    (folder / "recipe.yaml").write_text(
        f"task: {task}\ndata: data\nmodel: {model}\nweights: none\naugment: none\n"
        "track: {mlflow: 'off', dvc: 'off'}\n"
        "train: {epochs: 2, image_size: 64, batch_size: 4, threads: 1}\n"
    )
    run, recipe = RunDir(folder / "run"), load_recipe(folder / "recipe.yaml")
    pipeline.prepare(recipe, run, Silent())
    pipeline.plan(recipe, run, Silent())
    pipeline.train(run, Silent())
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    made: dict[str, RunDir] = {}
    with pytest.MonkeyPatch.context() as patch:
        for task in MODELS:
            folder = tmp_path_factory.mktemp(task)
            patch.chdir(folder)
            made[task] = trained(folder, task)
            pipeline.evaluate(made[task], Silent())
    return made


@pytest.mark.parametrize("task", list(MODELS))
def test_evaluate__the_same_images_in_another_layout_score_the_same(
    runs: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """Its classes come in another order, or with other ids."""
    monkeypatch.chdir(tmp_path)
    run, (_, _, write) = runs[task], MODELS[task]
    data = write(tmp_path / "other", toys(18))
    before = {p: p.stat().st_mtime_ns for p in run.root.rglob("*")}
    out, listener = RunDir(tmp_path / "out"), Listener()
    recipe = recipe_for(run.model, data, [])
    scores = other_data.evaluate(run.model, recipe, listener, out=out)
    own = json.loads(run.metrics.read_text())
    assert {**scores.head, **scores.metrics} == pytest.approx(own)
    assert own["split"] == "test"
    assert own["images"] == 3
    assert json.loads(out.metrics.read_text()) == pytest.approx(own)
    kept = Dataset.read(out.dataset)
    assert kept.digest == digest_of(kept)
    assert "judged on 3 images" in out.report.read_text()
    assert "Worst" in out.report.read_text() or "Best" in out.report.read_text()
    assert len((out.predictions / "predictions.jsonl").read_text().splitlines()) == 3
    assert {p: p.stat().st_mtime_ns for p in run.root.rglob("*")} == before, "the run stays"
    assert not any("learned from" in text for text in listener.told)


def test_evaluate__a_set_without_splits_is_judged_as_a_whole_and_what_was_learnt_is_told(
    runs: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, listener = runs["classification"], Listener()
    data = write_folders(tmp_path / "a: folder", toys(18), splits=False)
    shutil.rmtree(data / "disc")
    recipe = recipe_for(run.model, data, [])
    scores = other_data.evaluate(run.model, recipe, listener)
    assert (scores.images, scores.split) == (12, "test")
    assert scores.per_class["disc"]["support"] == 0
    learnt = {s.digest for s in Dataset.read(run.dataset).split("train") if s.label}
    assert any(f"learned from {len(learnt)} of these 12 images" in t for t in listener.told)


def test_evaluate__one_split_that_is_asked_for(
    runs: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = runs["detection"].model
    recipe = recipe_for(model, write_yolo(tmp_path / "other", toys(18)), [])
    for split, images in (("train", 12), ("val", 3), ("all", 18)):
        scores = other_data.evaluate(model, recipe, Silent(), split=split)
        assert scores.images == images
    made = [replace(toy, split="train") for toy in toys(18)]
    recipe = recipe_for(model, write_voc(tmp_path / "voc", made), [])
    with pytest.raises(UsageError, match="brings no split `val`: it has train"):
        other_data.evaluate(model, recipe, Silent(), split="val")


def test_evaluate__classes_that_the_model_does_not_know_are_named(
    runs: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runs["classification"]
    data = write_folders(tmp_path / "other", toys(18), splits=False)
    (data / "ring").rename(data / "Ringlet")
    with pytest.raises(DataError, match="does not know: Ringlet") as caught:
        other_data.evaluate(run.model, recipe_for(run.model, data, []), Silent())
    assert "disc, ring, square" in caught.value.faults[0].hint


def test_evaluate__labels_of_another_kind_and_faults_of_the_data(
    runs: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runs["classification"]
    data = write_csv(tmp_path / "several", toys(6))
    table = (
        (data / "labels.csv").read_text().replace("label", "labels").replace("ring", "ring|disc")
    )
    (data / "labels.csv").write_text(table)
    with pytest.raises(DataError, match="several classes an image"):
        other_data.evaluate(run.model, recipe_for(run.model, data, []), Silent())
    data = write_folders(tmp_path / "broken", toys(6), splits=False)
    next(data.rglob("*.png")).write_bytes(b"no image")
    with pytest.raises(DataError, match="1 fatal finding"):
        other_data.evaluate(run.model, recipe_for(run.model, data, []), Silent())


def test_recipe_for__a_model_alone_needs_no_run(
    runs: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path(shutil.copytree(runs["classification"].model, tmp_path / "alone"))
    data = write_csv(tmp_path / "other", toys(18))
    recipe = recipe_for(model, data, ["data.format=csv"])
    assert (recipe.task, recipe.data.path, recipe.data.format) == (
        "classification",
        str(data),
        "csv",
    )
    own = json.loads(runs["classification"].metrics.read_text())
    assert other_data.evaluate(model, recipe, Silent()).value == pytest.approx(own["accuracy"])
    with pytest.raises(RecipeError, match="fault"):
        recipe_for(model, data, ["data.formt=csv"])
    with pytest.raises(UsageError, match="was trained for classification, not for detection"):
        recipe_for(model, data, ["task=detection"])


def test_folder_for__neither_data_nor_runs_nor_strange_files(
    runs: dict[str, RunDir], tmp_path: Path
) -> None:
    recipe = load_recipe(runs["classification"].recipe)
    with pytest.raises(UsageError, match="inside the data"):
        folder_for(Path(recipe.data.path) / "out", recipe)
    with pytest.raises(UsageError, match="other files"):
        folder_for(runs["classification"].root, recipe)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        folder_for(tmp_path / "file", recipe)
    assert folder_for(None, recipe) is None
    with pytest.raises(UsageError, match="--split and --out without `--data`"):
        refuse_options(split="val", set=[], out=tmp_path, device=None)
