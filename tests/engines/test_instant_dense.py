"""Epoch 0 of segmenters and detectors: all but the frozen backbone learns from its kept maps."""

import os
import signal
from math import isnan

import numpy as np
import pytest
import torch

from automl.engines import checkpoint as checkpoints
from automl.engines import feature_maps, instant_dense, native
from automl.engines.features import ignore_images
from automl.engines.loader import TrainingSamples
from automl.engines.network import build_network
from automl.engines.recorded_schedule import recorded
from automl.engines.time_budget import SETTLED
from automl.errors import Interrupted
from automl.model import bundle as bundles
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, toy_plan

CPU = torch.device("cpu")
DENSE = ["segmentation", "detection"]


class Seen:
    """Listens to a training; the score falls, so that epoch 0 stays the best."""

    def __init__(self):
        self.epochs, self.events = [], []

    def epoch(self, epoch):
        self.epochs.append(epoch)
        assert [p.path for p in epoch.predictions]
        return 0.5 / (1 + epoch.number)

    def event(self, event):
        self.events.append(event)


@pytest.fixture(scope="module", params=DENSE)
def toy(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    return draw_set(request.param, folder, train=10, val=3)


def plan_for(toy, **train):
    usual = {"instant": "torch", "instant_steps": 3, "epochs": 1, "batch_size": 5, "micro_batch": 5}
    return toy_plan(toy.task, toy, **{**usual, **train})


def trained(toy, folder, seen, step=lambda *_: None, **train):
    run = RunDir(folder)
    return native.train(plan_for(toy, **train), toy, run, seen.epoch, step, seen.event), run


@pytest.mark.parametrize("runner", ["torch", "onnx"])
def test_answer__is_epoch_zero_and_leaves_the_backbone_alone(toy, tmp_path, runner):
    seen = Seen()
    result, run = trained(toy, tmp_path, seen, instant=runner)
    assert [epoch.number for epoch in seen.epochs] == [0, 1]
    assert (result.best_epoch, result.epochs) == (0, 1)
    assert seen.epochs[0].losses.keys() == seen.epochs[1].losses.keys()
    (event,) = [e for e in seen.events if e.kind == "instant"]
    assert event.facts["features"] == runner
    first, kept = build_network(plan_for(toy), toy, CPU), bundles.load_state(run.model)
    moved = {n for n, p in first.net.named_parameters() if not torch.equal(p, kept[n])}
    assert moved
    assert all(first.stages[name] == 0 for name in moved)


def test_answer__its_features_and_steps_are_counted(toy, tmp_path):
    steps = []
    trained(toy, tmp_path, Seen(), lambda *step: steps.append(step))
    before = [step for step in steps if not step[0]]
    assert before == steps[: len(before)]
    assert [step[1:3] for step in before if isnan(step[3])] == [(0, 10), (8, 10), (10, 10)]
    assert [step[1:3] for step in before if not isnan(step[3])] == [(1, 3), (2, 3), (3, 3)]


def test_answer__takes_fewer_steps_where_a_promise_runs_short_and_again_the_same(toy, tmp_path):
    """A reproduction has all the time, and ends in the same bits."""
    plan = plan_for(toy, instant_steps=500).model_copy(update={"budget_s": 0.5})
    seen, runs = Seen(), [RunDir(tmp_path / name) for name in ("first", "again")]
    native.train(plan, toy, runs[0], seen.epoch, lambda *_: None, seen.event)
    paces = [e.facts for e in seen.events if "instant_step" in e.facts]
    assert paces[0] == {"instant_step": 0, "instant_steps": 500}
    assert SETTLED <= paces[-1]["instant_steps"] < 500
    events = [{"event": e.kind, **e.facts} for e in seen.events]
    recorded(plan, events).write(runs[1], runs[0])
    patient = plan.model_copy(update={"budget_s": 600.0})
    native.train(patient, toy, runs[1], Seen().epoch, lambda *_: None)
    first, again = (bundles.load_state(run.model) for run in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_answer__the_budget_knows_what_judging_took(toy, tmp_path, monkeypatch):
    made, given = native.time_budget_of, []

    def seen(*arguments, **more):
        given.append(more["judged_s"])
        return made(*arguments, **more)

    monkeypatch.setattr(native, "time_budget_of", seen)
    trained(toy, tmp_path / "with", Seen())
    trained(toy, tmp_path / "without", Seen(), instant="none")
    assert given[0] > given[1] == 0


def test_answer__resumed_right_after_it_ends_in_the_same_bits(toy, tmp_path):
    def stop(epoch, *_):
        if epoch:
            raise KeyboardInterrupt

    _, whole = trained(toy, tmp_path / "whole", Seen())
    with pytest.raises(KeyboardInterrupt):
        trained(toy, tmp_path / "cut", Seen(), stop)
    assert bundles.read(RunDir(tmp_path / "cut").model).task == toy.task  # usable already
    resumed = Seen()
    _, run = trained(toy, tmp_path / "cut", resumed)
    assert [epoch.number for epoch in resumed.epochs] == [1]
    newest = [checkpoints.newest(r.checkpoints).tensors["model"] for r in (whole, run)]
    assert all(torch.equal(newest[0][name], newest[1][name]) for name in newest[0])


def test_answer__a_signal_within_it_leaves_nothing_half_done(toy, tmp_path, monkeypatch):
    asked = []
    step = instant_dense.HeadTraining._step

    def signalled(self, rows):
        os.kill(os.getpid(), signal.SIGTERM)
        asked.append(len(rows))
        return step(self, rows)

    monkeypatch.setattr(instant_dense.HeadTraining, "_step", signalled)
    with pytest.raises(Interrupted):
        trained(toy, tmp_path, Seen())
    assert len(asked) == 1
    assert not RunDir(tmp_path).model.exists()


def test_answer__none_where_the_numbers_are_not_finite(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(instant_dense.HeadTraining, "_step", lambda *_: {"loss": float("nan")})
    seen = Seen()
    result, _ = trained(toy, tmp_path, seen)
    assert [epoch.number for epoch in seen.epochs] == [1]
    assert result.best_epoch == 1
    assert "not finite" in seen.events[0].text


def test_beat_instant_within__ends_with_it_where_nothing_beats_it(toy, tmp_path):
    seen = Seen()
    result, _ = trained(toy, tmp_path, seen, epochs=4, beat_instant_within=0.5)
    assert (result.best_epoch, result.epochs) == (0, 2)
    assert seen.events[-1].kind == "enough"


def test_patience__does_not_end_a_training_that_has_yet_to_beat_it(toy, tmp_path):
    seen = Seen()
    result, _ = trained(toy, tmp_path, seen, epochs=3, patience=1, beat_instant_within=0)
    assert (result.best_epoch, result.epochs) == (0, 3)


def test_replay__gives_the_losses_that_the_backbone_itself_would(toy):
    """In evaluation mode, of the same images, up to what float16 leaves out."""
    samples = TrainingSamples(plan_for(toy), toy)
    network = build_network(samples.plan, toy, CPU)
    rows = np.arange(4)
    frames = [samples.frames[row] for row in rows]
    images = torch.from_numpy(np.stack([f.image for f in frames]).transpose(0, 3, 1, 2))
    lit = network.copy()
    spot = feature_maps.find_backbone(lit)
    kept = feature_maps.compute_maps(
        instant_dense._frozen(lit, spot, samples), samples.frames, 10, ignore_images
    )
    lessons = instant_dense.HeadTraining(lit, spot, samples, kept)
    size = samples.plan.train.image_size
    window = slice(0, size[0]), slice(0, size[1])
    lessons.stand_in.maps = kept.batch(rows, window, size, CPU)
    targets = lessons._targets(rows, window)
    found = []
    for net, shown in (
        (network.net, network.normalise(images)),
        (lit.net, torch.zeros(4, 3, *size)),
    ):
        net.train()
        for part in net.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.eval()
        losses = samples.task.loss(net, shown, targets, lessons.settings)
        found.append({name: float(value.detach()) for name, value in losses.items()})
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_kept__a_window_is_the_same_part_of_every_map():
    wide = torch.arange(64.0).reshape(1, 1, 8, 8)
    kept = feature_maps.FeatureMaps([wide.half(), wide[:, :, ::2, ::2].half()], [0])
    fine, coarse = kept.batch(np.array([0]), (slice(32, 64), slice(0, 32)), (64, 64), CPU)
    assert torch.equal(fine[0, 0], wide[0, 0, 4:, :4])
    assert torch.equal(coarse[0, 0], wide[0, 0, 4::2, :4:2])


def test_kept__fewer_images_where_the_memory_is_bounded(toy, monkeypatch):
    monkeypatch.setattr(feature_maps, "LARGEST", 1)
    samples = TrainingSamples(plan_for(toy), toy)
    network = build_network(samples.plan, toy, CPU)
    frozen = instant_dense._frozen(network, feature_maps.find_backbone(network), samples)
    assert feature_maps.compute_maps(frozen, samples.frames, 10, ignore_images).indices == [0]
    monkeypatch.undo()
    kept = feature_maps.compute_maps(frozen, samples.frames, 4, ignore_images)
    assert kept.indices == [0, 2, 5, 7]
    assert kept.finite
