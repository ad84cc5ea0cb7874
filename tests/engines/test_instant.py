"""Epoch 0: a head on frozen features, scored, saved, and the start of the fine-tuning."""

import hashlib
import os
import signal
from dataclasses import replace
from math import isnan
from pathlib import Path
from threading import Lock

import pytest
import torch

from automl.clock import Clock
from automl.data.decoding import read_bytes
from automl.data.stream import images
from automl.dataset import Sample
from automl.engines import checkpoint as checkpoints
from automl.engines import features, instant, instant_pace, native
from automl.engines.divergence import LossMonitor
from automl.engines.inference import predictions
from automl.engines.loader import TrainingSamples
from automl.engines.network import build_network, load_network
from automl.engines.optimiser import build_optimiser
from automl.engines.progress import Progress
from automl.errors import Interrupted
from automl.model import bundle as bundles
from automl.model.build import classifier
from automl.planning.head_cost import FOLDS
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, toy_plan


class Seen:
    """Listens to a training; `scores` are given back epoch by epoch where there are any."""

    def __init__(self, scores=()):
        self.epochs, self.events, self.found, self.scores = [], [], {}, list(scores)

    def epoch(self, epoch):
        self.epochs.append(epoch)
        self.found[epoch.number] = {p.path: p.probabilities for p in epoch.predictions}
        return self.scores[epoch.number] if self.scores else 1.0 / (1 + epoch.number)

    def event(self, event):
        self.events.append(event)


def trained(dataset, folder, seen, **train):
    settings = {"instant": "torch", "epochs": 2, **train}
    plan = toy_plan("classification", dataset, **settings)
    run = RunDir(folder)
    result = native.train(plan, dataset, run, seen.epoch, lambda *_: None, seen.event)
    return result, run


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_set("classification", tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize("runner", ["torch", "onnx"])
def test_answer__is_epoch_zero_and_the_bundle_says_the_same(toy, tmp_path, runner):
    seen = Seen()
    result, run = trained(toy, tmp_path, seen, instant=runner)
    assert [e.number for e in seen.epochs] == [0, 1, 2]
    assert (result.best_epoch, result.epochs) == (0, 2)
    assert seen.epochs[0].losses.keys() == seen.epochs[1].losses.keys()
    (event,) = [e for e in seen.events if e.kind == "instant"]
    assert event.facts["features"] == runner
    assert event.facts["since_start_s"] > 0
    cpu = torch.device("cpu")
    for prediction in predictions(load_network(run.model, cpu), images(toy, "val"), cpu):
        told = seen.found[0][prediction.path]
        assert prediction.probabilities == pytest.approx(told, abs=1e-4)


def test_answer__its_features_are_counted(toy, tmp_path):
    steps = []
    run, plan = RunDir(tmp_path), toy_plan("classification", toy, instant="torch", epochs=1)
    native.train(plan, toy, run, Seen().epoch, lambda *step: steps.append(step), Seen().event)
    assert [epoch for epoch, *_ in steps] == sorted(epoch for epoch, *_ in steps)
    shown = [(done, images) for epoch, done, images, loss in steps if not epoch and isnan(loss)]
    for split in ("train", "val"):
        count = len(toy.split(split))
        assert {(0, count), (count, count)} <= set(shown)


def test_answer__is_saved_before_the_first_step(toy, tmp_path):
    def stop(epoch, step, steps, loss):
        if not epoch:
            return
        bundles.read(RunDir(tmp_path).model)
        assert [p.name for p in RunDir(tmp_path).checkpoints.iterdir()] == ["epoch-0000"]
        raise KeyboardInterrupt

    plan = toy_plan("classification", toy, instant="torch")
    with pytest.raises(KeyboardInterrupt):
        native.train(plan, toy, RunDir(tmp_path), Seen().epoch, stop)


def test_answer__resumed_right_after_it_ends_in_the_same_bits(toy, tmp_path):
    def stop(epoch, *_):
        if epoch:
            raise KeyboardInterrupt

    straight, resumed = Seen([0.1, 0.2, 0.3]), Seen([0.1, 0.2, 0.3])
    _, whole = trained(toy, tmp_path / "whole", straight)
    run, plan = RunDir(tmp_path / "cut"), toy_plan("classification", toy, instant="torch")
    with pytest.raises(KeyboardInterrupt):
        native.train(plan, toy, run, Seen([0.1]).epoch, stop)
    native.train(plan, toy, run, resumed.epoch, lambda *_: None, resumed.event)
    assert [e.number for e in resumed.epochs] == [1, 2]
    assert resumed.events[0].text == "resume: after the instant answer"
    assert bundles.read(run.model).weights_sha256 == bundles.read(whole.model).weights_sha256


def test_answer__fine_tuning_starts_from_it_and_wins_where_it_is_better(toy, tmp_path):
    result, run = trained(toy, tmp_path, Seen([0.5, 0.4, 0.6]))
    assert result.best_epoch == 2
    assert checkpoints.newest(run.checkpoints).facts["best_score"] == 0.6


@pytest.mark.parametrize("worse", [False, True])
def test_begin__the_drawn_head_comes_back_where_the_fitted_one_is_worse(toy, tmp_path, worse):
    """A head fitted on other features than those of training is sure of the wrong class."""
    samples = TrainingSamples(toy_plan("classification", toy, instant="torch"), toy)
    network = build_network(samples.plan, toy, torch.device("cpu"))
    optimiser = build_optimiser(network.net, network.stages, samples.plan.train, network.device)
    watch, seen = LossMonitor(network.net, samples.plan.train), Seen()
    progress = Progress(network, network.copy(), optimiser, watch, 3, 6, 8)
    before = {k: v.clone() for k, v in network.net.state_dict().items() if "running" in k}
    knows_nothing = {k: torch.zeros_like(v) for k, v in instant.last_layer(network).items()}
    sure = {**knows_nothing, "bias": torch.tensor([50.0, -50.0])}
    fitted, drawn = (sure, knows_nothing) if worse else (knows_nothing, sure)
    for one in (network, progress.averaged):
        name = classifier(one.net, one.backbone)
        one.net.get_submodule(name).load_state_dict(fitted)
    instant.keep_better_head(progress, samples, drawn, seen.event)
    for one in (network, progress.averaged):
        layer = instant.last_layer(one)
        assert all(torch.equal(layer[key], knows_nothing[key]) for key in layer)
    assert len(seen.events) == worse
    after = network.net.state_dict()
    assert before
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_enough__where_the_score_is_at_its_ceiling(toy, tmp_path):
    seen = Seen([1.0])
    result, _ = trained(toy, tmp_path, seen, beat_instant_within=0.5)
    assert (result.best_epoch, result.epochs, result.stopped_early) == (0, 0, True)
    assert [e.kind for e in seen.events] == ["instant", "enough"]
    again, _ = trained(toy, tmp_path, Seen(), beat_instant_within=0.5)
    assert again.epochs == 0


def test_enough__at_once_where_the_backbone_does_not_learn(toy, tmp_path):
    seen = Seen([0.6, 0.7, 0.8])
    result, run = trained(toy, tmp_path, seen, backbone_lr=0, beat_instant_within=0.5)
    assert (result.best_epoch, result.epochs) == (0, 0)
    assert "does not learn" in seen.events[-1].text
    on, _ = trained(toy, tmp_path / "on", Seen([0.6, 0.7, 0.8]), backbone_lr=0)
    assert (on.best_epoch, on.epochs) == (2, 2)


def test_enough__where_the_first_epochs_are_no_better(toy, tmp_path):
    seen = Seen([0.6, 0.5, 0.6, 0.7, 0.8])
    result, _ = trained(toy, tmp_path, seen, epochs=4, beat_instant_within=0.33)
    assert (result.best_epoch, result.epochs, result.stopped_early) == (0, 2, True)
    assert "none of the first 2 epochs" in seen.events[-1].text


def test_enough__not_where_fine_tuning_gains(toy, tmp_path):
    result, _ = trained(
        toy, tmp_path, Seen([0.6, 0.7, 0.6, 0.6, 0.6]), epochs=4, beat_instant_within=0.5
    )
    assert (result.epochs, result.best_epoch) == (4, 1)


@pytest.mark.parametrize(
    ("score", "images", "there"),
    [(1.0, 8, True), (0.99, 50, True), (0.95, 100, False), (0.0, 9, False)],
)
def test_at_ceiling__is_one_standard_error(score, images, there):
    assert instant.at_ceiling(score, images) is there


def test_folds__groups_stay_together_and_classes_are_spread():
    samples = [
        Sample(f"{i}", "train", 1, 1, "", label=i % 2, group=f"g{i // 4}") for i in range(40)
    ]
    folds = instant._folds(samples, torch.arange(40) % 2, 0)
    assert all(len(set(folds[i : i + 4].tolist())) == 1 for i in range(0, 40, 4))
    alone = [Sample(f"{i}", "train", 1, 1, "", label=i % 2) for i in range(40)]
    folds = instant._folds(alone, torch.arange(40) % 2, 0)
    for fold in range(FOLDS):
        assert (torch.arange(40)[folds == fold] % 2).bincount().tolist() == [4, 4]


def test_answer__a_signal_before_it_is_there_saves_nothing(toy, tmp_path, monkeypatch):
    def looked(frozen, dataset, samples, on_images):
        os.kill(os.getpid(), signal.SIGTERM)
        on_images(0, 1)

    monkeypatch.setattr(instant, "image_features", looked)
    with pytest.raises(Interrupted, match="nothing to save"):
        trained(toy, tmp_path, Seen())
    assert checkpoints.newest(RunDir(tmp_path).checkpoints) is None


def test_answer__a_signal_right_after_it_says_that_it_is_saved(toy, tmp_path):
    class Hasty(Seen):
        def event(self, event):
            if event.kind == "instant":
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="after the instant answer; saved"):
        trained(toy, tmp_path, Hasty())
    assert checkpoints.newest(RunDir(tmp_path).checkpoints).epoch == 0


def with_digest(dataset, sample):
    data = (Path(dataset.root) / sample.path).read_bytes()
    return replace(sample, digest=hashlib.sha256(data).hexdigest())


def test_answer__sees_fewer_images_where_reading_them_takes_long(toy, tmp_path, monkeypatch):
    """One second an image by the test's clock: of 24 + 8 images in half a minute, 13 + 8."""
    reads, lock = [], Lock()

    def slow(path):
        with lock:
            reads.append(path)
        return read_bytes(path)

    monkeypatch.setattr(features, "read_bytes", slow)
    monkeypatch.setattr(instant, "LOOKED_AT", 4)
    monkeypatch.setattr(instant_pace, "LEAST_IMAGES", 8)
    seen = Seen()
    plan = toy_plan("classification", toy, instant="torch", epochs=2)
    plan = plan.model_copy(update={"budget_s": 30.0})
    clock = Clock(now=lambda: float(len(reads)))
    on = (seen.epoch, lambda *_: None, seen.event)
    native.train(plan, toy, RunDir(tmp_path), *on, clock)
    texts = [e.text for e in seen.events]
    assert any("the head is fitted on 13 of 24 images: 1000 ms each" in text for text in texts)
    assert any("features of 13 images" in text for text in texts)
    assert len(reads) == 4 + 13 + 8
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    genuine = replace(toy, samples=tuple(with_digest(toy, sample) for sample in toy.samples))
    without_promise = plan.model_copy(update={"budget_s": None})
    native.train(without_promise, genuine, RunDir(tmp_path / "first"), *on)
    reads.clear()
    native.train(plan, genuine, RunDir(tmp_path / "second"), *on, clock)
    assert not reads, "what is kept is not read again, nor timed"
