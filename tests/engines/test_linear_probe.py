import numpy as np
import pytest

from automl.engines.linear_probe import STRENGTHS, leave_one_out


def blobs(apart: float, count: int = 60, width: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    centres = rng.normal(size=(3, width)) * apart
    return (centres[labels] + rng.normal(size=(count, width))).astype(np.float32), labels


def by_hand(features: np.ndarray, labels: np.ndarray, strength: float) -> float:
    """The share that is left, fitted anew without each image."""
    values = features.astype(np.float64)
    values = (values - values.mean(0)) / values.std(0)
    targets = np.eye(3)[labels]
    left = 0.0
    for out in range(len(values)):
        rest = np.arange(len(values)) != out
        centre, mean = values[rest].mean(0), targets[rest].mean(0)
        known = values[rest] - centre
        penalty = strength * values.shape[1] * np.eye(values.shape[1])
        weights = np.linalg.solve(known.T @ known + penalty, known.T @ (targets[rest] - mean))
        left += np.square(targets[out] - mean - (values[out] - centre) @ weights).sum()
    return left / np.square(targets - targets.mean(0)).sum()


def test_fitted__is_leaving_each_image_out():
    features, labels = blobs(0.7)
    best = min(by_hand(features, labels, strength) for strength in STRENGTHS)
    assert leave_one_out(features, labels)[1] == pytest.approx(best, rel=1e-2)


def test_fitted__tells_useful_features_from_noise():
    (near, worse), (far, better) = leave_one_out(*blobs(0.3)), leave_one_out(*blobs(2.0))
    assert far > near
    assert better < worse
    noise = np.random.default_rng(1).normal(size=(60, 200))
    accuracy, error = leave_one_out(noise, np.arange(60) % 3)
    assert accuracy < 0.6
    assert error > 0.8


def test_fitted__more_features_than_images_are_not_learnt_by_heart():
    noise = np.random.default_rng(2).normal(size=(40, 1000))
    assert leave_one_out(noise, np.arange(40) % 2)[1] > 0.8


def test_fitted__features_that_never_change_do_no_harm():
    features, labels = blobs(2.0)
    constant = np.concatenate([features, np.ones((60, 5), np.float32)], axis=1)
    assert leave_one_out(constant, labels)[0] > 0.9
