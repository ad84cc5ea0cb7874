import yaml

from automl.plan import Plan, Reason
from automl.plan_text import leaves, table, to_yaml
from tests.planning.situations import plan_for, profile


def test_to_yaml__reads_back_equal(tmp_path):
    goals = {"classification": "accuracy", "segmentation": "miou", "detection": "map50"}
    for task, metric in goals.items():
        plan = plan_for(profile(task), goal={"metric": metric, "at_least": 0.9}, budget="10m")
        plan.write(tmp_path / "plan.yaml")
        assert Plan.read(tmp_path / "plan.yaml") == plan


def test_to_yaml__survives_awkward_values(tmp_path):
    noise = {"GaussNoise": {"std_range": [1e-5, 0.1], "p": 1e-3}}
    plan = plan_for(
        profile("classification"), train={"lr": 1e-5, "weight_decay": 1e-7}, augment=[noise]
    )
    awkward = plan.model_copy(
        update={
            "device": "no",
            "model": "yes: # \"quoted\" 'x' \u2028 \U0001f600 é",
            "reasons": {
                **plan.reasons,
                "model": Reason(because="two\nlines # and: more", runner_up="~"),
            },
        }
    )
    awkward.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == awkward


def test_to_yaml__comments_every_value_and_keeps_reasons_as_data():
    plan = plan_for(profile("detection"))
    text = to_yaml(plan)
    line = next(line for line in text.splitlines() if line.startswith("  batch_size:"))
    assert "# 300 images make" in line
    raw = yaml.safe_load(text)
    assert raw["reasons"]["train.batch_size"]["because"].startswith("300 images make")
    assert raw["train"]["lr"] == plan.train.lr


def test_table__one_row_per_leaf_with_its_reason():
    plan = plan_for(profile("segmentation"))
    rows = table(plan)
    assert [row[0] for row in rows] == [key for key, _ in leaves(plan)]
    assert all(because for _, _, because, _ in rows)
    shown = {key: value for key, value, _, _ in rows}
    assert shown["train.image_size"] == "480x512" or "x" in shown["train.image_size"]
    assert shown["goal"] == "-"
