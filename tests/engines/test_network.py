from dataclasses import replace

import pytest
import torch

from automl.dataset import Class
from automl.engines.network import Network, build_network, has_fast_bf16, loss_settings
from automl.model.preprocess import Preprocess
from automl.planning.backbones import find
from automl.tasks import classification
from automl.tasks.protocol import LossSettings
from tests.engines.toy import draw_set, toy_plan


@pytest.mark.parametrize(("card", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_has_fast_bf16__since_ampere(monkeypatch, card, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: card)
    assert has_fast_bf16(torch.device("cuda:0")) is fast
    assert not has_fast_bf16(torch.device("cpu"))


@pytest.mark.parametrize("side", [1, 2, 33])
def test_normalise__rows_at_once_give_the_bits_of_channel_by_channel(side: int) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    network = Network(
        torch.nn.Identity(), "classification", find("efficientnet_lite0", "classification"),
        Preprocess((side, 5), "squash", mean, std), "fp32", 4, torch.device("cpu"), {},
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 256, (4, side, 5, 3), dtype=torch.uint8, generator=generator)
    images = rows.permute(0, 3, 1, 2)
    found = network.normalise(images)
    plain = network.normalise(images.contiguous())
    expected = torch.tensor(mean).view(1, 3, 1, 1) * 255, torch.tensor(std).view(1, 3, 1, 1) * 255
    assert torch.equal(found, images.float().sub_(expected[0]).div_(expected[1]))
    assert torch.equal(found, plain)
    assert found.permute(0, 2, 3, 1).is_contiguous()
    assert images.dtype == torch.uint8


def test_loss_settings__a_class_without_examples_has_the_mean_weight(tmp_path) -> None:
    dataset = draw_set("classification", tmp_path, train=12, val=2)
    few = [s for s in dataset.samples if s.label == 0 or s.path in ("001.png", "003.png")]
    more = (*dataset.classes, Class(9, "unused"))
    dataset = replace(dataset, samples=tuple(few), classes=more)
    plan = toy_plan("classification", dataset, class_weights="balanced")
    found = loss_settings(plan, dataset, torch.device("cpu")).class_weights
    assert found is not None
    frequent, rare, unused = found.tolist()
    assert rare / frequent == pytest.approx(3**0.5)
    assert (frequent + rare) / 2 == pytest.approx(1.0)
    assert unused == 1.0


def test_loss__smoothing_goes_to_all_classes_alike_whatever_their_weights() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 0, 1, 0, 0])

    def loss(weights: list[float]) -> torch.Tensor:
        settings = LossSettings(0.1, torch.tensor(weights))
        parts = classification.loss(torch.nn.Identity(), logits, targets, settings)
        return parts["cross_entropy"]

    plain = classification.loss(torch.nn.Identity(), logits, targets, LossSettings(0.1))
    assert torch.allclose(loss([1.0, 1.0, 1.0]), plain["cross_entropy"])
    assert torch.equal(loss([0.5, 2.0, 0.1]), loss([0.5, 2.0, 30.0]))


@pytest.mark.parametrize("model", ["test_resnet", "mobilenetv4_conv_small"])
def test_build_network__one_small_image_alone_can_be_trained_on(tmp_path, model) -> None:
    """Its last maps are one pixel, on which batch normalisation fails."""
    dataset = draw_set("classification", tmp_path, train=2, val=2)
    plan = toy_plan("classification", dataset, image_size=(32, 32), crop=(32, 32))
    network = build_network(plan.model_copy(update={"model": model}), dataset, torch.device("cpu"))
    network.train(frozen=False)
    lone = torch.rand(1, 3, 32, 32)
    network.net(lone).sum().backward()
    norms = [m for m in network.net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(norm.training for norm in norms)
    assert all(norm.weight.grad is not None for norm in norms)
    network.train(frozen=True)
    network.net(lone)
    assert not norms[0].training
