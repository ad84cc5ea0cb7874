"""Ultralytics' trainer on a drawn set; the default tests look at the line and the files."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from automl.dataset import Class, Dataset
from automl.engines import yolo
from automl.engines.checkpoint import newest
from automl.engines.yolo_net import architecture, build_net
from automl.engines.yolo_settings import load_ultralytics
from automl.errors import Interrupted, MachineError, NumbersError, RecipeError, UsageError
from automl.model import bundle as bundles
from automl.prediction import Truth
from automl.run_dir import RunDir
from automl.scoring.score import score
from automl.weights import Weights
from tests.engines.toy import SIDE, draw_set, yolo_plan


def write_set(folder: Path, train: int, val: int) -> Dataset:
    """A toy set with names that are easily read wrongly."""
    drawn = draw_set("detection", folder, train, val)
    samples = [replace(s, path=f"{Path(s.path).stem} ü.png") for s in drawn.samples]
    for old, new in zip(drawn.samples, samples, strict=True):
        (folder / old.path).rename(folder / new.path)
    return replace(drawn, samples=tuple(samples), classes=(Class(7, "square"), Class(3, "no")))


class Judge:
    """Scores epochs as the pipeline does and keeps what it is told; may raise after an epoch."""

    def __init__(self, dataset, fail_after=0):
        self.dataset, self.fail_after = dataset, fail_after
        self.epochs, self.steps, self.scores = [], [], []

    def on_epoch(self, epoch):
        found = list(epoch.predictions)
        self.epochs.append(epoch)
        self.scores.append(judged(self.dataset, found).metrics["map50"])
        if len(self.epochs) == self.fail_after:
            raise Interrupted("stopped by the test")
        return self.scores[-1]

    def on_step(self, *step):
        self.steps.append(step)


def judged(dataset, found):
    truths = [
        Truth(s.path, boxes=np.array(s.boxes, np.float32), labels=np.array(s.labels))
        for s in dataset.split("val")
    ]
    assert [p.path for p in found] == [t.path for t in truths]
    return score("detection", "val", dataset.names, zip(truths, found, strict=True))


def train(plan, dataset, run, fail_after=0):
    judge = Judge(dataset, fail_after)
    return yolo.train(plan, dataset, run, judge.on_epoch, judge.on_step), judge


def images_of(dataset, split="val"):
    for sample in dataset.split(split):
        data = cv2.imdecode(np.fromfile(Path(dataset.root) / sample.path, np.uint8), 1)
        yield sample.path, np.ascontiguousarray(data[..., ::-1])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "data"
    made = write_set(folder, train=8, val=3)
    # what a hostile set may bring: neither is ours, so neither is ever read
    (folder / "labels.cache").write_bytes(b"cos\nsystem\n(S'touch stolen'\ntR.")
    (folder / "images.cache").write_bytes(b"cos\nsystem\n(S'touch stolen'\ntR.")
    (folder / "data.yaml").write_text("download: open('stolen', 'w')\ntrain: nowhere\n")
    return made


@pytest.mark.parametrize("model", ["yolo11n", "yolo26n"])
def test_train__leaves_a_bundle_that_predicts(tmp_path, dataset, model):
    run = RunDir(tmp_path / "run")
    trained, judge = train(yolo_plan(model, epochs=2), dataset, run)
    assert trained.bundle == run.model
    assert trained.epochs == 2
    assert not trained.stopped_early
    assert [e.number for e in judge.epochs] == [1, 2]
    assert [e.total for e in judge.epochs] == [2, 2]
    assert all(np.isfinite(list(e.losses.values())).all() and e.losses for e in judge.epochs)
    assert [s[:3] for s in judge.steps] == [(1, 1, 2), (1, 2, 2), (2, 1, 2), (2, 2, 2)]
    bundle = bundles.read(run.model)
    assert bundle.classes == dataset.classes
    assert bundle.licence == "AGPL-3.0"
    assert bundle.preprocess.size == (SIDE, SIDE)
    assert not (run.engine / "data").exists()
    found = list(yolo.predict(run.model, images_of(dataset), "cpu"))
    assert [p.path for p in found] == [s.path for s in dataset.split("val")]
    for prediction in found:
        assert prediction.boxes.shape == (len(prediction.labels), 4)
        assert len(prediction.labels) <= 300
        assert (np.diff(prediction.confidences) <= 0).all()
        assert (prediction.boxes >= 0).all()
        assert (prediction.boxes <= SIDE).all()
        assert set(prediction.labels) <= {0, 1}
    assert judged(dataset, found).metrics["map50"] == pytest.approx(max(judge.scores))


def test_predict__runs_no_code_from_a_bundle(tmp_path, dataset):
    """Ultralytics evaluates the text of an activation: a bundle must not get to say one."""
    run, mark = RunDir(tmp_path / "run"), tmp_path / "ran"
    train(yolo_plan(), dataset, run)
    path = run.model / bundles.DESCRIPTION
    raw = json.loads(path.read_text())
    layers = {**architecture("yolo11n.yaml"), "activation": f"open({str(mark)!r}, 'w')"}
    path.write_text(json.dumps({**raw, "extra": {**raw["extra"], "layers": layers}}))
    assert list(yolo.predict(run.model, images_of(dataset), "cpu"))
    assert not mark.exists()
    raw["backbone"]["architecture"] = "../../yolo11n.yaml"
    path.write_text(json.dumps(raw))
    with pytest.raises(UsageError, match="no name of a library's own model"):
        list(yolo.predict(run.model, images_of(dataset), "cpu"))


@pytest.mark.parametrize("model", [pytest.param("yolo11n", marks=pytest.mark.slow), "yolo26n"])
def test_train__resumed_ends_in_the_same_bits(tmp_path, dataset, model):
    plan = yolo_plan(model, policy="heavy", epochs=3, warmup_epochs=1.0)
    straight, resumed = RunDir(tmp_path / "a"), RunDir(tmp_path / "b")
    train(plan, dataset, straight)
    with pytest.raises(Interrupted):
        train(plan, dataset, resumed, fail_after=2)
    _, judge = train(plan, dataset, resumed)
    assert [e.number for e in judge.epochs] == [2, 3]
    ends = [newest(run.checkpoints) for run in (straight, resumed)]
    for name, tensors in ends[0].tensors.items():
        assert all(torch.equal(t, ends[1].tensors[name][key]) for key, t in tensors.items())
    digests = [bundles.read(run.model).weights_sha256 for run in (straight, resumed)]
    assert digests[0] == digests[1]


def test_train__finished_is_not_trained_again(tmp_path, dataset):
    run = RunDir(tmp_path / "run")
    first, _ = train(yolo_plan(), dataset, run)
    digest = bundles.read(run.model).weights_sha256
    again, judge = train(yolo_plan(), dataset, run)
    assert judge.epochs == []
    assert again == first
    assert bundles.read(run.model).weights_sha256 == digest


def test_train__stops_by_a_signal(tmp_path, dataset):
    run = RunDir(tmp_path / "run")
    judge = Judge(dataset)

    def on_step(epoch, step, steps, loss):
        if (epoch, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM; 1 finished epoch is saved"):
        yolo.train(yolo_plan(epochs=3), dataset, run, judge.on_epoch, on_step)
    assert newest(run.checkpoints).epoch == 1
    assert not torch.are_deterministic_algorithms_enabled()


def test_train__keeps_the_budget(tmp_path, dataset):
    plan = yolo_plan(epochs=5).model_copy(update={"budget_s": 0.01})
    trained, judge = train(plan, dataset, RunDir(tmp_path / "run"))
    assert len(judge.epochs) == 1
    assert trained.epochs == 1
    assert not trained.stopped_early, "the time was over, not the learning"


def test_train__with_fewer_images_at_once_plans_its_steps_anew(tmp_path, dataset, monkeypatch):
    """Ultralytics halves them where the memory of the first epoch does not do."""
    load_ultralytics(tmp_path / "config")
    from ultralytics.nn.tasks import DetectionModel

    forward, failed = DetectionModel.forward, []

    def short_of_memory(net, batch, *more):
        if isinstance(batch, dict) and len(batch["img"]) > 2:
            failed.append(len(batch["img"]))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(net, batch, *more)

    monkeypatch.setattr(DetectionModel, "forward", short_of_memory)
    plan = yolo_plan(epochs=2, batch_size=4, micro_batch=4).model_copy(update={"budget_s": 600.0})
    judge, events = Judge(dataset), []
    run = RunDir(tmp_path / "run")
    trained = yolo.train(plan, dataset, run, judge.on_epoch, judge.on_step, events.append)
    assert failed == [4]
    assert (trained.epochs, [e.kind for e in events]) == (2, ["pace", "memory", "pace"])
    assert [e.facts.get("steps") for e in events] == [4, None, 8]
    assert events[1].facts == {"epoch": 1, "step": 1, "micro_batch": 2, "was": 4}
    assert "begins anew with 2 at once" in events[1].text
    assert {steps for _, _, steps, _ in judge.steps} == {4}


def test_train__stops_without_progress(tmp_path, dataset):
    run = RunDir(tmp_path / "run")
    scores = iter([0.4, 0.5, 0.3, 0.3, 0.3, 0.3])

    def on_epoch(epoch):
        return next(scores)

    plan = yolo_plan(epochs=6, patience=2)
    trained = yolo.train(plan, dataset, run, on_epoch, lambda *_: None)
    assert (trained.epochs, trained.best_epoch, trained.stopped_early) == (4, 2, True)


def pretrained(folder, spoil=False):
    """A donor for 80 classes in the store, as Ultralytics publishes them."""
    load_ultralytics(folder / "config")
    donor = build_net(architecture("yolo11n.yaml"), [str(n) for n in range(80)])
    if spoil:
        donor.state_dict()["model.0.conv.weight"].fill_(float("nan"))
    torch.save({"model": donor, "train_args": {}}, folder / "yolo11n.pt")
    weights = Weights(source="store", name="yolo11n.pt", covers="all")
    return donor, yolo_plan(lr=1e-9).model_copy(update={"weights": weights})


def test_train__begins_from_pretrained_weights(tmp_path, dataset, monkeypatch):
    monkeypatch.setenv("AUTOML_WEIGHTS", str(tmp_path))
    donor, plan = pretrained(tmp_path)
    run = RunDir(tmp_path / "run")
    train(plan, dataset, run)
    name = "model.2.cv1.conv.weight"
    began, ended = donor.state_dict()[name], bundles.load_state(run.model)[name]
    assert torch.allclose(ended, began.float(), atol=1e-6)
    assert bundles.read(run.model).extra["donor_classes"] == 80
    assert list(yolo.predict(run.model, images_of(dataset), "cpu"))
    changed = replace(plan.weights, sha256="0" * 64)
    with pytest.raises(MachineError, match="not those of the plan"):
        train(plan.model_copy(update={"weights": changed}), dataset, RunDir(tmp_path / "other"))


def test_train__says_where_the_numbers_end(tmp_path, dataset, monkeypatch):
    monkeypatch.setenv("AUTOML_WEIGHTS", str(tmp_path))
    _, plan = pretrained(tmp_path, spoil=True)
    with pytest.raises(NumbersError, match="epoch 1, step 1") as caught:
        train(plan, dataset, RunDir(tmp_path / "run"))
    assert "train.lr" in caught.value.faults[0].hint


def test_train__refuses_what_its_trainer_cannot_take(tmp_path, dataset):
    with pytest.raises(RecipeError, match="lr0"):
        train(yolo_plan(lr=2.0), dataset, RunDir(tmp_path / "run"))


def test_train__fits_rectangles(tmp_path, dataset):
    wide = [replace(s, width=2 * s.width) for s in dataset.samples]
    folder = tmp_path / "wide"
    for sample, (_, image) in zip(
        dataset.samples,
        [*images_of(dataset, "train"), *images_of(dataset, "val")],
        strict=True,
    ):
        (folder / sample.path).parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".png", image[:, ::-1].repeat(2, 1))[1]
        (folder / sample.path).write_bytes(data.tobytes())
    plan = yolo_plan(image_size=(64, 128))
    run = RunDir(tmp_path / "run")
    train(plan, replace(dataset, root=str(folder), samples=tuple(wide)), run)
    assert bundles.read(run.model).preprocess.size == (64, 128)


def test_train__missing_package(tmp_path):
    code = """
import sys
from pathlib import Path
from automl.engines.yolo_settings import load_ultralytics
from automl.errors import MachineError

class Gone:
    @staticmethod
    def find_spec(name, *_):
        if name == "ultralytics":
            raise ModuleNotFoundError("no", name=name)

sys.meta_path.insert(0, Gone)
try:
    load_ultralytics(Path(sys.argv[1]))
except MachineError as error:
    sys.exit(0 if "automl-vision[yolo]" in error.faults[0].hint else 1)
sys.exit(2)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0


SCRIPT = """
import sys
from pathlib import Path
from tests.engines.test_yolo import yolo_plan, train, write_set, yolo, images_of
from automl.run_dir import RunDir
data = write_set(Path("set"), train=4, val=1)
run = RunDir(Path(sys.argv[1]))
train(yolo_plan(), data, run)
list(yolo.predict(run.model, images_of(data), "cpu"))
"""


def test_train__writes_into_the_run_only_and_says_nothing(tmp_path):
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home, work, tmp_path / "tmp"):
        folder.mkdir()
    package = Path(yolo.__file__).parents[2]
    installed = Path(torch.__file__).parents[1] / "ultralytics"
    before = contents(installed)
    done = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, str(tmp_path / "runs" / "one")],
        cwd=work,
        env={
            "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HOME": str(home),
            "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(package),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert contents(installed) == before
    assert {p for p in contents(work) if not p.startswith("set")} == set()
    assert all(p.endswith(".png") for p in contents(work))
    assert contents(home) == contents(tmp_path / "tmp") == {}
    assert (tmp_path / "runs" / "one" / "engine" / "ultralytics.log").stat().st_size


def contents(folder):
    """Size and time of every file but compiled ones."""
    return {
        str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".pyc"
    }


@pytest.mark.slow
@pytest.mark.parametrize("model", ["yolo11n", "yolo26n"])
def test_train__learns(tmp_path, model):
    learnt = write_set(tmp_path / "data", train=48, val=12)
    plan = yolo_plan(model, policy="light", epochs=80, batch_size=8, micro_batch=8, lr=3e-3)
    trained, judge = train(plan, learnt, RunDir(tmp_path / "run"))
    found = list(yolo.predict(trained.bundle, images_of(learnt), "cpu"))
    assert judged(learnt, found).metrics["map50"] >= 0.8
    assert judge.scores[0] < 0.5
