import pytest

from automl.report import formatting


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (True, "yes"),
        (1234567, "1\u202f234\u202f567"),
        (0.98765, "0.988"),
        (0.0, "0.000"),
        (123.456, "123.5"),
        (1e-5, "1.00e-05"),
    ],
)
def test_number__is_short(value, said):
    assert formatting.number(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (4.21, "4.2 s"),
        (59, "59 s"),
        (60, "1 min"),
        (187, "3 min 7 s"),
        (7300, "2 h 1 min"),
    ],
)
def test_seconds__two_largest_units(value, said):
    assert formatting.seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "–"),
        ([], "–"),
        (0, "0"),
        (0.0, "0"),
        (0.0005, "0.0005"),
        ([224, 288], "224 × 288 px"),
        ([{"Flip": {"p": 0.5}}, {"Blur": {}}], "Flip (p 0.5), Blur"),
        ({"Flip": {"p": 0.5}}, "Flip (p 0.5)"),
        ("ab" * 32, "abababababab…"),
        ("cuda:0", "cuda:0"),
    ],
)
def test_setting__of_a_plan(value, said):
    assert formatting.setting(value) == said


def test_metric__known_and_unknown():
    assert formatting.metric("map50") == "mAP 50"
    assert formatting.metric("box_loss") == "Box loss"


def test_plural__of_words_in_s():
    assert formatting.plural(1, "class") == "1 class"
    assert formatting.plural(2, "class") == "2 classes"
    assert formatting.plural(2, "image") == "2 images"
