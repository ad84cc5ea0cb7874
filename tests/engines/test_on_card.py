"""What is meant for a card, on a pretended one: results of the CPU, and no wait in vain."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from automl import pipeline
from automl.data.stream import images
from automl.engines import micro_batch, model_trials, native
from automl.engines.head import fit
from automl.engines.network import load_network
from automl.errors import Interrupted
from automl.plan import Plan
from automl.planning.backbones import find
from automl.planning.trials import TrialModel
from automl.recipe.schema import load_recipe
from automl.reproduce import reproduce
from automl.run_dir import RunDir
from automl.talk import Silent
from automl.weights import Weights
from tests.engines.pretended_card import (
    DEVICE,
    PEAK_BYTES,
    PROPERTIES,
    OnCard,
    pretended_card,
)
from tests.engines.test_distributed import RECIPE, class_folders
from tests.engines.test_resume import TASKS, at
from tests.engines.toy import draw_set, toy_plan
from tests.faults.planted import Watcher, small

NOTHING = Weights(source="none", covers="nothing")


class Listener(Watcher):
    """Of trainings whose instant answer has steps of its own."""

    def on_step(self, epoch: int, step: int, total: int, loss: float) -> None:
        self.steps.append((epoch, step))


def on_card(plan: Plan) -> Plan:
    return plan.model_copy(update={"device": "cuda:0"})


def weights(folder: Any) -> dict[str, torch.Tensor]:
    return load_file(RunDir(folder).model / "weights.safetensors")


def test_pretence__refuses_to_mix_and_counts_what_is_waited_for():
    with pretended_card() as waits:
        there = torch.ones(3, requires_grad=True).to("cuda")
        assert (there.device, there.is_cuda, there.cpu().device.type) == (DEVICE, True, "cpu")
        with pytest.raises(RuntimeError, match="mixes card and CPU"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match="no NumPy view"):
            there.detach().numpy()
        waits.clear()
        doubled = there * 2 + torch.zeros(3, device="cuda") + torch.tensor(1.0)
        assert not waits
        assert isinstance(doubled, OnCard)
        assert bool((doubled == 3).all())
        assert len(doubled[doubled > 2]) == 3
        doubled.sum().backward()
    assert [what for what, _ in waits] == ["_local_scalar_dense", "mask as index"]


@pytest.mark.parametrize("task", TASKS)
def test_train__learns_what_it_learns_on_a_cpu(task, tmp_path):
    answers = {"instant": "torch", "instant_steps": 4, "class_weights": "balanced"}
    answers |= {"batch_size": 6, "micro_batch": 6}
    plan, dataset = small(task, tmp_path, **answers)
    here, there = Listener(plan, dataset), Listener(on_card(plan), dataset)
    here.train(tmp_path / "cpu")
    with pretended_card():
        there.train(tmp_path / "card")
        assert torch.backends.cudnn.benchmark
        bundle = RunDir(tmp_path / "card").model
        sizes = [load_network(bundle, torch.device(d)).batch_size for d in ("cuda:0", "cpu")]
    assert sizes == [6, 4], "a CPU takes few of what a card takes"
    assert list(there.losses) == [0, 1, 2, 3]
    for epoch, losses in here.losses.items():
        assert there.losses[epoch] == pytest.approx(losses, rel=1e-4)
        assert there.scores[epoch] == pytest.approx(here.scores[epoch], abs=1e-4)
    expected, found = weights(tmp_path / "cpu"), weights(tmp_path / "card")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)


def waited_for(task, folder, train: int, micro_batch: int) -> Counter[tuple[str, str]]:
    """In an epoch of steps of two images, three of which are looked at: the 1st, 10th and last."""
    dataset = draw_set(task, folder, train=train, val=2)
    settings = {"epochs": 1, "batch_size": 2, "micro_batch": micro_batch, "precision": "bf16"}
    if task == "segmentation":
        settings["class_weights"] = "balanced"
    plan = on_card(toy_plan(task, dataset, **settings))
    with pretended_card() as waits:
        native.train(plan, dataset, RunDir(folder / "run"), lambda _: 0.0, lambda *_: None)
        return waits.copy()


@pytest.mark.parametrize("micro_batch", [2, 1])
@pytest.mark.parametrize("task", TASKS)
def test_steps__wait_for_the_card_only_where_they_are_looked_at(task, micro_batch, tmp_path):
    """Five more steps, not a wait more; but for what torchvision's detectors look at themselves."""
    more = waited_for(task, tmp_path / "17", 34, micro_batch)
    more -= waited_for(task, tmp_path / "12", 24, micro_batch)
    places = {place for _, place in more}
    own = {"detectors.py:forward", "steps.py:_compute_gradients"} if task == "detection" else set()
    assert places == own, more


@pytest.mark.parametrize("task", TASKS)
def test_signal__goes_on_with_the_same_weights_on_the_card(task, tmp_path):
    plan, dataset = small(task, tmp_path)
    plan = on_card(plan)
    with pretended_card():
        straight = Watcher(plan, dataset)
        straight.train(tmp_path / "straight")
        with pytest.raises(Interrupted, match="in epoch 2, step 1; saved"):
            Watcher(plan, dataset, at_step=at(2, 1)).train(tmp_path / "broken")
        second = Watcher(plan, dataset)
        second.train(tmp_path / "broken")
    assert second.losses == {epoch: straight.losses[epoch] for epoch in (2, 3)}
    expected, found = weights(tmp_path / "straight"), weights(tmp_path / "broken")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("task", TASKS)
def test_predict__answers_as_on_a_cpu(task, tmp_path):
    plan, dataset = small(task, tmp_path, epochs=1)
    Watcher(plan, dataset).train(tmp_path / "run")
    bundle = RunDir(tmp_path / "run").model
    here = list(native.predict(bundle, images(dataset, "val"), "cpu"))
    with pretended_card():
        there = list(native.predict(bundle, images(dataset, "val"), "cuda:0"))
    assert [p.path for p in there] == [p.path for p in here]
    for name in ("probabilities", "mask", "boxes", "labels", "confidences"):
        for one, other in zip(here, there, strict=True):
            expected = getattr(one, name)
            assert (expected is None) == (getattr(other, name) is None)
            if expected is not None:
                np.testing.assert_allclose(getattr(other, name), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("several", [False, True])
def test_head__is_fitted_on_the_card(several):
    draw = torch.Generator().manual_seed(0)
    labels, folds = torch.arange(60) % 3, torch.arange(60) % 5
    features = torch.randn(60, 8, generator=draw) + 2 * functional.one_hot(labels, 8)
    targets = functional.one_hot(labels, 3).float() if several else labels
    weights = torch.tensor([0.5, 1.0, 1.5])
    head = fit(features, targets, 3, folds, weights)
    with pretended_card() as waits:
        there = fit(features, targets, 3, folds, weights, device=DEVICE)
        assert waits, "nothing was computed there"
    assert there.penalty == head.penalty
    torch.testing.assert_close(there.weight, head.weight)
    torch.testing.assert_close(there.bias, head.bias)


@pytest.mark.parametrize("task", TASKS)
def test_micro_batch__is_the_largest_that_the_worst_images_leave_room_for(
    task, tmp_path, monkeypatch
):
    plan, dataset = small(task, tmp_path, batch_size=8, micro_batch=8)
    tried, worst = [], micro_batch.worst_batch

    def worst_of_few(plan, dataset, count, device):
        tried.append(count)
        if count > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return worst(plan, dataset, count, device)

    monkeypatch.setattr(micro_batch, "worst_batch", worst_of_few)
    with pretended_card():
        found = micro_batch.fit_micro_batch(on_card(plan), dataset, None)
    assert tried == [8, 4]
    assert (found.train.micro_batch, found.train.batch_size) == (4, 8)
    headroom = int(0.1 * 8e9)
    assert found.expected_memory_gb == float(f"{(PEAK_BYTES - headroom) / 1e9:.2g}")
    assert "measured on the worst images" in found.reasons["train.micro_batch"].because


@pytest.mark.parametrize("task", TASKS)
def test_models__are_timed_on_the_card(task, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    dataset = draw_set(task, tmp_path / "set", 4, 2)
    row = find({"classification": "test_resnet", "segmentation": "unet-test_resnet"}.get(
        task, "fcos-test_resnet"), task)  # fmt: skip
    candidate = TrialModel(row, NOTHING, (64, 64), (64, 64), "squash", 0.01)
    with pretended_card() as waits:
        found = model_trials.model_measurer(dataset, "cuda:0", Silent())([candidate], 1.0)
    step_s = found[row.name].step_s
    assert step_s is not None
    assert step_s > 0
    assert waits["synchronize", "model_trials.py:step"] >= 3


def test_line__from_recipe_to_report_and_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("threads: 1", "threads: 1, workers: 2"))
    run, recipe = RunDir(tmp_path / "run"), load_recipe(tmp_path / "recipe.yaml")
    with pretended_card():
        pipeline.run(recipe, run, Silent(), device="cuda")
    plan = Plan.read(run.plan)
    assert (plan.device, plan.train.precision) == ("cuda:0", "bf16")
    assert "Pretended" in plan.reasons["train.precision"].because
    assert run.report.exists()
    assert "Pretended" in run.provenance.read_text()


def test_reproduce__the_images_at_once_that_were_tried_are_no_difference(tmp_path, monkeypatch):
    """The rules guess at one for so small a card, and eight were found to fit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PROPERTIES, "total_memory", 10**6)
    class_folders(tmp_path)
    text = RECIPE.replace("threads: 1", "threads: 1, workers: 0").replace("micro_batch: 4, ", "")
    (tmp_path / "recipe.yaml").write_text(text)
    run, recipe = RunDir(tmp_path / "run"), load_recipe(tmp_path / "recipe.yaml")
    with pretended_card():
        pipeline.run(recipe, run, Silent(), device="cuda")
        assert Plan.read(run.plan).train.micro_batch == 8
        answer = reproduce(run, RunDir(tmp_path / "again"), Silent(), here=True)
    assert (answer.verdict.word, answer.today) == ("identical", [])
