"""A linear head on features: the optimum it should find, folded exactly into a plain layer."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from automl.engines.head import PENALTIES, USUAL_PENALTY, fit
from automl.planning.head_cost import FOLDS, trial_size


def blobs(count=200, width=12, classes=3, noise=1.0):
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % classes
    centres = torch.randn(classes, width, generator=generator)
    features = centres[targets] + noise * torch.randn(count, width, generator=generator)
    return features * torch.linspace(0.1, 30, width) + 5, targets, torch.arange(count) % FOLDS


def test_fit__is_the_optimum_on_standardised_features():
    features, targets, folds = blobs()
    head = fit(features, targets, 3, folds)
    wide = features.double()
    mean, deviation = wide.mean(0), wide.std(0, correction=0)
    weight = (head.weight.double() * deviation).requires_grad_()
    bias = (head.bias.double() + head.weight.double() @ mean).requires_grad_()
    logits = (wide - mean) / deviation @ weight.T + bias
    loss = functional.cross_entropy(logits, targets)
    (loss + 0.5 * head.penalty / len(wide) * weight.square().sum()).backward()
    assert float(weight.grad.abs().max()) < 1e-3
    assert float(bias.grad.abs().max()) < 1e-3
    folded = functional.linear(features, head.weight, head.bias)
    assert torch.allclose(folded.double(), logits, rtol=1e-4, atol=1e-4)


def test_fit__noise_calls_for_a_stronger_penalty():
    clear, vague = (
        fit(*blobs(noise=0.3)[:2], 3, blobs()[2]),
        fit(*blobs(noise=8.0)[:2], 3, blobs()[2]),
    )
    assert clear.penalty < vague.penalty
    assert {clear.penalty, vague.penalty} <= set(PENALTIES)


def test_fit__same_bits_twice():
    first, second = fit(*blobs()[:2], 3, blobs()[2]), fit(*blobs()[:2], 3, blobs()[2])
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_fit__several_labels_and_weights():
    features, targets, folds = blobs()
    several = functional.one_hot(targets, 3).float()
    several[:, 0] = (features[:, 0] > features[:, 0].median()).float()
    head = fit(features, several, 3, folds, torch.tensor([1.0, 0.5, 1.5]))
    shown = functional.linear(features, head.weight, head.bias) > 0
    assert (shown == several.bool()).float().mean() > 0.85


def test_fit__rare_classes_count_more_where_they_weigh_more():
    features, targets, folds = blobs(noise=4.0)
    few = torch.tensor([0.1, 0.1, 2.8])
    plain, weighted = fit(features, targets, 3, folds), fit(features, targets, 3, folds, few)

    def third(head):
        return (functional.linear(features, head.weight, head.bias).argmax(1) == 2).sum()

    assert third(weighted) > third(plain)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_fit__few_images_and_dead_features(count):
    features = torch.zeros(count, 4)
    features[:, 1] = torch.from_numpy(np.arange(count, dtype=np.float32))
    head = fit(features, torch.arange(count) % 2, 2, torch.arange(count) % FOLDS)
    assert head.penalty == USUAL_PENALTY
    assert torch.isfinite(head.weight).all()
    assert float(head.weight[:, [0, 2, 3]].abs().max()) == 0


def test_fit__many_classes_are_tried_on_one_fold():
    features, targets, folds = blobs(count=2400, width=64, classes=600, noise=0.2)
    assert trial_size(2400, 1280, 600)[0] == 1
    head = fit(features.repeat(1, 20), targets, 600, folds)
    assert head.penalty in PENALTIES
    shown = functional.linear(features.repeat(1, 20), head.weight, head.bias).argmax(1)
    assert (shown == targets).float().mean() > 0.95


def test_fit__is_ended_between_two_passes():
    passes = []

    def stop():
        passes.append(1)
        if len(passes) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(*blobs()[:2], 3, blobs()[2], on_pass=stop)
    assert len(passes) == 5
