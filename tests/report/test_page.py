"""The page says what the run's files say, whatever is missing, and asks nobody for anything."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest
import yaml

from automl.plan import Candidate, Plan
from automl.report.page import write
from automl.run_dir import RunDir
from tests.report.conftest import TASKS
from tests.report.made_run import make_run

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "use", "rect", "image", "circle"}


class Outline(HTMLParser):
    """Collects what a page consists of and which tags are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.faults, self.text = [], [], []
        self.ids, self.links, self.images = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known[k] for k in ("href", "src", "xlink:href") if k in known]
        self.images += [known] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.faults.append((tag, self.getpos()))

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def outline(run: RunDir) -> Outline:
    return Outline(write(run).read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", TASKS)
def test_write__page_is_whole_and_stands_alone(finished, task):
    page = finished[task].report
    text = page.read_text(encoding="utf-8")
    seen = Outline(text)
    assert seen.faults == []
    assert seen.open == []
    assert len(seen.ids) == len(set(seen.ids))
    assert all(link.startswith(("#", "data:")) for link in seen.links)
    assert {link[1:] for link in seen.links if link.startswith("#")} <= set(seen.ids)
    assert all(image["alt"] for image in seen.images)
    assert "<script" not in text
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)
    assert page.stat().st_size < 3_000_000


@pytest.mark.parametrize("task", TASKS)
def test_write__headline_is_that_of_the_scores(finished, task):
    run = finished[task]
    scores = json.loads(run.evaluation.read_text(encoding="utf-8"))
    words = outline(run).words
    low, high = scores["intervals"][scores["primary"]]
    assert f"{scores['metrics'][scores['primary']]:.3f}" in words
    assert f"95 % confidence interval {low:.3f} – {high:.3f}" in words
    assert "Goal met" in words
    assert f"automl predict {run.id} path/to/images" in words
    assert "fine-tuned from pretrained weights on 12 images" in words


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("classification", ["Confusion", "F1 by class", "Calibration", "Most confused"]),
        ("segmentation", ["Confusion", "IoU by class"]),
        ("detection", ["Precision over recall", "AP 50:95 by class"]),
    ],
)
def test_write__each_task_has_its_figures(finished, task, told):
    words = outline(finished[task]).words
    for what in [*told, "Loss", "Validation", "Learning rate", "Class balance", "Worst", "Best"]:
        assert what in words


def test_write__says_choices_findings_and_provenance(finished):
    words = outline(finished["detection"]).words
    assert "best of 4 that fit the budget" in words
    assert "unet-mobilenetv2_100: faster by 20 %" in words
    assert "set in the recipe" in words
    assert "HorizontalFlip (p 0.5), Affine (scale 0.8, 1.2)" in words
    assert "7 × box_outside" in words
    assert "and 2 more in findings.json" in words
    assert "8f8f8f8f" in words
    assert "with uncommitted changes" in words
    assert "cpu (AVX2)" in words
    assert "bit for bit, on this machine" in words
    assert "1 time, last after epoch 9: stopped by SIGTERM" in words
    assert "14 of 16, best 9, stopped early, resumed once" in words


def test_write__sets_what_stands_between_backticks_as_code(tmp_path):
    run = make_run(tmp_path, "classification")
    told = json.loads(run.findings.read_text())
    told[1]["reason"] = "a single ` stays"
    run.findings.write_text(json.dumps(told))
    text = write(run).read_text(encoding="utf-8")
    assert "a single ` stays" in text
    told[0]["reason"] = "equal to `a<b>.png`"
    run.findings.write_text(json.dumps(told))
    assert "equal to <code>a&lt;b&gt;.png</code>" in write(run).read_text(encoding="utf-8")


def test_write__says_that_a_smoke_run_is_one(tmp_path):
    run = make_run(tmp_path, "detection")
    assert "Smoke run" not in outline(run).words
    Plan.read(run.plan).model_copy(update={"smoke": True}).write(run.plan)
    words = outline(run).words
    assert "the scores say nothing about the model" in words
    assert "before the smoke run took a part" in words


def test_write__names_are_text_and_never_markup(tmp_path):
    hostile = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;b&gt;", "a'b${x}", "犬"]
    run = make_run(tmp_path, "detection", names=hostile)
    text = write(run).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img src=x" not in text
    words = Outline(text).words
    for name in hostile:
        assert name in words


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_write__a_hundred_classes_with_long_names(tmp_path, task):
    names = [f"class number {i} with quite a long name that goes on and on" for i in range(100)]
    run = make_run(tmp_path, task, names=names)
    seen = outline(run)
    assert seen.faults == []
    assert "100 classes" in seen.words
    assert run.report.stat().st_size < 3_000_000


def test_write__same_run_same_bytes(finished):
    run = finished["classification"]
    first = write(run).read_bytes()
    assert write(run).read_bytes() == first
    assert not list(run.root.glob("*.new"))


@pytest.mark.parametrize(
    "task", ["detection", *(pytest.param(t, marks=pytest.mark.slow) for t in TASKS[:2])]
)
def test_write__any_file_may_be_missing(tmp_path, task):
    whole = make_run(tmp_path, task)
    for name in sorted(path.name for path in whole.root.iterdir()):
        copy = RunDir(tmp_path / "copies" / name / "run")
        shutil.copytree(whole.root, copy.root)
        gone = copy.root / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        assert outline(copy).faults == []


def test_write__stages_one_after_the_other(tmp_path):
    whole, run = make_run(tmp_path, "detection"), RunDir(tmp_path / "grown" / "run")
    run.root.mkdir(parents=True)
    before = outline(run).words
    assert "Not evaluated yet" in before
    told = {
        "recipe.yaml": "Recipe",
        "dataset.json": "12 train, 24 val",
        "profile.json": "Class balance",
        "plan.yaml": "Choices and their reasons",
        "journal.jsonl": "Learning rate",
        "model": "automl predict run",
        "metrics.json": "0.608",
        "evaluation.json": "Precision over recall",
        "predictions": "Worst",
    }
    for name, said in told.items():
        assert said not in before
        source = whole.root / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, run.root / name)
        before = outline(run).words
        assert said in before


def test_write__images_that_are_gone_are_said(tmp_path):
    run = make_run(tmp_path, "segmentation")
    shutil.rmtree(tmp_path / "shapes")
    seen = outline(run)
    assert seen.images == []
    assert seen.words.count("the image can no longer be read") == 16


def test_write__missed_goal_and_training_from_scratch(tmp_path):
    run = make_run(tmp_path, "classification")
    plan = yaml.safe_load(run.plan.read_text(encoding="utf-8"))
    plan["goal"] = {"metric": "macro_f1", "at_least": 0.999}
    plan["weights"] = {"source": "none", "name": "", "sha256": "", "covers": "nothing"}
    run.plan.write_text(yaml.safe_dump(plan), encoding="utf-8")
    words = outline(run).words
    assert "Goal not met" in words
    assert "< 0.999" in words
    assert "trained from scratch" in words


def test_write__epochs_of_another_engine(tmp_path):
    run = make_run(tmp_path, "detection")
    run.journal.unlink()
    events = [
        {"time": "2026-01-01T00:00:00+00:00", "event": "epoch", "epoch": n, "total": 2,
         "lr": None, "losses": {"box_loss": 1.0 / n, "dfl_loss": None}, "metrics": {}}
        for n in (1, 2)
    ]  # fmt: skip
    text = "".join(json.dumps(event) + "\n" for event in events)
    run.journal.write_text(text, encoding="utf-8")
    words = outline(run).words
    assert "Loss over 2 epochs. Box loss from 1.000 to 0.500" in words
    assert "Learning rate over" not in words


def test_candidates__stand_in_the_page_with_what_was_measured(tmp_path):
    run = make_run(tmp_path, "classification")
    assert "Candidate models" not in write(run).read_text(encoding="utf-8")
    plan = Plan.read(run.plan)
    weighed = Candidate(
        model="efficientnet_lite1",
        parameters=4.15,
        image_size=(240, 240),
        ms_per_image=62.5,
        measured=True,
        epochs=8,
        transfer=0.961,
        unexplained=0.21,
        images=128,
        expected_s=74.0,
        verdict="twice the time",
    )
    plan.model_copy(update={"candidates": (weighed,)}).write(run.plan)
    page = write(run).read_text(encoding="utf-8")
    assert "Candidate models" in page
    for shown in ("efficientnet_lite1", "240 × 240 px", "62.5", "0.961", "twice the time"):
        assert shown in page


def test_write__time_by_stage_and_the_promise(tmp_path):
    run = make_run(tmp_path, "classification")
    assert 'id="time"' not in write(run).read_text()
    run.times.write_text('{"start": 4.2, "train": 433.0, "evaluate": 2.5}')
    page = write(run).read_text()
    assert 'id="time"' in page
    assert "7 min 20 s of the promised 10 min up to this page" in page
    assert "all, promised 10 min" in page
    assert "7 min 13 s" in page, "of the training"
