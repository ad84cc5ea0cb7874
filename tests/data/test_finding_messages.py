"""What a person is told of thousands of findings: little, and nothing is lost."""

from dataclasses import replace

import pytest

from automl.data.finding_messages import WARNINGS_TOLD, counted, refuse_fatal, warnings
from automl.data.reading import fatal, warning
from automl.errors import DataError


def test_refuse_fatal__warnings_stop_nothing():
    refuse_fatal([warning("w", "a", "odd", "look")])
    with pytest.raises(DataError) as caught:
        refuse_fatal([fatal("f", "a.png", "broken", "fetch it"), warning("w", "a", "odd", "look")])
    assert [f.message for f in caught.value.faults] == ["broken"]


def test_warnings__a_line_for_each_kind():
    twice = [warning("same", f"{i}.png", f"same bytes as {i}", "keep one") for i in range(3)]
    assert warnings([*twice, warning("dark", ".", "too dark", "stretch it")]) == [
        "  same bytes as 0 (0.png), and 2 more like it; keep one",
        "  too dark; stretch it",
    ]
    many = [warning(f"c{i}", "a", "odd", "look") for i in range(WARNINGS_TOLD + 2)]
    assert warnings(many)[-1] == "  and 2 more kinds of finding"
    assert warnings([fatal("f", "a", "broken", "fetch it")]) == []


def test_counted__waived_ones_apart_and_not_told():
    open_, known = warning("dark", "a", "too dark", "look"), warning("same", "b", "same", "look")
    known = replace(known, waived="frames of one video")
    assert counted([]) == ""
    assert counted([open_]) == "; 1 finding:"
    assert counted([open_, open_, known]) == "; 2 findings; 1 waived:"
    assert counted([known]) == "; 1 waived"
    assert warnings([known]) == []
