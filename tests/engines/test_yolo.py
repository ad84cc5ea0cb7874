"""Ultralytics' trainer on a drawn set; the default tests look at the line and the files."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from automl.dataset import Class, Dataset, Sample
from automl.engines import yolo
from automl.errors import Interrupted
from automl.model import bundle as bundles
from automl.plan import Augment, Plan, Train, Weights
from automl.prediction import Truth
from automl.run_dir import RunDir
from automl.scoring.score import score

CLASSES = (Class(7, "square"), Class(3, "no"))
SIDE = 64


def draw(rng):
    """One or two coloured shapes on dark noise: image, boxes, labels."""
    image = rng.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
    boxes, labels = [], []
    for column in rng.permutation(2)[: rng.integers(1, 3)]:
        size = int(rng.integers(16, 28))
        x = int(column) * 32 + int(rng.integers(0, 32 - size + 1))
        y = int(rng.integers(0, SIDE - size))
        label = int(rng.integers(0, 2))
        if label == 0:
            cv2.rectangle(image, (x, y), (x + size - 1, y + size - 1), (230, 60, 60), -1)
        else:
            centre = (x + size // 2, y + size // 2)
            cv2.circle(image, centre, size // 2 - 1, (60, 220, 90), -1)
        boxes.append((float(x), float(y), float(x + size), float(y + size)))
        labels.append(label)
    return image, tuple(boxes), tuple(labels)


def write_set(folder: Path, train: int, val: int) -> Dataset:
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    samples = []
    for number in range(train + val):
        image, boxes, labels = draw(rng)
        path = f"images/{number} ü.png"
        (folder / path).write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
        split = "train" if number < train else "val"
        samples.append(Sample(path, split, SIDE, SIDE, "", boxes=boxes, labels=labels))
    return Dataset("detection", str(folder), "coco", CLASSES, tuple(samples), "digest")


def make_plan(model="yolo11n", policy="none", **train):
    values = {
        "image_size": (SIDE, SIDE), "crop": (SIDE, SIDE), "fit": "letterbox", "epochs": 1,
        "batch_size": 4, "micro_batch": 4, "optimiser": "adamw", "lr": 2e-3, "backbone_lr": 1.0,
        "layer_decay": 1.0, "weight_decay": 5e-4, "warmup_epochs": 0.0, "schedule": "cosine",
        "clip_norm": 0.0, "ema": 0.99, "patience": 0, "label_smoothing": 0.0,
        "class_weights": "none", "precision": "fp32", "workers": 0, "threads": 1, "seed": 3,
    }  # fmt: skip
    return Plan(
        task="detection",
        dataset_digest="digest",
        model=model,
        engine="yolo",
        weights=Weights(source="none", covers="nothing"),
        augment=Augment(policy=policy),
        train=Train(**{**values, **train}),
        device="cpu",
    )


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
    trained, judge = train(make_plan(model, epochs=2), dataset, run)
    assert trained.bundle == run.model
    assert trained.epochs == 2
    assert not trained.stopped_early
    assert [e.number for e in judge.epochs] == [1, 2]
    assert [e.total for e in judge.epochs] == [2, 2]
    assert all(np.isfinite(list(e.losses.values())).all() and e.losses for e in judge.epochs)
    assert [s[:3] for s in judge.steps] == [(1, 1, 2), (1, 2, 2), (2, 1, 2), (2, 2, 2)]
    bundle = bundles.read(run.model)
    assert bundle.classes == CLASSES
    assert bundle.licence == "AGPL-3.0"
    assert bundle.preprocess.size == (SIDE, SIDE)
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
