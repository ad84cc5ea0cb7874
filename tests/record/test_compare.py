"""Only what differs between two runs is said, and whether their scores can be compared."""

import json
import shutil

import pytest

from automl.commands.comparison import comparison_facts, comparison_lines
from automl.files import read_object, write_json
from automl.plan import Plan
from automl.record.compare import compare, differing
from automl.run_dir import RunDir
from tests.report.made_run import make_run


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A run and a copy of it."""
    monkeypatch.chdir(tmp_path)
    a = make_run(tmp_path, "classification")
    a.recipe.write_text("task: classification\ndata: ../../shapes\nmodel: auto\n")
    known = {
        "program": {"version": "1", "digest": "ab" * 32},
        "git": {"commit": "c0ffee", "dirty": False, "diff_digest": ""},
        "python": "3.11.1",
        "packages": {"numpy": "2.0", "torch": "2.10"},
        "machine": {"cpu": "an abacus", "cores": 2},
        "threads": 1,
        "device": "cpu",
    }
    write_json(a.provenance, known)
    b = RunDir(a.root.with_name("other"))
    shutil.copytree(a.root, b.root)
    return a, b


def edit(run, path, **changes):
    found = read_object(path, "x")
    for key, value in changes.items():
        at, *rest = key.split("__")
        if rest:
            found[at][rest[0]] = value
        else:
            found[at] = value
    write_json(path, found)


def differences(a, b):
    return {name: rows for name, rows in compare(a, b).groups.items() if rows}


def test_differing__leaves_in_the_order_of_the_first():
    a = {"x": 1, "deep": {"same": 2, "list": [1, 2], "gone": None}, "last": {}}
    b = {"deep": {"same": 2, "list": [2, 1], "new": "n"}, "x": 3, "last": {}}
    assert differing(a, b) == [
        ("x", 1, 3),
        ("deep.list", [1, 2], [2, 1]),
        ("deep.new", None, "n"),
    ]


def test_compare__a_copy_differs_in_nothing(pair):
    a, b = pair
    found = compare(a, b)
    assert not any(found.groups.values())
    assert found.incomparable == ""
    assert all(m.difference == 0 for m in found.metrics)
    assert "no difference in recipe" in "\n".join(comparison_lines(found))


def test_compare__says_each_difference_in_its_group(pair):
    a, b = pair
    b.recipe.write_text("task: classification\ndata: ../../shapes\nmodel: resnet18\n")
    plan = Plan.read(b.plan)
    changed = plan.train.model_copy(update={"lr": 0.5})
    plan.model_copy(update={"train": changed}).write(b.plan)
    edit(b, b.provenance, python="3.12.0", packages__torch="2.11", git__commit="beef", threads=4)

    found = differences(a, b)

    assert found["recipe"] == [("model", "auto", "resnet18")]
    assert [row[0] for row in found["plan"]] == ["train.lr"]
    assert found["code"] == [("commit", "c0ffee", "beef")]
    assert found["environment"] == [
        ("python", "3.11.1", "3.12.0"),
        ("packages.torch", "2.10", "2.11"),
        ("threads", 1, 4),
    ]
    assert list(found) == ["recipe", "plan", "code", "environment"]


def test_compare__scores_with_intervals(pair):
    a, b = pair
    edit(b, b.metrics, accuracy=0.1)
    evaluation = read_object(b.evaluation, "x")
    evaluation["intervals"]["accuracy"] = [0.05, 0.15]
    write_json(b.evaluation, evaluation)
    (metric,) = [m for m in compare(a, b).metrics if m.name == "accuracy"]
    assert metric.difference == pytest.approx(0.1 - metric.a)
    assert metric.overlap is False
    lines = comparison_lines(compare(a, b))
    (line,) = [line for line in lines if line.startswith("accuracy")]
    assert "0.1000 (0.050 to 0.150)" in line
    assert line.endswith("apart")


def test_compare__other_data_makes_scores_incomparable(pair):
    a, b = pair
    dataset = json.loads(b.dataset.read_text())
    train = next(s for s in dataset["samples"] if s["split"] == "train")
    train["digest"] = "cd" * 32
    b.dataset.write_text(json.dumps({**dataset, "digest": "77" * 32}))
    assert compare(a, b).incomparable == "", "the judged split is the same"
    assert ("split.train" in dict((r[0], r) for r in differences(a, b)["data"])) is True

    val = next(s for s in dataset["samples"] if s["split"] == "val")
    val["digest"] = "cd" * 32
    b.dataset.write_text(json.dumps(dataset))
    assert "the val splits are not the same" in compare(a, b).incomparable
    assert "cannot be compared" in comparison_lines(compare(a, b))[-1]


def test_compare__another_split_or_no_scores(pair):
    a, b = pair
    edit(b, b.metrics, split="test")
    assert compare(a, b).incomparable == "judged on different splits: val and test"
    b.metrics.unlink()
    assert compare(a, b).incomparable == "no scores: other"


def test_comparison__json_and_width(pair):
    a, b = pair
    edit(b, b.provenance, machine__cpu="an abacus with very many and quite long rows of beads " * 3)
    found = compare(a, b)
    facts = json.loads(json.dumps(comparison_facts(found), allow_nan=False))
    assert facts["comparable"] is True
    assert facts["differences"]["environment"][0]["field"] == "machine.cpu"
    assert facts["metrics"][0]["overlap"] is True
    lines = comparison_lines(found)
    assert max(map(len, lines)) <= 100
    assert lines == comparison_lines(compare(a, b))


def test_compare__of_runs_that_have_just_begun(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(f"task: detection\ndata: {name}\n")
    found = compare(RunDir(tmp_path / "a"), RunDir(tmp_path / "b"))
    assert [row[0] for row in found.groups["recipe"]] == ["data.path"]
    assert found.incomparable == "no scores: a and b"
