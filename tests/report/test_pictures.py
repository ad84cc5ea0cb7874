"""Pictures beside findings, and labels that the model doubts."""

import json

import numpy as np

from automl.prediction import Prediction
from automl.record.predictions import written
from automl.report.material import gather
from automl.report.page import write
from automl.report.pictures import suspects
from tests.report.made_run import make_run


def test_findings__show_the_images_that_they_name(tmp_path):
    run = make_run(tmp_path, "classification")
    sample = gather(run).dataset.samples
    found = {
        "code": "near_duplicate",
        "severity": "warning",
        "file": sample[0].path,
        "reason": f"nearly equal to `{sample[1].path}`",
        "cure": "keep one",
        "waived": "frames of one video",
    }
    lost = {**found, "code": "broken_image", "file": "no/such.png", "reason": "cut"}
    run.findings.write_text(json.dumps([found, lost]))
    write(run)
    page = run.report.read_text()
    shown = page[page.index('<div class="thumbs">') :].partition("</div>")[0]
    assert shown.count('<img src="data:image/jpeg;base64,') == 2
    assert f'alt="{sample[1].path}"' in shown
    assert page.count('<div class="thumbs">') == 1
    assert "waived: frames of one video" in page


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
    found = suspects(gather(run))
    assert [s.path for s in found] == [judged[5].path, judged[3].path]
    assert all(s.picture.startswith("data:image/jpeg") for s in found)
    assert found[0].seen_share > 0.9 > 0.1 > found[0].given_share
    write(run)
    assert "Labels worth a second look" in run.report.read_text()


def test_suspects__none_where_nothing_is_predicted_or_named(tmp_path):
    assert suspects(gather(make_run(tmp_path, "detection"))) == []
