"""How fast detection is scored beside pycocotools, and that both say the same.

    python benchmarks/scoring.py [--images 100] [--boxes 100] [--classes 10] [--rounds 5]

Both get the same drawn boxes in memory and are timed in turns; ours includes the curves, the
threshold, the table by class and the ranking that pycocotools does not have, and the intervals
(timed apart as well, since they are most of it).
The exit code is 1 where the numbers differ by more than 1e-6.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time

import numpy as np

from automl.prediction import Prediction, Truth
from automl.scoring.detection import DetectionTally
from automl.scoring.matching import match
from automl.scoring.precision import intervals
from automl.scoring.score import score

Pairs = list[tuple[Truth, Prediction]]
OBJECTS = 8
STATS = ("map", "map50", "map75", "map_small", "map_medium", "map_large")


def draw(images: int, boxes: int, classes: int) -> Pairs:
    """Eight objects per image and detections that lie near them, half with the right class."""
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(images):
        corner = rng.uniform(0, 400, (OBJECTS, 2))
        real = np.concatenate([corner, corner + rng.uniform(8, 200, (OBJECTS, 2))], 1)
        labels = rng.integers(0, classes, OBJECTS)
        near = rng.integers(0, OBJECTS, boxes)
        found = real[near] + rng.normal(0, 8, (boxes, 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        right = rng.random(boxes) < 0.5
        guessed = np.where(right, labels[near], rng.integers(0, classes, boxes))
        sure = np.sort(rng.random(boxes).astype(np.float32))[::-1]
        crowd = rng.random(OBJECTS) < 0.02
        truth = Truth(f"{i}", boxes=real.astype(np.float32), labels=labels, crowd=crowd)
        pairs.append((truth, Prediction(f"{i}", None, None, np.float32(found), guessed, sure)))
    return pairs


def coco_parts(pairs: Pairs, classes: int) -> tuple[dict, list[dict]]:
    """The same boxes as pycocotools wants them: a dataset and results."""

    def boxes(given: np.ndarray) -> list[list[float]]:
        exact = given.astype(float)
        return np.concatenate([exact[:, :2], exact[:, 2:] - exact[:, :2]], 1).tolist()

    annotations = [
        {"image_id": i, "category_id": int(k), "bbox": b, "area": b[2] * b[3], "iscrowd": int(c)}
        for i, (t, _) in enumerate(pairs)
        for b, k, c in zip(boxes(t.boxes), t.labels, t.crowd, strict=True)
    ]
    results = [
        {"image_id": i, "category_id": int(k), "bbox": b, "score": float(s)}
        for i, (_, p) in enumerate(pairs)
        for b, k, s in zip(boxes(p.boxes), p.labels, p.confidences, strict=True)
    ]
    known = {
        "info": {},
        "images": [{"id": i} for i in range(len(pairs))],
        "categories": [{"id": k} for k in range(classes)],
        "annotations": [{"id": n + 1, **a} for n, a in enumerate(annotations)],
    }
    return known, results


def coco_stats(known: dict, results: list[dict]) -> list[float]:
    """What pycocotools says, from index to summary."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = known
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(value) for value in judge.stats]


def timed(call, *arguments):
    """The seconds of process time that a call took, and what it gave."""
    started = time.process_time()
    given = call(*arguments)
    return time.process_time() - started, given


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("images", 100), ("boxes", 100), ("classes", 10), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    pairs = draw(asked.images, asked.boxes, asked.classes)
    names = [str(k) for k in range(asked.classes)]
    known, results = coco_parts(pairs, asked.classes)
    tally = DetectionTally(names)
    for pair in pairs:
        tally.add(*pair)
    scene = tally.scene()
    matches = match(scene)
    ours, drawing, theirs = [], [], []
    for _ in range(asked.rounds):
        seconds, scores = timed(score, "detection", "val", names, pairs)
        ours.append(seconds)
        drawing.append(timed(intervals, scene, matches, asked.classes, asked.images)[0])
        seconds, stats = timed(coco_stats, known, results)
        theirs.append(seconds)
    whole, draws, peer = (statistics.median(s) for s in (ours, drawing, theirs))
    plain = whole - draws
    apart = max(abs(scores.metrics[name] - stats[i]) for i, name in enumerate(STATS))
    print(f"{asked.images} images x {asked.boxes} boxes, {asked.classes} classes, CPU seconds")
    print(f"pycocotools                  {peer:8.3f}")
    print(f"automl without intervals     {plain:8.3f}   {peer / plain:5.1f} times as fast")
    print(f"automl as it is called       {whole:8.3f}   {peer / whole:5.1f} times as fast")
    print(f"largest difference           {apart:8.1e}   (mAP {scores.value:.6f})")
    return int(apart > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
