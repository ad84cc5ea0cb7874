import io

import cv2
import numpy as np
import pytest
from PIL import Image

from automl.dataset import Sample
from automl.engines.yolo_layout import write_layout


def picture(shape=(40, 60)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.stack([4 * x % 256, 5 * y % 256, (x + y) % 256], -1).astype(np.uint8)


def sample(path, width=60, height=40, **fields):
    return Sample(path, "train", width, height, "", **fields)


def test_write_layout__numbers_links_and_labels(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a b.png")
    Image.fromarray(picture()).save(tmp_path / "c.JPEG")
    boxes = ((0.0, 10.0, 30.0, 30.0), (10.0, 10.0, 20.0, 20.0), (5.0, 5.0, 5.0, 9.0))
    samples = [
        sample("a b.png", boxes=boxes, labels=(1, 0, 0), crowd=(False, True, False)),
        sample("c.JPEG"),
    ]
    images = write_layout(tmp_path / "out", tmp_path, samples)
    assert sorted(p.name for p in images.iterdir()) == ["00000000.png", "00000001.jpg"]
    assert (images / "00000000.png").readlink() == tmp_path / "a b.png"
    assert (images / "00000001.jpg").is_symlink()
    labels = tmp_path / "out" / "labels"
    text = (labels / "00000000.txt").read_text()
    assert text == "1 0.25000000 0.50000000 0.50000000 0.50000000\n"
    assert (labels / "00000001.txt").read_text() == ""


def test_write_layout__leaves_nothing_of_an_older_one(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "labels.cache").write_bytes(b"planted")
    write_layout(tmp_path / "out", tmp_path, [sample("a.png")])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["images", "labels"]


def saved(kind):
    image, file = Image.fromarray(picture()), io.BytesIO()
    match kind:
        case "turned":
            exif = image.getexif()
            exif[0x0112] = 6
            image.save(file, "JPEG", exif=exif)
        case "no end":
            image.save(file, "JPEG")
            return file.getvalue() + b"trailing"
        case "transparent":
            image.putalpha(128)
            image.save(file, "PNG")
        case "palette":
            image.quantize(8).save(file, "PNG")
        case "16 bit":
            Image.fromarray(picture()[..., 0].astype(np.uint16) * 256).save(file, "PNG")
        case "tiff":
            image.save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["turned", "no end", "transparent", "palette", "16 bit", "tiff"])
def test_write_layout__decodes_what_others_read_differently(tmp_path, kind):
    from automl.data.images import read_image

    path = tmp_path / "a.jpg"
    path.write_bytes(saved(kind))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    images = write_layout(tmp_path / "out", tmp_path, [sample("a.jpg")])
    (written,) = images.iterdir()
    assert not written.is_symlink()
    assert (cv2.imread(str(written))[..., ::-1] == read_image(path)).all()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_write_layout__enlarges_tiny_images(tmp_path):
    Image.fromarray(picture((4, 8))).save(tmp_path / "a.png")
    one = sample("a.png", 8, 4, boxes=((0.0, 0.0, 4.0, 4.0),), labels=(0,))
    images = write_layout(tmp_path / "out", tmp_path, [one])
    (written,) = images.iterdir()
    assert cv2.imread(str(written)).shape == (12, 24, 3)
    text = (tmp_path / "out" / "labels" / "00000000.txt").read_text()
    assert text == "0 0.25000000 0.50000000 0.50000000 1.00000000\n"
