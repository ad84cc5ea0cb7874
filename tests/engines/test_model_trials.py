from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from automl.engines import model_trials
from automl.model.build import build
from automl.model.weights import at_hand
from automl.planning.backbones import find
from automl.planning.trials import TrialModel
from automl.talk import Silent
from automl.weights import Weights
from tests.engines.toy import MODELS, draw_set

NOTHING = Weights(source="none", covers="nothing")


def asked(task: Any, model: str = "", weights: Weights = NOTHING) -> TrialModel:
    row = find(model or MODELS[task], task)
    return TrialModel(row, weights, (64, 64), (64, 64), "squash", 0.01)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Weights]:
    """A tiny classifier whose weights lie in the store."""
    from safetensors.torch import save_file

    monkeypatch.setenv("AUTOML_WEIGHTS", str(tmp_path / "store"))
    row = find("test_efficientnet", "classification")
    torch.manual_seed(0)
    (tmp_path / "store").mkdir()
    save_file(
        build(row, 1000, (64, 64)).state_dict(), tmp_path / "store/test_efficientnet.safetensors"
    )
    found = at_hand(row)
    assert found is not None
    return row, found


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_looking__times_a_step_of_every_task(task: Any, tmp_path: Path, cache: Path) -> None:
    dataset = draw_set(task, tmp_path / "set", 4, 2)
    candidate = asked(task)
    threads = torch.get_num_threads()
    found = model_trials.model_measurer(dataset, "cpu", Silent())([candidate], 1.0)
    measured = found[candidate.row.name]
    assert measured.step_s is not None
    assert measured.step_s > 0
    assert measured.transfer is None  # too few images, or no classes of images
    assert torch.get_num_threads() == threads


def test_looking__measures_once(tmp_path: Path, cache: Path) -> None:
    dataset = draw_set("classification", tmp_path / "set", 4, 2)
    measure = model_trials.model_measurer(dataset, "cpu", Silent())
    first = measure([asked("classification")], 1.0)
    assert any(cache.rglob("*"))
    assert measure([asked("classification")], 1.0) == first


def test_looking__without_time_tells_what_was_measured_before(tmp_path: Path, cache: Path) -> None:
    dataset = draw_set("classification", tmp_path / "set", 4, 2)
    measure = model_trials.model_measurer(dataset, "cpu", Silent())
    candidate = asked("classification")
    assert measure([candidate], 0.0)[candidate.row.name].step_s is None
    assert not list(cache.rglob("*"))
    first = measure([candidate], 1.0)
    assert measure([candidate], 0.0) == first


def test_looking__without_a_cache_measures_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOML_CACHE", "off")
    dataset = draw_set("classification", tmp_path / "set", 4, 2)
    found = model_trials.model_measurer(dataset, "cpu", Silent())([asked("classification")], 1.0)
    assert found["test_resnet"].step_s


def test_looking__a_net_of_another_engine_is_left_to_the_table(tmp_path: Path, cache: Path) -> None:
    dataset = draw_set("detection", tmp_path / "set", 4, 2)
    found = model_trials.model_measurer(dataset, "cpu", Silent())(
        [asked("detection", "yolo11n")], 1.0
    )
    assert found["yolo11n"].step_s is None


def test_looking__scores_features_within_the_seconds(
    tmp_path: Path, cache: Path, stored: tuple[Any, Weights]
) -> None:
    row, weights = stored
    dataset = draw_set("classification", tmp_path / "set", 96, 2)
    candidate = TrialModel(row, weights, (64, 64), (64, 64), "squash", 0.01)
    measure = model_trials.model_measurer(dataset, "cpu", Silent())
    transfer = measure([candidate], 60.0)[row.name].transfer
    assert transfer is not None
    assert transfer.images == 96
    assert transfer.accuracy > 0.7  # discs and squares in two colours
    assert 0 < transfer.error < 1
    assert measure([candidate], 60.0)[row.name].transfer == transfer
    assert measure([candidate], 1e-4)[row.name].transfer is None


def test_looking__no_score_without_one_label_an_image(
    tmp_path: Path, cache: Path, stored: tuple[Any, Weights]
) -> None:
    row, weights = stored
    dataset = draw_set("classification", tmp_path / "set", 96, 2)
    several = replace(
        dataset, samples=tuple(replace(s, label=None, labels=(0,)) for s in dataset.samples)
    )
    candidate = TrialModel(row, weights, (64, 64), (64, 64), "squash", 0.01)
    found = model_trials.model_measurer(several, "cpu", Silent())([candidate], 60.0)
    assert found[row.name].transfer is None
