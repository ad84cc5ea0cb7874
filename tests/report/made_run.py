"""Writes a run folder as a finished run leaves it: drawn images, noisy answers, real scores."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import yaml

from automl.data.digest import digest_of
from automl.data.ground_truth import truth
from automl.dataset import Class, Dataset, Finding, Profile, Sample, Task
from automl.files import write_json
from automl.plan import Augment, Goal, Plan, Reason, Train
from automl.prediction import IGNORE, Prediction, Truth
from automl.record.journal import Journal
from automl.record.predictions import written
from automl.run_dir import RunDir
from automl.scoring.score import PRIMARY, score
from automl.weights import Weights

SHAPES = ["disc", "square", "triangle", "Kreuz & <b>Quer</b>", "a ring with an unusually long name"]
SIZES = {"train": 12, "val": 24}


def make_run(
    folder: Path, task: Task, *, names: list[str] | None = None, noise: float = 0.25, seed: int = 0
) -> RunDir:
    """A run of `task`; `noise` is how often the pretended model errs."""
    draw = np.random.default_rng(seed)
    names = names or ([*(["background"] if task == "segmentation" else []), *SHAPES])
    run = RunDir(folder / "runs" / f"shapes-{task}-20260801-120000")
    run.root.mkdir(parents=True)
    dataset = _dataset(folder / "shapes", task, names, draw)
    dataset.write(run.dataset)
    _profile(dataset).write(run.profile)
    write_json(run.findings, [asdict(f) for f in _findings()])
    _write_plan(run, dataset)
    _write_journal(run, dataset, draw)
    samples = dataset.split("val")
    truths = [truth(dataset, s) for s in samples]
    guesses = [_guess(s, t, names, noise, draw) for s, t in zip(samples, truths, strict=True)]
    pairs = zip(truths, written(guesses, run.predictions), strict=True)
    score(task, "val", names, pairs).write(run.metrics, run.evaluation)
    return run


def _dataset(folder: Path, task: Task, names: list[str], draw: np.random.Generator) -> Dataset:
    samples = [
        _sample(folder, task, names, f"{split}/{number:03d}", draw)
        for split, count in SIZES.items()
        for number in range(count)
    ]
    classes = tuple(Class(index, name) for index, name in enumerate(names))
    made = Dataset(
        task, str(folder), "masks", classes, tuple(samples), "", brought_splits=("train",)
    )
    return replace(made, digest=digest_of(made))


def _sample(
    folder: Path, task: Task, names: list[str], stem: str, draw: np.random.Generator
) -> Sample:
    height, width = int(draw.integers(150, 220)), int(draw.integers(180, 300))
    rough = draw.integers(60, 200, (5, 6, 3), dtype=np.uint8)
    image = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((height, width), np.uint8)
    first = 1 if task == "segmentation" else 0
    labels, boxes = [], []
    for _ in range(1 if task == "classification" else int(draw.integers(1, 6))):
        label = int(draw.integers(first, len(names)))
        radius = int(draw.integers(14, 40))
        x, y = (
            int(draw.integers(radius, width - radius)),
            int(draw.integers(radius, height - radius)),
        )
        _shape(image, mask, label, (x, y), radius, tuple(map(int, draw.integers(0, 255, 3))))
        labels.append(label)
        boxes.append((float(x - radius), float(y - radius), float(x + radius), float(y + radius)))
    mask[:6] = IGNORE
    path = folder / f"{stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    cv2.imwrite(str(path.with_suffix(".mask.png")), mask)
    split, common = stem.partition("/")[0], (width, height, "ab" * 32)
    match task:
        case "classification":
            return Sample(f"{stem}.png", split, *common, label=labels[0])
        case "segmentation":
            return Sample(f"{stem}.png", split, *common, mask=f"{stem}.mask.png")
        case "detection":
            return Sample(
                f"{stem}.png", split, *common, boxes=tuple(boxes), labels=tuple(labels),
                crowd=(False,) * len(boxes),
            )  # fmt: skip


def _shape(image, mask, label: int, at: tuple[int, int], radius: int, ink) -> None:
    x, y = at
    r = radius
    for canvas, colour in ((image, ink), (mask, label)):
        if label % 5 in (0, 4):
            cv2.circle(canvas, at, r, colour, cv2.FILLED if label % 5 == 0 else 8)
        elif label % 5 == 1:
            cv2.rectangle(canvas, (x - r, y - r), (x + r, y + r), colour, cv2.FILLED)
        elif label % 5 == 2:
            corners = np.array([(x, y - r), (x + r, y + r), (x - r, y + r)])
            cv2.fillPoly(canvas, [corners], colour)
        else:
            cv2.line(canvas, (x - r, y), (x + r, y), colour, 12)
            cv2.line(canvas, (x, y - r), (x, y + r), colour, 12)


def _profile(dataset: Dataset) -> Profile:
    counts = {name: 4000 // (index + 1) for index, name in enumerate(dataset.names)}
    return Profile(
        dataset.task, dataset.counts(), len(counts), counts, 1 / len(counts), 240, 180, 150, 300, 3,
        8, 2.9, (0.09, 0.21, 0.38),
    )  # fmt: skip


def _findings() -> list[Finding]:
    clipped = [
        Finding("box_outside", "warning", f"train/{n:03d}.png", "box 2 leaves the image", "clipped")
        for n in range(7)
    ]
    return [*clipped, Finding("duplicate", "warning", "val/003.png", "is train/001.png", "remove")]


def _write_plan(run: RunDir, dataset: Dataset) -> None:
    plan = Plan(
        task=dataset.task, dataset_digest=dataset.digest, model="unet-tf_efficientnet_lite0",
        engine="native", device="cpu", judge_on="val",
        weights=Weights(source="package", name="efficientnet-lite0", sha256="c0" * 32),
        augment=Augment(
            policy="light",
            transforms=({"HorizontalFlip": {"p": 0.5}}, {"Affine": {"scale": (0.8, 1.2)}}),
        ),
        train=Train(
            image_size=(224, 288), crop=(224, 288), fit="letterbox", epochs=16, batch_size=16,
            micro_batch=8, optimiser="adamw", lr=2e-3, backbone_lr=0.1, layer_decay=0.8,
            weight_decay=0.05, warmup_epochs=1, schedule="cosine", clip_norm=1, ema=0.998,
            patience=5, label_smoothing=0.1, class_weights="none", precision="fp32", workers=0,
            threads=2, seed=0, stored_size=0, mosaic=0.0,
        ),
        budget_s=600, expected_train_s=212.5, goal=Goal(metric=PRIMARY[dataset.task], at_least=0.5),
    )  # fmt: skip
    raw = plan.model_dump(mode="json")
    raw["reasons"] = {key: r.model_dump() for key, r in _reasons(raw).items()}
    run.plan.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    recipe = {"task": dataset.task, "data": {"path": dataset.root}, "train": {"epochs": 16}}
    run.recipe.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    row = {"name": plan.model, "parameters": 5.6, "licence": "Apache-2.0"}
    model = {"backbone": row, "licence": "Apache-2.0", "weights_sha256": "d1" * 32}
    write_json(run.model / "model.json", model)


def _reasons(raw: dict) -> dict[str, Reason]:
    told = {
        "model": Reason(
            because="best of 4 that fit the budget of 10 min on 2 cores: 212 s expected",
            runner_up="unet-mobilenetv2_100: faster by 20 %, weaker features",
        ),
        "train.epochs": Reason(because="set in the recipe"),
        "train.lr": Reason(because="2e-3 for AdamW at a batch of 16", runner_up="1e-3"),
    }
    keys = [
        k
        for k in raw
        if k
        not in {
            "task",
            "dataset_digest",
            "train",
            "augment",
            "weights",
            "goal",
            "reasons",
            "candidates",
        }
    ]
    keys += [f"{part}.{k}" for part in ("weights", "augment", "train") for k in raw[part]]
    usual = Reason(because="usual for fine-tuning a convolutional backbone on a few hundred images")
    return {key: told.get(key, usual) for key in keys}


def _write_journal(run: RunDir, dataset: Dataset, draw: np.random.Generator) -> None:
    journal, primary = Journal(run.journal), PRIMARY[dataset.task]
    journal.write("start", recipe="recipe.yaml", run=run.id)
    for epoch in range(1, 15):
        value = 0.9 - 0.8 * float(np.exp(-epoch / 4)) + float(draw.normal(0, 0.01))
        losses = {"loss": 2.2 * float(np.exp(-epoch / 5)) + 0.1}
        if dataset.task == "detection":
            losses = {"classes": losses["loss"], "boxes": losses["loss"] / 2, "centre": 0.6}
        more = {"map": "map50", "miou": "dice", "accuracy": "macro_f1"}[primary]
        journal.write(
            "epoch", epoch=epoch, total=16, seconds=13.1, lr=2e-3 * float(np.cos(epoch / 10)),
            losses=losses, metrics={primary: value, more: min(1.0, value + 0.06), "other": 0.5},
        )  # fmt: skip
        if epoch == 6:
            journal.write("resume", epoch=6)
    journal.write(
        "trained", best_epoch=9, epochs=14, stopped_early=True, seconds=187.4,
        weights_digest="d1" * 32,
    )  # fmt: skip
    git = {"commit": "8f" * 20, "branch": "main", "remote": "", "dirty": True, "untracked": 1}
    known = {
        "time": "2026-08-01T12:00:00+00:00", "git": git,
        "command": ["automl", "run", "recipe.yaml"],
        "python": "3.11.9", "packages": {"torch": "2.10.0", "timm": "1.0.20", "numpy": "2.4.6"},
        "machine": {"os": "Linux-6.1", "cpu": "An x86 processor", "cores": 2},
        "device": "cpu", "threads": 2, "seed": 0, "device_facts": {"kernels": "AVX2"},
        "determinism": {"level": "bits"}, "plan_digest": "a1" * 32, "packages_digest": "b2" * 32,
        "restarts": [{"epoch": 9, "reason": "stopped by SIGTERM"}],
    }  # fmt: skip
    write_json(run.provenance, known)


def _guess(
    sample: Sample, known: Truth, names: list[str], noise: float, draw: np.random.Generator
) -> Prediction:
    if known.label is not None:
        logits = draw.normal(0, 1, len(names))
        logits[known.label] += 3 if draw.random() > noise else 0
        shares = np.exp(logits) / np.exp(logits).sum()
        return Prediction(sample.path, probabilities=shares.astype(np.float32))
    if known.mask is not None:
        return Prediction(sample.path, mask=_worse_mask(known.mask, len(names), noise, draw))
    return _worse_boxes(sample, known, len(names), noise, draw)


def _worse_mask(
    mask: np.ndarray, classes: int, noise: float, draw: np.random.Generator
) -> np.ndarray:
    guess = np.where(mask == IGNORE, 0, mask).astype(np.uint8)
    reach = 2 * int(draw.integers(1, 5)) + 1
    guess = cv2.medianBlur(guess, reach)
    if draw.random() < noise:
        guess[guess == guess.max()] = int(draw.integers(0, classes))
    return guess


def _worse_boxes(
    sample: Sample, known: Truth, classes: int, noise: float, draw: np.random.Generator
) -> Prediction:
    boxes = np.asarray(known.boxes, np.float32).reshape(-1, 4)
    kept = draw.random(len(boxes)) > noise / 2
    labels = np.asarray(known.labels)[kept]
    labels = np.where(draw.random(len(labels)) < noise / 2, draw.integers(0, classes), labels)
    found = boxes[kept] + draw.normal(0, 3, (int(kept.sum()), 4)).astype(np.float32)
    sure = np.sort(draw.uniform(0.35, 0.99, len(found)))[::-1].astype(np.float32)
    if draw.random() < noise:
        stray = np.array([[10, 10, 60, 50]], np.float32)
        found, labels = np.concatenate([found, stray]), np.append(labels, 0)
        sure = np.append(sure, np.float32(0.31))
    limits = np.array([sample.width, sample.height] * 2, np.float32)
    return Prediction(sample.path, boxes=np.clip(found, 0, limits), labels=labels, confidences=sure)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
