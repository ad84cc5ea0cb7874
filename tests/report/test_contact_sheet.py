import cv2
import numpy as np
import pytest

from automl.errors import UsageError
from automl.report.contact_sheet import contact_sheet


def colours(count: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    sizes = draw.integers(8, 500, (count, 2))
    return [np.full((*size, 3), (200, 30 * (i % 8), 10), np.uint8) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 16])
def test_contact_sheet__any_number_of_any_size(tmp_path, count):
    images = colours(count)
    captions = [f"a very long caption of image {i}, longer than it is wide" for i in range(count)]
    path = contact_sheet(images, captions, tmp_path / "new" / "sheet.png")
    sheet = cv2.imread(str(path))[..., ::-1]
    for image in images:
        # Each picture is there in its own colour.
        assert (sheet == image[0, 0]).all(axis=-1).sum() > 100


def test_contact_sheet__jpeg_and_other_names(tmp_path):
    path = contact_sheet(colours(2), ["a", "b"], tmp_path / "sheet.JPG")
    assert path.read_bytes()[:2] == b"\xff\xd8"
    with pytest.raises(UsageError, match=r"sheet\.txt"):
        contact_sheet(colours(1), ["a"], tmp_path / "sheet.txt")
