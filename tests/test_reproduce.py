"""A run repeated: identical to the bit, or different because of something that is named."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from automl import pipeline
from automl.commands import reproduce_output
from automl.engines.recorded_schedule import Replay
from automl.errors import AutomlError, DataError, GateError, MachineError, UsageError
from automl.files import read_object, write_json
from automl.plan import Plan, Weights
from automl.record import journal
from automl.record.journal import Journal
from automl.record.verdict import judge
from automl.reproduce import reproduce
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.toy_run import planned_run

PACKAGE = Path(pipeline.__file__).parent


def finish(run: RunDir) -> RunDir:
    pipeline.train(run, Silent())
    pipeline.evaluate(run, Silent())
    return run


def again(run: RunDir, **options) -> RunDir:
    """The folder of a repetition."""
    return RunDir(run.root.with_name("again"))


def edit(path: Path, **changes) -> None:
    write_json(path, {**read_object(path, "x"), **changes})


def epochs(run: RunDir) -> list[tuple[int, int]]:
    return [(e["epoch"], e["total"]) for e in journal.epochs(journal.read(run.journal))]


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    return finish(planned_run(tmp_path, "classification"))


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> RunDir:
    """A finished run, to be copied by what does not train."""
    folder = tmp_path_factory.mktemp("template")
    return finish(planned_run(folder, "classification"))


@pytest.fixture
def copies(template, tmp_path, monkeypatch) -> tuple[RunDir, RunDir]:
    """A run, and its like as a reproduction would leave it."""
    monkeypatch.chdir(tmp_path)
    pair = (RunDir(tmp_path / "runs" / "first"), RunDir(tmp_path / "runs" / "second"))
    for run in pair:
        shutil.copytree(template.root, run.root)
    return pair


@pytest.mark.parametrize(
    "task",
    [
        "classification",
        pytest.param("segmentation", marks=pytest.mark.slow),
        pytest.param("detection", marks=pytest.mark.slow),
    ],
)
def test_reproduce__identical(tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    run = finish(planned_run(tmp_path, task))
    answer = reproduce(run, again(run), Silent())
    assert answer.verdict.word == "identical", answer.facts()
    assert answer.verdict.differences == []
    assert answer.verdict.weights[0] == answer.verdict.weights[1] != ""
    assert answer.verdict.metrics
    assert json.loads(answer.again.reproduction.read_text())["verdict"] == "identical"
    assert reproduce_output.lines(answer)[-1].startswith("identical: weights ")
    reproduce_output.raise_failures(answer)


def test_reproduce__takes_the_epochs_that_a_budget_left(tmp_path, monkeypatch):
    """As if the clock had cut the training during its second epoch."""
    monkeypatch.chdir(tmp_path)
    run = planned_run(tmp_path, "classification", epochs=4)
    Plan.read(run.plan).model_copy(update={"budget_s": 1e9}).write(run.plan)
    Replay((4, 3, 3)).write(run, run)
    finish(run)
    assert epochs(run) == [(1, 4), (2, 4), (3, 3)]
    run.replay.unlink()
    answer = reproduce(run, again(run), Silent())
    assert epochs(answer.again) == epochs(run)
    assert answer.verdict.word == "identical"


def test_reproduce__ends_within_the_epoch_in_which_a_budget_ended(tmp_path, monkeypatch):
    """As if the clock had given one step, then five, then three; each epoch has two."""
    monkeypatch.chdir(tmp_path)
    run = planned_run(tmp_path, "classification", epochs=4)
    Plan.read(run.plan).model_copy(update={"budget_s": 1e9, "most_epochs": 4}).write(run.plan)
    Replay(ends=((0, 0, 8), (0, 1, 5), (1, 0, 3))).write(run, run)
    finish(run)
    assert epochs(run) == [(1, 3), (2, 2)]
    run.replay.unlink()
    answer = reproduce(run, again(run), Silent())
    assert read_object(answer.again.replay, "x")["ends"] == [[0, 0, 8], [0, 1, 5], [1, 0, 3]]
    assert answer.verdict.word == "identical"
    trained = [e for e in journal.read(run.journal) if e["event"] == "trained"]
    assert (trained[0]["epochs"], trained[0]["stopped_early"]) == (2, False)


def test_reproduce__an_instant_answer_within_a_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = planned_run(
        tmp_path, "classification", instant="torch", epochs=4, beat_instant_within=0.5
    )
    Plan.read(run.plan).model_copy(update={"budget_s": 1e9, "most_epochs": 4}).write(run.plan)
    finish(run)
    assert epochs(run)[0] == (0, 4)
    answer = reproduce(run, again(run), Silent())
    assert epochs(answer.again) == epochs(run)
    assert answer.verdict.word == "identical", answer.facts()


def test_reproduce__halves_the_images_at_once_where_memory_ran_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = planned_run(tmp_path, "classification")
    Replay((), ((0, 1, 4),)).write(run, run)
    finish(run)
    run.replay.unlink()
    lines = run.journal.read_text().splitlines(keepends=True)
    Journal(run.journal).write("memory", epoch=1, step=2, micro_batch=4, was=8)
    last = run.journal.read_text().splitlines(keepends=True)[-1]
    run.journal.write_text("".join([lines[0], last, *lines[1:]]))
    answer = reproduce(run, again(run), Silent())
    assert read_object(answer.again.replay, "x")["micro_batches"] == [[0, 1, 4]]
    assert answer.verdict.word == "identical"
    plain = RunDir(run.root.with_name("plain"))
    shutil.copytree(answer.again.root, plain.root)
    for path in (plain.checkpoints, plain.model):
        shutil.rmtree(path)
    for path in (plain.replay, plain.journal):
        path.unlink()
    assert judge(run, finish(plain)).word != "identical", "the images at once change the bits"


def test_reproduce__names_all_that_is_missing_before_it_trains(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_WEIGHTS", str(tmp_path / "no-weights"))
    first = sorted((tmp_path / "data").glob("*.png"))[0]
    first.write_bytes(first.read_bytes() + b"edited")
    gone = sorted((tmp_path / "data").glob("*.png"))[-1]
    gone.unlink()
    plan = Plan.read(run.plan)
    weights = Weights(source="store", name="net.safetensors", sha256="0" * 64)
    plan.model_copy(update={"weights": weights, "device": "cuda:7"}).write(run.plan)
    with pytest.raises(AutomlError) as caught:
        reproduce_output.again(run.id, None, here=False)
    said = "\n".join(line for fault in caught.value.faults for line in fault.lines())
    assert caught.value.exit_code == 2
    assert len(caught.value.faults) == 3
    for word in (first.name, gone.name, "2 files changed or gone", "weights", "cuda:7"):
        assert word in said
    assert [path.name for path in run.root.parent.iterdir()] == [run.id], "nothing was begun"


def test_reproduce__only_the_machine_lacks_something(run):
    plan = Plan.read(run.plan)
    plan.model_copy(update={"device": "cuda:7"}).write(run.plan)
    with pytest.raises(MachineError):
        reproduce(run, again(run), Silent())


def test_reproduce__a_run_that_is_not_done(run):
    run.metrics.unlink()
    shutil.rmtree(run.model)
    with pytest.raises(DataError) as caught:
        reproduce(run, again(run), Silent())
    assert {fault.hint for fault in caught.value.faults} == {
        "run `automl train` first", "run `automl evaluate` first",
    }  # fmt: skip


def test_reproduce__a_stopped_one_goes_on_in_its_folder(run):
    folder = again(run)
    answer = reproduce(run, folder, Silent())
    folder.reproduction.unlink()
    repeated = reproduce_output.again(run.id, folder.root, here=False)
    assert repeated.verdict.word == answer.verdict.word == "identical"
    assert len(read_object(folder.provenance, "x")["restarts"]) == 1
    with pytest.raises(UsageError, match="something already"):
        reproduce_output.again(run.id, folder.root, here=False)


def test_judge__copies_are_identical(copies):
    assert judge(*copies).word == "identical"


def worse(run: RunDir, accuracy: float = 0.0) -> None:
    """Other weights, and scores far outside of any interval."""
    described = read_object(run.model / "model.json", "x")
    edit(run.model / "model.json", weights={**described["weights"], "sha256": "f" * 64})
    edit(run.metrics, accuracy=accuracy)


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("packages", {"torch": "1.0"}, "packages.torch"),
        ("program", {"version": "0.0", "digest": "e" * 64}, "code.version"),
        ("machine", {"cpu": "an abacus"}, "machine.cpu"),
        ("threads", 64, "threads.torch"),
        ("device_facts", {"name": "a card"}, "device.name"),
    ],
)
def test_judge__different_because(copies, key, value, field):
    first, second = copies
    known = read_object(first.provenance, "x")[key]
    edit(first.provenance, **{key: {**known, **value} if isinstance(value, dict) else value})
    assert judge(first, second).word == "identical", "what differs did no harm"
    worse(second)
    verdict = judge(first, second)
    assert verdict.word == "different"
    assert verdict.because[0] == field
    shown = next(iter(value.values())) if isinstance(value, dict) else value
    assert verdict.because[1] == shown


def test_judge__the_first_in_the_order_counts(copies):
    first, second = copies
    known = read_object(first.provenance, "x")
    edit(first.provenance, packages={**known["packages"], "torch": "1.0"}, threads=64)
    data = {**known["dataset"], "after": {"digest": "a" * 64}}
    edit(first.provenance, dataset=data)
    worse(second)
    fields = [row[0] for row in judge(first, second).differences]
    assert fields == ["data.after training", "packages.torch", "threads.torch"]


def test_judge__plan_and_unknown(copies):
    first, second = copies
    worse(second)
    assert judge(first, second).because == ("unknown", None, None)
    plan = Plan.read(second.plan)
    changed = plan.train.model_copy(update={"lr": 0.5})
    plan.model_copy(update={"train": changed}).write(second.plan)
    assert judge(first, second).because == ("plan.train.lr", plan.train.lr, 0.5)


def test_judge__within_tolerance(copies):
    first, second = copies
    for run in copies:
        edit(run.evaluation, intervals={"accuracy": [0.4, 0.8]})
        edit(run.metrics, accuracy=0.6)
    worse(second, accuracy=0.75)
    assert judge(first, second).word == "within tolerance"
    worse(second, accuracy=0.81)
    assert judge(first, second).word == "different"
    for run in copies:
        edit(run.evaluation, intervals={})
    worse(second, accuracy=0.609)
    assert judge(first, second).word == "within tolerance"


def test_complain__different_is_exit_code_5(copies, monkeypatch):
    from automl.reproduce import Reproduction

    first, second = copies
    known = read_object(first.provenance, "x")
    edit(first.provenance, packages={**known["packages"], "torch": "1.0"})
    worse(second)
    answer = Reproduction(first, second, judge(first, second), [])
    now = known["packages"]["torch"]
    assert reproduce_output.lines(answer)[-1] == f"different because packages.torch: 1.0 -> {now}"
    with pytest.raises(GateError, match=r"different because packages\.torch: 1\.0 ->") as caught:
        reproduce_output.raise_failures(answer)
    assert caught.value.exit_code == 5


def checkout(place: Path) -> Path:
    """A Git checkout of the program, as another machine may have one."""
    shutil.copytree(PACKAGE, place / "automl", ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        git(place, *words)
    return place


def git(place: Path, *words: str) -> str:
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.com")
    done = subprocess.run(
        ["git", *who, *words], cwd=place, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def automl(place: Path, *words: str) -> subprocess.CompletedProcess:
    """The program of that checkout."""
    environment = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "automl", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_reproduce__by_the_code_of_the_run(tmp_path, monkeypatch):
    """The program was edited, the run made, then edited again and committed."""
    place = checkout(tmp_path / "checkout")
    loss = place / "automl" / "tasks" / "classification.py"
    loss.write_text(loss.read_text() + "\n# not committed\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    run = planned_run(tmp_path / "work", "classification")
    for verb in ("train", "evaluate"):
        assert automl(place, verb, run.id).returncode == 0
    assert run.own_patch.is_file()
    then = read_object(run.provenance, "x")["program"]["digest"]
    loss.write_text(loss.read_text() + "\n# later\n")
    git(place, "commit", "-qam", "two")

    done = automl(place, "reproduce", run.id, "--json")

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "identical"
    assert "commit" in answer["notes"][0]
    assert read_object(Path(answer["folder"]) / "provenance.json", "x")["program"]["digest"] == then
    assert git(place, "worktree", "list").count("\n") == 0, "the worktree is gone"

    here = automl(place, "reproduce", run.id, "--here", "--json")
    assert json.loads(here.stdout)["differences"][0]["field"] == "code.program"

    git(place, "checkout", "-q", "--orphan", "other")
    git(place, "commit", "-qm", "no history")
    for words in (["branch", "-qD", "master"], ["reflog", "expire", "--expire=now", "--all"]):
        subprocess.run(["git", *words], cwd=place, check=False, capture_output=True)
    git(place, "gc", "-q", "--prune=now")
    gone = automl(place, "reproduce", run.id)
    assert gone.returncode == 2
    assert "is not in this repository" in gone.stderr


@pytest.mark.slow
def test_reproduce__data_that_is_gone_comes_from_dvc(tmp_path, monkeypatch):
    from automl.recipe.schema import read_recipe
    from automl.record.dvc_workspace import track

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    git(tmp_path, "init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    run = finish(planned_run(tmp_path, "segmentation"))
    tracked = track(run, pipeline.planned(run)[1], read_recipe(run.recipe))
    assert tracked.data.md5
    write_json(run.record, {"mlflow": None, "dvc": {"data": vars(tracked.data)}})
    edited = sorted((tmp_path / "data").glob("mask-*.png"))[0]
    content = edited.read_bytes()
    edited.unlink()
    edited.write_bytes(b"another")

    answer = reproduce(run, again(run), Silent())

    assert answer.verdict.word == "identical"
    fetched = answer.again.root / "data" / "fetched"
    assert (fetched / edited.name).read_bytes() == content
    assert edited.read_bytes() == b"another", "what is there now is not touched"
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    with pytest.raises(DataError, match="DVC has no data of digest"):
        reproduce(run, RunDir(tmp_path / "runs" / "third"), Silent())
