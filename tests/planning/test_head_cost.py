"""What choosing a penalty and fitting a head may cost."""

import pytest

from automl.planning.head_cost import FOLDS, WORK, head_seconds, trial_size


@pytest.mark.parametrize("images", [1, 30, 243, 1438, 6000, 20_000])
@pytest.mark.parametrize("classes", [2, 10, 37, 200, 1000])
def test_trial_size__a_pass_costs_little_or_no_more_than_one_of_the_fit(images, classes):
    folds, rows = trial_size(images, 1280, classes)
    assert 1 <= folds <= FOLDS
    assert 1 <= rows <= images
    assert folds * rows <= max(WORK / (1280 * classes), images)


def test_trial_size__small_sets_use_all_images_and_folds():
    assert trial_size(1438, 1280, 10) == (FOLDS, 1438)
    assert trial_size(243, 1280, 2) == (FOLDS, 243)


def test_head_seconds__grows_with_images_and_classes_and_falls_with_speed():
    assert head_seconds(0, 10, 80) == 0
    assert head_seconds(1000, 10, 80) < head_seconds(5000, 10, 80) < head_seconds(5000, 200, 80)
    assert head_seconds(5000, 200, 200) < head_seconds(5000, 200, 80)
