"""Drawn detection scenes, and what pycocotools makes of them."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from automl.prediction import Prediction, Truth

STATS = {
    "map": 0,
    "map50": 1,
    "map75": 2,
    "map_small": 3,
    "map_medium": 4,
    "map_large": 5,
    "ar100": 8,
    "ar_small": 9,
    "ar_medium": 10,
    "ar_large": 11,
}


def draw_scene(
    seed, *, images=8, classes=4, most_truth=8, most_found=20, crowds=0.15, whole=False, ties=0.3
):
    """Random images: true boxes of all sizes, detections near some of them, others anywhere."""
    rng = np.random.default_rng(seed)
    return [
        _draw_image(rng, f"{i:03}.png", classes, most_truth, most_found, crowds, whole, ties)
        for i in range(images)
    ]


def _draw_image(rng, path, classes, most_truth, most_found, crowds, whole, ties):
    boxes = _draw_boxes(rng, int(rng.integers(0, most_truth + 1)))
    labels = rng.integers(0, classes, len(boxes))
    found = int(rng.integers(0, most_found + 1))
    guesses = _draw_boxes(rng, found)
    guessed = rng.integers(0, classes, found)
    if len(boxes):
        near = rng.random(found) < 0.8
        source = rng.integers(0, len(boxes), found)
        spread = (boxes[source, 2:] - boxes[source, :2]).mean(1, keepdims=True)
        moved = boxes[source] + rng.normal(0, 1, (found, 4)) * spread * rng.choice([0, 0.05, 0.2])
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        guesses[near] = moved[near]
        right = near & (rng.random(found) < 0.8)
        guessed[right] = labels[source[right]]
    confidence = rng.random(found)
    if rng.random() < ties:
        confidence = confidence.round(1)
    confidence = np.sort(confidence.astype(np.float32))[::-1].copy()
    if whole:
        boxes, guesses = boxes.round(), guesses.round()
    return (
        Truth(
            path,
            boxes=boxes.astype(np.float32),
            labels=labels,
            crowd=rng.random(len(boxes)) < crowds,
        ),
        Prediction(path, boxes=guesses.astype(np.float32), labels=guessed, confidences=confidence),
    )


def _draw_boxes(rng, count):
    sides = np.exp(rng.uniform(np.log(6), np.log(250), (count, 1))) * rng.uniform(0.7, 1.4)
    sides = np.repeat(sides, 2, 1) * rng.uniform(0.8, 1.25, (count, 2))
    corner = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corner, corner + sides], 1)


def coco(pairs, classes):
    """COCOeval of a scene, accumulated and summarised, without its prints."""
    annotations, results = [], []
    for image, (truth, found) in enumerate(pairs):
        crowds = np.zeros(len(truth.boxes)) if truth.crowd is None else truth.crowd
        for box, label, crowd in zip(_xywh(truth.boxes), truth.labels, crowds, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(crowd),
                }
            )
        for box, label, sure in zip(
            _xywh(found.boxes), found.labels, found.confidences, strict=True
        ):
            results.append(
                {"image_id": image, "category_id": int(label), "bbox": box, "score": float(sure)}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(pairs))],
            "categories": [{"id": k} for k in range(classes)],
            "annotations": annotations,
        }
        known.createIndex()
        judge = COCOeval(known, known.loadRes(results) if results else COCO(), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


def _xywh(boxes):
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).tolist()
