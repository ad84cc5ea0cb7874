"""What a machine was seen to be able to is remembered, and harms nothing where it cannot be."""

import json

import pytest

from automl.planning import learnt
from automl.planning.cost import steady_gflops
from automl.planning.hardware import Hardware


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_fastest__a_busy_moment_is_no_slower_machine(cache):
    assert learnt.fastest("cpu", 80.0) == 80.0
    assert learnt.fastest("cpu", 43.0) == 80.0
    assert learnt.fastest("another cpu", 43.0) == 43.0
    assert learnt.fastest("cpu", 90.0) == 90.0
    assert learnt.fastest("cpu", 80.0) == 90.0


def test_fastest__what_cannot_be_true_is_forgotten(cache):
    learnt.fastest("cpu", 1e6)
    assert learnt.fastest("cpu", 80.0) == 80.0
    assert learnt.fastest("cpu", 40.0) == 80.0


@pytest.mark.parametrize("known", ["fast", None, [], True])
def test_fastest__nonsense_is_as_good_as_nothing(cache, known):
    cache.mkdir()
    key = f"{learnt.machine()} speed cpu"
    (cache / "times.json").write_text(json.dumps({key: {"gflops": known}, "other": {"x": 1}}))
    assert learnt.fastest("cpu", 80.0) == 80.0
    assert learnt.read() == {key: {"gflops": 80.0}, "other": {"x": 1}}


def test_fastest__without_a_cache_it_is_the_speed_of_the_moment(monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", "off")
    assert learnt.fastest("cpu", 80.0) == 80.0
    assert learnt.fastest("cpu", 43.0) == 43.0


def test_steady_gflops__goes_by_the_fastest():
    idle, busy = (
        Hardware("cpu", "", 2**33, 1, bf16=False, gflops=gflops, fastest=80.0)
        for gflops in (80.0, 43.0)
    )
    assert steady_gflops(busy) == steady_gflops(idle)
