import pytest

from automl.planning.choice import Situation
from automl.planning.times import budget_seconds, fewest_epochs, goal_seconds, in_words, most_epochs
from tests.planning.situations import CPU, profile, recipe

WHOLE = (224, 224)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), (None, None)],
)
def test_budget_seconds__units(text, seconds):
    assert budget_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "ten minutes", "0s", "10m!", "-5m", "1 m", "9" * 99 + "h"]
)
def test_budget_seconds__none_where_it_is_no_time(text):
    assert budget_seconds(text) is None


def at(images=300, **fields):
    of = profile("classification", images={"train": images})
    return Situation(recipe("classification", **fields), of, CPU)


def test_epochs__fewer_for_more_images_more_for_few():
    numbers = [fewest_epochs(at(n), WHOLE, WHOLE, pretrained=True) for n in (20, 245, 1400, 50_000)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[1] == 8
    assert numbers[-1] >= 3
    assert all(
        most_epochs(at(n), WHOLE, WHOLE, pretrained=True)
        >= fewest_epochs(at(n), WHOLE, WHOLE, pretrained=True)
        for n in (1, 20, 245, 1400, 50_000, 10**7)
    )


def test_epochs__crops_and_scratch_need_more():
    whole = fewest_epochs(at(), WHOLE, WHOLE, pretrained=True)
    assert fewest_epochs(at(), (448, 224), WHOLE, pretrained=True) > whole
    assert fewest_epochs(at(), WHOLE, WHOLE, pretrained=False) > 2 * whole


def test_goal_seconds__effort_and_budget():
    goals = [goal_seconds(at(effort=e)) for e in ("quick", "standard", "thorough")]
    assert goals == sorted(goals)
    assert 60 < goal_seconds(at(budget="2m")) < 120


def test_in_words__units():
    times = (0, 0.24, 0.96, 1.4, 45, 600, 36_000)
    said = ["0.01 s", "0.2 s", "1 s", "1 s", "45 s", "10 min", "10.0 h"]
    assert [in_words(s) for s in times] == said
