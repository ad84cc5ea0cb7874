import numpy as np
import pytest

from automl.model.preprocess import PAD_VALUE, Preprocess

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
FITS = ("crop", "squash", "letterbox")


def preprocess(size, fit):
    return Preprocess(size, fit, MEAN, STD)


@pytest.mark.parametrize("fit", FITS)
def test_boxes__forward_and_back_is_identity(fit):
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = (int(v) for v in rng.integers(1, 900, 2))
        size = tuple(int(v) for v in rng.integers(1, 20, 2) * 32)
        geometry = preprocess(size, fit).geometry(height, width)
        corners = rng.uniform(0, 1, (20, 2, 2)) * [width, height]
        boxes = np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)
        back = geometry.boxes_back(geometry.boxes_forward(boxes))
        assert np.abs(back - boxes).max() < 0.5
        assert back.dtype == np.float32


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (3000, 2), (7, 5), (480, 640)])
def test_apply__any_shape_gives_the_frame(fit, shape):
    image = np.full((*shape, 3), 200, np.uint8)
    seen, geometry = preprocess((64, 96), fit).apply(image)
    assert seen.shape == (64, 96, 3)
    assert seen.dtype == np.uint8
    assert (seen[geometry.target.window] == 200).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(120, 200), (200, 120), (40, 50), (31, 33)])
def test_apply__a_drawn_rectangle_lies_where_its_box_goes(fit, shape):
    height, width = shape
    box = np.array([[width * 0.3, height * 0.35, width * 0.7, height * 0.65]]).round()
    x0, y0, x1, y1 = box[0].astype(int)
    image = np.zeros((height, width, 3), np.uint8)
    image[y0:y1, x0:x1] = 255
    seen, geometry = preprocess((96, 128), fit).apply(image)
    inside = seen[..., 0] > 180  # the letterbox's bars are darker
    rows, columns = np.nonzero(inside)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # half of a source pixel is blurred where the image grows
    slack = 1 + max(128 / width, 96 / height) / 0.875
    assert np.abs(geometry.boxes_forward(box)[0] - found).max() <= slack


def test_apply__letterbox_keeps_the_aspect_and_centres():
    seen, geometry = preprocess((64, 64), "letterbox").apply(np.zeros((50, 100, 3), np.uint8))
    assert (geometry.target.top, geometry.target.height, geometry.target.width) == (16, 32, 64)
    assert (seen[:16] == PAD_VALUE).all()
    assert (seen[48:] == PAD_VALUE).all()
    assert (seen[16:48] == 0).all()


def test_apply__crop_keeps_seven_eighths_of_the_short_side():
    geometry = preprocess((224, 224), "crop").geometry(256, 512)
    assert (geometry.source.height, geometry.source.width) == (224, 224)
    assert (geometry.source.top, geometry.source.left) == (16, 144)


def test_apply__same_size_is_untouched_and_not_shared():
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    seen, _ = preprocess((32, 48), "letterbox").apply(image)
    assert (seen == image).all()
    assert not np.shares_memory(seen, image)


def test_apply__strong_shrinking_averages():
    image = np.zeros((256, 256, 3), np.uint8)
    image[::2] = 200
    seen, _ = preprocess((32, 32), "squash").apply(image)
    assert (seen == 100).all()


@pytest.mark.parametrize("fit", ["squash", "letterbox"])
@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (45, 77), (200, 300)])
def test_masks__forward_and_back_agree(fit, shape):
    height, width = shape
    mask = np.zeros(shape, np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 1
    mask[height // 2 :, width // 2 :] = 2
    geometry = preprocess((128, 160), fit).geometry(height, width)
    seen = geometry.mask_forward(mask)
    assert seen.shape == (128, 160)
    outside = np.ones_like(seen, bool)
    outside[geometry.target.window] = False
    assert (seen[outside] == 255).all()
    assert set(np.unique(seen[~outside])) == {0, 1, 2}
    planes = np.stack([seen == k for k in range(3)]).astype(np.float32)
    back = geometry.map_back(planes)
    assert back.shape == (3, height, width)
    assert (back.argmax(0) == mask).mean() > 0.97


def test_masks__no_shift_between_image_and_mask():
    rng = np.random.default_rng(1)
    for height, width in rng.integers(40, 300, (30, 2)):
        centre = np.zeros((height, width), np.uint8)
        centre[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
        shown, geometry = preprocess((96, 96), "letterbox").apply(
            np.repeat(centre[..., None] * 255, 3, 2)
        )
        seen = geometry.mask_forward(centre) == 1
        bright = shown[..., 0] * (shown[..., 0] != PAD_VALUE)
        middle = [np.array(np.nonzero(m)).mean(1) for m in (seen, bright > 127)]
        assert np.abs(middle[0] - middle[1]).max() < 0.6


def test_map_back__crop_reaches_to_the_borders():
    geometry = preprocess((32, 32), "crop").geometry(64, 128)
    back = geometry.map_back(np.ones((32, 32), np.float32))
    assert back.shape == (64, 128)
    assert (back == 1).all()


def test_dict__survives_the_round_trip():
    one = preprocess((240, 320), "letterbox")
    assert Preprocess.from_dict(one.to_dict()) == one
    with pytest.raises(ValueError, match="unknown fit"):
        Preprocess.from_dict({**one.to_dict(), "fit": "stretch"})
