import numpy as np
import pytest

from automl.scoring.detection import DetectionTally
from automl.scoring.intervals import resample
from automl.scoring.matching import match
from automl.scoring.precision import _draw, intervals, ranked
from automl.scoring.score import score
from tests.scoring.scenes import coco, draw_scene


def matched(pairs, classes):
    tally = DetectionTally([str(k) for k in range(classes)])
    for pair in pairs:
        tally.add(*pair)
    scene = tally.scene()
    return scene, match(scene)


@pytest.mark.parametrize("seed", range(6))
def test_draw__with_each_image_once_is_the_score(seed):
    pairs = draw_scene(seed, crowds=0.3)
    scene, matches = matched(pairs, 4)
    once = np.ones((len(pairs), 1))
    ap = [_draw(scene, matches, one, once)[:, 0] for one in ranked(scene, 4)]
    scores = score("detection", "val", list("abcd"), pairs)
    for values, name in zip(ap, "abcd", strict=True):
        expected = scores.per_class[name]["ap"]
        assert np.isnan(values.mean()) if expected is None else True
        if expected is not None:
            assert values.mean() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_draw__equals_pycocotools_on_the_images_drawn(seed):
    pairs = draw_scene(50 + seed, crowds=0.2, ties=0.0)
    scene, matches = matched(pairs, 4)
    weights = next(resample(len(pairs)))[seed : seed + 1].T
    drawn = [pairs[i] for i, times in enumerate(weights[:, 0]) for _ in range(int(times))]
    expected = coco(drawn, 4).eval["precision"][:, :, :, 0, 2].mean(1).T
    ap = np.stack([_draw(scene, matches, one, weights)[:, 0] for one in ranked(scene, 4)])
    assert np.nan_to_num(ap, nan=-1) == pytest.approx(expected, abs=1e-6)


def test_intervals__hold_the_score_and_narrow_with_images():
    widths = []
    for images in (20, 200):
        pairs = draw_scene(1, images=images, crowds=0.0)
        scores = score("detection", "val", list("abcd"), pairs)
        low, high = scores.intervals["map"]
        assert 0 <= low <= scores.value <= high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_intervals__none_where_they_would_cost_too_much(monkeypatch):
    pairs = draw_scene(1)
    scene, matches = matched(pairs, 4)
    assert set(intervals(scene, matches, 4, len(pairs))) == {"map", "map50"}
    monkeypatch.setattr("automl.scoring.precision.WORK", 1000)
    assert intervals(scene, matches, 4, len(pairs)) == {}
