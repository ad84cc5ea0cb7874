"""First epochs in which the backbone stays as it is, and what comes after them."""

import pytest
import torch

from automl.engines import checkpoint as checkpoints
from automl.engines import native
from automl.engines.network import build_network
from automl.model import bundle as bundles
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, toy_plan

CPU = torch.device("cpu")


def test_train__a_frozen_transformer_whose_first_parameters_are_its_own(tmp_path):
    dataset = draw_set("classification", tmp_path / "set", train=2, val=2)
    plan = toy_plan("classification", dataset, backbone_lr=0.0)
    network = build_network(plan.model_copy(update={"model": "test_vit"}), dataset, CPU)
    network.train(frozen=True)
    modes = {name: part.training for name, part in network.net.named_modules()}
    assert modes["head"]
    assert not modes["blocks.0.norm1"]


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_frozen_epochs__the_backbone_learns_after_them(task, tmp_path):
    dataset = draw_set(task, tmp_path / "set", train=8, val=4)
    plan = toy_plan(task, dataset, frozen_epochs=1, epochs=2, ema=0.0, batch_size=4, micro_batch=4)
    first = build_network(plan, dataset, CPU)
    backbone = [name for name, stage in first.stages.items() if stage > 0]
    seen = []

    def look(_epoch):
        seen.append(dict(bundles.load_state(run.model)) if seen else {})
        return float(len(seen))

    run = RunDir(tmp_path / "run")
    native.train(plan, dataset, run, look, lambda *_: None)
    begun, after_one, after_two = first.net.state_dict(), seen[1], bundles.load_state(run.model)
    assert all(torch.equal(begun[name], after_one[name]) for name in backbone)
    assert not all(torch.equal(begun[name], after_two[name]) for name in backbone)
    new = [name for name, stage in first.stages.items() if stage == 0]
    assert not all(torch.equal(begun[name], after_one[name]) for name in new)


def test_frozen_epochs__resumed_within_them_ends_in_the_same_bits(tmp_path):
    dataset = draw_set("segmentation", tmp_path / "set", train=8, val=4)
    plan = toy_plan("segmentation", dataset, frozen_epochs=1, batch_size=4, micro_batch=4)

    def train(run, until=None):
        def step(epoch, at, steps, loss):
            if (epoch, at) == until:
                raise KeyboardInterrupt

        native.train(plan, dataset, run, lambda epoch: float(epoch.number), step)

    whole, cut = RunDir(tmp_path / "whole"), RunDir(tmp_path / "cut")
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(cut, until=(2, 1))
    assert checkpoints.newest(cut.checkpoints).epoch == 1
    assert bundles.read(cut.model).task == "segmentation"  # of the first epoch, usable
    train(cut)
    assert bundles.read(whole.model).weights_sha256 == bundles.read(cut.model).weights_sha256
