"""Labels that the model contradicts, on the page and as findings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from automl.data.ground_truth import truth
from automl.dataset import Dataset
from automl.prediction import IGNORE, Prediction, Truth
from automl.record.predictions import written
from automl.report.page import write
from automl.report.run_files import gather
from automl.report.suspect_labels import find_doubts, suspects
from tests.report.made_run import make_run


def told(run):
    material = gather(run)
    return suspects(material, find_doubts(material))


def right(known: Truth) -> Prediction:
    """An answer that agrees with all that is annotated."""
    if known.mask is not None:
        return Prediction(known.path, mask=np.where(known.mask == IGNORE, 0, known.mask))
    sure = np.full(len(known.labels), 0.9, np.float32)
    return Prediction(known.path, boxes=known.boxes, labels=known.labels, confidences=sure)


def mislabelled(dataset: Dataset, path: str) -> Dataset:
    """The set in which the boxes of one image have the next class."""
    count = len(dataset.classes)
    samples = [
        replace(s, labels=tuple((label + 1) % count for label in s.labels)) if s.path == path else s
        for s in dataset.samples
    ]
    return replace(dataset, samples=tuple(samples))


def test_suspects__least_confidence_in_the_given_label(tmp_path):
    run = make_run(tmp_path, "classification")
    dataset = gather(run).dataset
    judged = dataset.split("val")
    answers = []
    for number, sample in enumerate(judged):
        shares = np.full(len(dataset.classes), 0.01, np.float32)
        wrong = (sample.label + 1) % len(dataset.classes)
        shares[wrong if number in (3, 5) else sample.label] = 0.95
        shares[sample.label] -= 0.005 * (number == 5)
        answers.append(Prediction(sample.path, probabilities=shares))
    list(written(answers, run.predictions))
    found = told(run)
    assert [s.path for s in found] == [judged[5].path, judged[3].path]
    assert all(s.picture.startswith("data:image/jpeg") for s in found)
    assert float(found[0].seen_share) > 0.9 > 0.1 > float(found[0].given_share)
    write(run)
    assert "Labels worth a second look" in run.report.read_text()


def test_suspects__boxes_of_the_wrong_class(tmp_path):
    run = make_run(tmp_path, "detection")
    dataset = gather(run).dataset
    judged = dataset.split("val")
    list(written((right(truth(dataset, s)) for s in judged), run.predictions))
    assert told(run) == []
    wrong = judged[4]
    mislabelled(dataset, wrong.path).write(run.dataset)
    found = told(run)
    assert {s.path for s in found} == {wrong.path}
    assert {(s.given, s.seen) for s in found} <= {
        (dataset.names[(label + 1) % len(dataset.classes)], dataset.names[label])
        for label in wrong.labels
    }
    write(run)
    page = run.report.read_text()
    assert "Labels worth a second look" in page
    assert "which the model was not trained on" in page
    kept = json.loads(run.suspects.read_text())
    assert {(f["code"], f["severity"], f["file"]) for f in kept} == {
        ("label_suspect", "warning", wrong.path)
    }
    assert "but the trained model sees" in kept[0]["reason"]


def test_suspects__regions_of_the_wrong_class(tmp_path):
    import cv2

    run = make_run(tmp_path, "segmentation")
    dataset = gather(run).dataset
    judged = dataset.split("val")
    list(written((right(truth(dataset, s)) for s in judged), run.predictions))
    assert told(run) == []
    wrong = judged[2]
    place = f"{dataset.root}/{wrong.mask}"
    mask = cv2.imread(place, cv2.IMREAD_UNCHANGED)
    label = int(np.bincount(mask[(mask > 0) & (mask < IGNORE)]).argmax())
    mask[mask == label] = 0
    cv2.imwrite(place, mask)
    found = told(run)
    assert {s.path for s in found} == {wrong.path}
    assert found[0].picture.startswith("data:image/jpeg")
    assert (found[0].given, found[0].seen) == (dataset.names[0], dataset.names[label])


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_suspects__none_where_nothing_is_predicted(tmp_path, task):
    run = make_run(tmp_path, task)
    (run.predictions / "predictions.jsonl").unlink()
    assert told(run) == []


def test_suspects__waived_ones_say_why(tmp_path):
    run = make_run(tmp_path, "detection")
    dataset = gather(run).dataset
    judged = dataset.split("val")
    list(written((right(truth(dataset, s)) for s in judged), run.predictions))
    mislabelled(dataset, judged[0].path).write(run.dataset)
    run.recipe.write_text("task: detection\nchecks: {waive: {label-suspect: known}}\n")
    write(run)
    assert {f["waived"] for f in json.loads(run.suspects.read_text())} == {"known"}
