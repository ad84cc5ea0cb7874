import cv2
import numpy as np
import pytest

from automl.engines import affine, colour_matrix
from automl.engines.fused import Fused, InitialCrop, clip_boxes
from automl.engines.policy_steps import RandomAffine, steps
from automl.planning.augmentation import GREY, POLICIES
from automl.prediction import IGNORE

SIZE = (64, 96)


def fused(*listed: dict, initial: InitialCrop | None = None) -> Fused:
    return Fused(initial or InitialCrop(SIZE), steps(listed))


def move(**changes: object) -> dict:
    usual = {
        "scale": [1, 1], "translate_percent": [0, 0], "rotate": [0, 0], "keep_ratio": True,
        "balanced_scale": True, "border_mode": 0, "fill": GREY, "fill_mask": IGNORE, "p": 1.0,
    }  # fmt: skip
    return {"Affine": {**usual, **changes}}


def picture(height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    grain = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("task", POLICIES)
def test_steps__every_policy_can_be_done_here(task: str) -> None:
    for transforms in POLICIES[task].values():
        assert len(steps(transforms)) == len(transforms)


@pytest.mark.parametrize(
    "listed",
    [
        ({"Perspective": {}},),
        ({"HorizontalFlip": {"p": 0.5, "extra": 1}},),
        ({"ToGray": {"p": 0.5}}, {"HorizontalFlip": {"p": 0.5}}),
    ],
)
def test_steps__what_is_of_another_kind_or_order_is_left_to_albumentations(listed: tuple) -> None:
    assert steps(listed) is None


def test_fused__nothing_listed_changes_nothing() -> None:
    image = picture()
    assert (fused()(image, {}, 3)[0] == image).all()


def test_fused__a_frame_that_may_not_be_written_is_not_written() -> None:
    image = picture()
    image.flags.writeable = False
    before = image.copy()
    listed = [
        {name: {**a, "p": 1.0}}
        for t in POLICIES["classification"]["heavy"]
        for name, a in t.items()
    ]
    fused(*listed)(image, {}, 1)
    assert (image == before).all()


def test_fused__mirrored_image_mask_and_boxes_agree() -> None:
    augment = fused({"HorizontalFlip": {"p": 1.0}})
    image, mask = picture(), np.arange(SIZE[0] * SIZE[1], dtype=np.int64).reshape(SIZE) % 200
    found, annotated = augment(image, {"mask": mask.astype(np.uint8)}, 0)
    assert (found == image[:, ::-1]).all()
    assert (annotated["mask"] == mask[:, ::-1]).all()
    boxes = {"bboxes": np.array([[10, 5, 30, 20]], np.float32), "labels": np.array([4])}
    annotated = augment(image, boxes, 0)[1]
    assert annotated["bboxes"].tolist() == [[66, 5, 86, 20]]
    assert annotated["labels"].tolist() == [4]


@pytest.mark.parametrize("key", range(12))
def test_fused__a_moved_object_stays_in_its_box_and_under_its_mask(key: int) -> None:
    image, mask = np.full((*SIZE, 3), 40, np.uint8), np.zeros(SIZE, np.uint8)
    image[20:44, 30:66], mask[20:44, 30:66] = 220, 1
    augment = fused(
        {"HorizontalFlip": {"p": 0.5}},
        move(scale=[0.7, 1.3], translate_percent=[-0.1, 0.1]),
    )
    box = {"bboxes": np.array([[30, 20, 66, 44]], np.float32), "labels": np.array([0])}
    found, annotated = augment(image, box, key)
    ((x0, y0, x1, y1),) = annotated["bboxes"]
    rows, columns = np.nonzero(found[:, :, 0] > 167)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(np.array(seen) - [x0, y0, x1, y1]).max() <= 1
    moved = augment(image, {"mask": mask}, key)[1]["mask"]
    assert (found[:, :, 0] > 130)[moved == 1].mean() > 0.93
    assert (moved[found[:, :, 0] > 167] == 1).mean() > 0.97
    bare = cv2.erode((moved == IGNORE).astype(np.uint8), np.ones((3, 3))) == 1
    assert (found[bare] == GREY).all()


def test_fused__turned_pixels_are_where_the_box_around_them_is() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[30:34, 60:80] = 255
    augment = fused(move(rotate=[30, 30], fill=0))
    box = {"bboxes": np.array([[60, 30, 80, 34]], np.float32), "labels": np.array([0])}
    found, annotated = augment(image, box, 0)
    rows, columns = np.nonzero(found[:, :, 0] > 90)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(annotated["bboxes"][0] - seen).max() < 3


def test_visible__less_than_a_quarter_of_a_box_is_not_an_object() -> None:
    boxes = np.array([[-10, 0, 10, 10], [-30, 0, 10, 10], [-31, 0, 9, 10], [200, 0, 210, 10.0]])
    cut, kept = clip_boxes(boxes, SIZE)
    assert kept.tolist() == [True, True, False, False]
    assert cut.tolist() == [[0, 0, 10, 10], [0, 0, 10, 10]]


@pytest.mark.parametrize(
    ("crop", "frame"), [((32, 32), (64, 96)), ((64, 64), (40, 50)), ((64, 96), (64, 96))]
)
def test_initial_crop__crops_of_a_zoomed_frame_show_it_and_ignore_the_rest(
    crop: tuple[int, int], frame: tuple[int, int]
) -> None:
    augment = fused(initial=InitialCrop(crop, zoom=0.5))
    image, mask = np.full((*frame, 3), 200, np.uint8), np.ones(frame, np.uint8)
    areas = []
    for key in range(20):
        found, annotated = augment(image, {"mask": mask}, key)
        assert found.shape == (*crop, 3)
        shown = annotated["mask"] == 1
        assert set(np.unique(annotated["mask"])) <= {1, IGNORE}
        assert (found[shown] > 100).all()
        areas.append(shown.mean())
    assert max(areas) > 0.5
    assert len(set(areas)) > 1 or areas[0] == 1


def test_initial_crop__random_crops_keep_shares_and_ratios() -> None:
    initial = InitialCrop((32, 32), least_area=0.25)
    for key in range(200):
        draw = iter(np.random.default_rng(key).random(96).tolist()).__next__
        a, b, c, d, e, f = initial.map((90, 150), draw)
        assert b == d == 0
        left, top, width, height = -c / a, -f / e, 32 / a, 32 / e
        assert min(left, top) >= 0
        assert left + width <= 150 + 1e-6
        assert top + height <= 90 + 1e-6
        assert 0.24 <= width * height / (90 * 150) <= 1.01
        assert 0.74 <= width / height <= 1.35


def test_moved__a_crop_is_what_opencv_makes_of_that_rectangle() -> None:
    image, out = picture(90, 150), np.empty((32, 48, 3), np.uint8)
    way = affine.crop_to(12, 7, 60, 40, (32, 48))
    affine.warp_image(image, way, out, 0, (0, 0, 0))
    expected = cv2.resize(image[7:47, 12:72], (48, 32), interpolation=cv2.INTER_LINEAR)
    assert (out == expected).all()
    turned = affine.compose(affine.scale_rotate_shift((32, 48), 1.0, 1e-3, (0.0, 0.0)), way)
    affine.warp_image(image, turned, out, cv2.BORDER_REFLECT_101, (0, 0, 0))
    assert np.abs(out.astype(int) - expected).max() <= 3


def test_moved__strong_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    out = np.empty((32, 32, 3), np.uint8)
    way = affine.crop_to(0, 0, 256, 256, (32, 32))
    way = affine.compose(affine.scale_rotate_shift((32, 32), 1.0, 5.0, (0.0, 0.0)), way)
    affine.warp_image(stripes, way, out, cv2.BORDER_REFLECT_101, (0, 0, 0))
    assert np.abs(out.astype(int) - 127).max() < 40


def test_inverse__there_and_back() -> None:
    way = affine.compose(
        affine.scale_rotate_shift(SIZE, 1.3, 20.0, (4.0, -3.0)), affine.crop_to(3, 4, 50, 60, SIZE)
    )
    assert affine.compose(affine.inverse(way), way) == pytest.approx(affine.IDENTITY)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1.0, 1.0, 1.0, 0.0), [60, 120, 200]),
        ((1.2, 1.0, 1.0, 0.0), [72, 144, 240]),
        ((1.0, 0.5, 1.0, 0.0), [80, 110, 150]),
        ((1.0, 1.0, 0.0, 0.0), [111.18] * 3),
    ],
)
def test_jitter__is_what_its_words_say(factors: tuple, expected: list[float]) -> None:
    mean = np.array([100.0, 100.0, 100.0])
    matrix = colour_matrix.jitter(mean, *factors)
    assert matrix @ [60, 120, 200, 1] == pytest.approx(expected)


def test_jitter__a_turned_hue_is_near_that_of_hsv() -> None:
    colour = np.array([[[150, 110, 90]]], np.uint8)
    hsv = cv2.cvtColor(colour, cv2.COLOR_RGB2HSV)
    hsv[..., 0] += 9  # of 180: a twentieth of a turn
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    matrix = colour_matrix.jitter(np.zeros(3), 1.0, 1.0, 1.0, 0.05)
    turned = matrix @ [*colour[0, 0], 1]
    assert np.abs(turned - expected).max() < 20
    assert colour_matrix.GREY @ [*turned, 1] == pytest.approx(
        colour_matrix.GREY @ [*colour[0, 0], 1]
    )


def test_fused__each_step_does_something_and_only_when_drawn() -> None:
    image = picture()
    for transforms in POLICIES["classification"]["heavy"]:
        ((name, arguments),) = transforms.items()
        never = fused({name: {**arguments, "p": 0.0}})(image, {}, 1)[0]
        always = fused({name: {**arguments, "p": 1.0}})(image, {}, 1)[0]
        assert (never == image).all(), name
        assert (always != image).any(), name


def test_fused__steps_happen_as_often_as_listed() -> None:
    image = picture()
    augment = fused({"HorizontalFlip": {"p": 0.25}})
    happened = sum((augment(image, {}, key)[0] != image).any() for key in range(400))
    assert 70 <= happened <= 130


def test_move__zooms_in_as_often_as_out() -> None:
    (listed,) = steps([move(scale=[0.5, 1.1])])
    assert isinstance(listed, RandomAffine)
    draw = iter(np.random.default_rng(0).random(9000).tolist()).__next__
    zooms = np.array([listed.map(draw, SIZE)[0] for _ in range(1000)])
    assert 0.45 < (zooms > 1).mean() < 0.55
    assert 0.5 <= zooms.min() < 0.6
    assert zooms.max() <= 1.1
