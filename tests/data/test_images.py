"""Decoding: every kind of file ends as upright 8-bit RGB, or as exact ids, or as a clear error."""

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from automl.data.images import image_facts, mask_facts, read_image, read_mask
from automl.data.orientation import upright_corners
from automl.errors import DataError, MachineError

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


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_read_image__floating_point_by_its_usual_range(tmp_path, top):
    values = np.linspace(0, top, 600).astype(np.float32).reshape(20, 30)
    Image.fromarray(values).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    assert np.abs(read[:, :, 0] - values / top * 255).max() <= 0.51
    facts = image_facts(tmp_path / "a.tif")
    assert (facts.bit_depth, facts.channels, facts.notes) == (16, 1, ())


def test_read_image__floating_point_of_no_usual_range_is_said(tmp_path):
    Image.fromarray(np.linspace(-1000, 3000, 256, dtype=np.float32).reshape(16, 16)).save(
        tmp_path / "a.tif"
    )
    read = read_image(tmp_path / "a.tif")
    assert (read.min(), read.max()) == (0, 255)
    assert notes(tmp_path / "a.tif") == ["odd_range"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_read_image__floating_point_that_is_no_number(tmp_path, value):
    values = np.zeros((8, 8), np.float32)
    values[3, 3] = value
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="NaN or infinite"):
        image_facts(tmp_path / "a.tif")


def notes(path):
    return [code for code, _ in image_facts(path).notes]


def test_read_image__sixteen_bit_ramp_keeps_its_levels(tmp_path):
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        assert len(np.unique(read_image(tmp_path / name))) == 256


def test_notes__several_pictures_in_one_file(tmp_path):
    frames = [Image.fromarray(np.roll(PIXELS, i, 0)) for i in range(3)]
    for name, code in {"a.gif": "animated", "a.webp": "animated", "a.tif": "several_pages"}.items():
        lossless = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **lossless)
        assert notes(tmp_path / name) == [code]
        if name != "a.gif":
            assert np.array_equal(read_image(tmp_path / name), PIXELS)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.bmp", "a.tif", "a.ppm", "a.jp2", "a.avif"])
def test_read_image__every_format(tmp_path, name):
    smooth = np.zeros((20, 30, 3), np.uint8) + np.arange(30, dtype=np.uint8)[:, None] * 4
    Image.fromarray(smooth).save(tmp_path / name)
    assert np.abs(read_image(tmp_path / name).astype(int) - smooth).max() <= 16
    assert notes(tmp_path / name) == []


def test_notes__a_name_that_says_another_format(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", format="PNG")
    assert np.array_equal(read_image(tmp_path / "a.jpg"), PIXELS)
    assert notes(tmp_path / "a.jpg") == ["wrong_suffix"]


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette"])
def test_notes__transparent_only_where_it_shows(tmp_path, kind):
    image = Image.fromarray(PIXELS).convert("RGBA" if kind == "palette" else kind)
    image.save(tmp_path / "opaque.png")
    assert notes(tmp_path / "opaque.png") == []
    if kind == "palette":
        image = Image.fromarray(PIXELS[:, :, 0] // 64).convert("P")
        image.info["transparency"] = 0
    else:
        image.putalpha(Image.linear_gradient("L").resize((30, 20)))
    image.save(tmp_path / "holes.png")
    assert notes(tmp_path / "holes.png") == ["transparent"]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage that is no TIFF header", b"Exif\0\0II*\0\xff\xff"]
)
def test_notes__broken_exif_is_ignored(tmp_path, exif):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == PIXELS.shape
    assert notes(tmp_path / "a.jpg") == ["broken_exif"]


def test_notes__orientation_that_does_not_exist(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    assert notes(tmp_path / "a.jpg") == ["broken_exif"]


def test_sizes__long_is_said_and_tiny_is_refused(tmp_path):
    Image.new("L", (60_000, 1)).save(tmp_path / "long.png")
    assert notes(tmp_path / "long.png") == ["extreme_shape"]
    Image.new("L", (1, 1)).save(tmp_path / "tiny.png")
    with pytest.raises(DataError, match="below the smallest size"):
        read_image(tmp_path / "tiny.png")


@pytest.mark.parametrize("size", [(30_000, 30_000), (14_000, 14_000), (2**31 - 1, 2**31 - 1)])
def test_sizes__a_bomb_is_refused_by_its_header(tmp_path, size):
    data = bytearray(_png(PIXELS))
    data[16:24] = b"".join(side.to_bytes(4, "big") for side in size)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match="more than can be decoded safely|more pixels than"):
        read_image(tmp_path / "a.png")


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_read_image__png_with_a_wrong_checksum(tmp_path):
    data = bytearray(_png(PIXELS))
    data[data.rindex(b"IEND") - 8] ^= 1  # the checksum of the pixels, which Pillow skips
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), PIXELS)
    with pytest.raises(DataError, match="checksum of its part `IDAT`"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_read_image__cut_at_any_length(tmp_path, form, share):
    path = tmp_path / "a"
    Image.fromarray(np.repeat(np.repeat(PIXELS, 8, 0), 8, 1)).save(path, form, quality=95)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match="broken image"):
        read_image(path)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"  <html lang=en>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a drawing"),
        (b"<svg xmlns=", "a drawing"),
    ],
)
def test_read_image__says_what_is_no_image(tmp_path, head, words):
    (tmp_path / "a.jpg").write_bytes(head + b"x" * 100)
    with pytest.raises(DataError, match=words):
        read_image(tmp_path / "a.jpg")


def test_read_image__a_format_that_runs_a_program_is_not_tried(tmp_path):
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (tmp_path / "a.jpg").write_bytes(
        b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + bytes(24) + text
    )
    with pytest.raises(DataError, match="not an image"):
        read_image(tmp_path / "a.jpg")


def test_read_image__heic_names_the_package(tmp_path):
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        with pytest.raises(MachineError, match="pillow-heif"):
            read_image(tmp_path / "a.heic")


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


def test_read_image__a_tiff_of_other_numbers_is_no_broken_one(tmp_path, capfd):
    """As scientific cameras and satellites write them."""
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), np.zeros((8, 9, 3), np.float32))
    with pytest.raises(DataError, match="neither grey nor RGB") as caught:
        read_image(path)
    assert "gdal_translate" in caught.value.faults[0].hint
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_facts__three_channels_of_sixteen_bits(tmp_path, ending):
    """Pillow gives their upper 8 bits alone."""
    wide = np.arange(720, dtype=np.uint16).reshape(16, 15, 3) * 5
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), wide)
    facts = image_facts(path)
    assert (facts.bit_depth, facts.channels) == (16, 3)
    assert abs(facts.brightest - wide.max()) < 257
