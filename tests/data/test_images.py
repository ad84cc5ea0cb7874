"""Decoding: every kind of file ends as upright 8-bit RGB, or as exact ids, or as a clear error."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from automl.data.images import image_facts, mask_facts, read_image, read_mask, upright_corners
from automl.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_read_image__rgb_is_exact(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint8
    assert np.array_equal(read, PIXELS)
    assert read.flags.writeable


def test_read_image__grey_is_repeated(tmp_path):
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert np.array_equal(read, np.repeat(PIXELS[:, :, :1], 3, axis=2))
    assert image_facts(tmp_path / "a.png").channels == 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_read_image__sixteen_bit_uses_the_full_range(tmp_path, suffix):
    wide = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(wide).save(tmp_path / f"a.{suffix}")
    read = read_image(tmp_path / f"a.{suffix}")
    assert read.min() == 0
    assert read.max() == 255
    assert np.abs(read[:, :, 1] - wide / 257).max() <= 0.51
    assert image_facts(tmp_path / f"a.{suffix}").bit_depth == 16


def test_read_image__palette_with_colours(tmp_path):
    image = Image.fromarray(PIXELS[:, :, 0] // 64).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "a.png")
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    assert np.array_equal(read_image(tmp_path / "a.png"), colours[PIXELS[:, :, 0] // 64])


def test_read_image__transparent_pixels_are_white(tmp_path):
    pixels = np.dstack([PIXELS, np.full((20, 30), 255, np.uint8)])
    pixels[:10, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert (read[:10] == 255).all()
    assert np.array_equal(read[10:], PIXELS[10:])


def test_read_image__cmyk_keeps_its_colour(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 250
    Image.fromarray(red).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - red).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_image__exif_orientation_as_pillow_turns_it(tmp_path, orientation):
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)
    facts = image_facts(tmp_path / "a.png")
    assert (facts.height, facts.width) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_corners__box_follows_its_pixels(tmp_path, orientation):
    stored = np.zeros((20, 30), np.uint8)
    stored[3:9, 5:17] = 200
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    y, x = np.where(read_image(tmp_path / "a.png")[:, :, 0] > 0)
    box = upright_corners((5, 3, 17, 9), orientation, (30, 20))
    assert box == (x.min(), y.min(), x.max() + 1, y.max() + 1)


def _truncated(path):
    Image.fromarray(np.repeat(np.repeat(PIXELS, 8, 0), 8, 1)).save(path, quality=95)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncated, "truncated"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("<html>not found</html>"), "not an image"),
        (lambda p: None, "no such file"),
    ],
)
def test_read_image__broken_file_is_named(tmp_path, spoil, message):
    path = tmp_path / "a.jpg"
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path)
    assert caught.value.faults[0].where == str(path)
    with pytest.raises(DataError, match=message):
        image_facts(path)


def test_read_image__floating_point_is_refused(tmp_path):
    Image.fromarray(RNG.random((8, 8)).astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating point"):
        image_facts(tmp_path / "a.tif")


def test_read_mask__palette_indices_are_exact(tmp_path):
    ids = RNG.integers(0, 22, (20, 30), dtype=np.uint8)
    ids[0, 0] = 255
    image = Image.fromarray(ids).convert("P")
    image = Image.frombytes("P", (30, 20), ids.tobytes())
    image.putpalette(list(RNG.integers(0, 256, 768)))
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), ids)


def test_read_mask__sixteen_bit_ids(tmp_path):
    ids = RNG.integers(0, 3000, (20, 30)).astype(np.uint16)
    Image.fromarray(ids).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), ids)
    counts = mask_facts(tmp_path / "a.png").counts
    assert sum(counts.values()) == 600
    assert counts[int(ids[0, 0])] == (ids == ids[0, 0]).sum()


def test_read_mask__one_bit(tmp_path):
    ids = PIXELS[:, :, 0] > 128
    Image.fromarray(ids).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), ids.astype(int))


def test_read_mask__colours_are_refused(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="colours"):
        read_mask(tmp_path / "a.png")


def test_read_mask__jpeg_is_refused(tmp_path):
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="JPEG"):
        mask_facts(tmp_path / "a.jpg")
