"""Examples are the right ones, drawn with the right names, and light."""

import base64

import cv2
import numpy as np

from automl.report.examples import EACH, HEAVIEST, choose, data_uri, ends
from automl.report.run_files import gather
from tests.report.made_run import make_run


def test_choose__ends_never_share_an_image():
    scored = [(f"{i:02d}", i / 10) for i in range(10)]
    worst, best = choose(scored, each=8)
    assert [p for p, _ in worst] == ["00", "01", "02", "03", "04"]
    assert [p for p, _ in best] == ["09", "08", "07", "06", "05"]


def test_choose__faultless_images_are_not_the_worst():
    worst, best = choose([("a", 1.0), ("b", 1.0), ("c", 0.5), ("d", 1.0)])
    assert worst == [("c", 0.5)]
    assert len(best) == 3


def test_choose__equally_good_ones_are_spread_and_not_empty():
    scored = [(f"{i:03d}", 1.0) for i in range(100)]
    _, best = choose(scored, frozenset(f"{i:03d}" for i in range(0, 60)))
    assert len(best) == EACH
    assert all(int(path) >= 60 for path, _ in best)
    assert int(best[-1][0]) - int(best[0][0]) > 20


def test_choose__few_and_none():
    assert choose([]) == ([], [])
    assert choose([("a", 0.5)]) == ([], [("a", 0.5)])


def test_ends__are_sorted_by_score(finished):
    for run in finished.values():
        worst, best = ends(gather(run))
        assert [e.score for e in worst] == sorted(e.score for e in worst)
        assert [e.score for e in best] == sorted((e.score for e in best), reverse=True)
        assert not {e.path for e in worst} & {e.path for e in best}


def test_ends__pairs_for_boxes_and_masks_guesses_for_classes(finished):
    for task, run in finished.items():
        for example in [group[0] for group in ends(gather(run))]:
            if task == "classification":
                assert [what for what, _ in example.drawings] == ["image"]
                assert len(example.guesses) == 3
                assert example.truth
            else:
                assert [what for what, _ in example.drawings] == ["truth", "prediction"]


def test_ends__missing_prediction_is_said(tmp_path):
    run = make_run(tmp_path, "classification")
    lines = run.predictions / "predictions.jsonl"
    lines.write_text("", encoding="utf-8")
    worst, _ = ends(gather(run))
    assert worst[0].note == "its prediction is missing"


def test_data_uri__is_a_jpeg_of_bounded_weight():
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    data = base64.b64decode(data_uri(noise).partition("base64,")[2])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (400, 400, 3)
    assert len(data) < 1.3 * HEAVIEST
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    data = base64.b64decode(data_uri(red).partition("base64,")[2])
    blue, _, seen_red = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[32, 32]
    assert seen_red > 240
    assert blue < 15
