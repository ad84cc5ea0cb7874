"""Tables of run lengths as Kaggle distributes them, and those that count in another way."""

import numpy as np
import pytest

from automl.data import kaggle_rle, rle
from automl.data.check import check
from automl.data.ground_truth import truth
from automl.data.recognise import recognise
from automl.errors import DataError
from automl.talk import Silent
from tests.data import drawn
from tests.data.toys import HEIGHT, NAMES, WIDTH, codes, prepared, save, toys


def write(root, header, rows, folder="train_images", table="train.csv"):
    made = toys()
    for toy in made:
        save(toy.pixels, root / folder / f"{toy.name}.png")
    drawn.write_rows(root / table, [header, *(row for toy in made for row in rows(toy))])
    return made


def masks_of(found):
    return {
        s.path.rsplit("/", 1)[-1][:2]: truth(found.dataset, s).mask for s in found.dataset.samples
    }


def covered(toy):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _, (x0, y0, x1, y1) in toy.boxes:
        mask[y0:y1, x0:x1] = 1
    return mask


ONE_CLASS = {
    "airbus": (["ImageId", "EncodedPixels"], ".png", "train_v2", "train_ship_segmentations_v2.csv"),
    "salt": (["id", "rle_mask"], "", "train/images", "train.csv"),
    "beside": (["image", "rle"], ".png", ".", "masks.csv"),
    "padded": (["ImageId", " EncodedPixels"], ".png", "train", "train-rle.csv"),
}


@pytest.mark.parametrize("kind", ONE_CLASS)
@pytest.mark.parametrize("nothing", ["", "-1", "NaN"])
def test_one_class__read_as_drawn(tmp_path, kind, nothing):
    header, end, folder, table = ONE_CLASS[kind]
    empty = "03"

    def rows(toy):
        if toy.name == empty:
            return [[toy.name + end, nothing]]
        return [[toy.name + end, drawn.kaggle_rle(box)] for _, box in toy.boxes]

    made = write(tmp_path, header, rows, folder, table)
    assert (recognise(tmp_path).format, recognise(tmp_path).task) == ("csv", "segmentation")
    found = prepared(tmp_path, "segmentation")
    assert found.findings == ()
    assert found.dataset.names == ["background", "object"]
    masks = masks_of(found)
    for toy in made:
        assert np.array_equal(masks[toy.name], covered(toy) * (toy.name != empty))


@pytest.mark.parametrize("column", ["ImageId_ClassId", "Image_Label"])
def test_class_behind_the_name(tmp_path, column):
    """As Severstal and the clouds have it: a line for each class of each image."""

    def rows(toy):
        own = {k: drawn.kaggle_rle(b) for k, b in reversed(toy.boxes)}
        return [[f"{toy.name}.png_{name}", own.get(k, "")] for k, name in enumerate(NAMES)]

    made = write(tmp_path, [column, "EncodedPixels"], rows)
    found = prepared(tmp_path, "segmentation")
    assert found.findings == ()
    assert found.dataset.names == ["background", *NAMES]
    masks = masks_of(found)
    for toy in made:
        assert np.array_equal(masks[toy.name], drawn.painted(toy)), toy.name


def test_images_of_the_split_that_the_table_is_of(tmp_path):
    for toy in toys():
        save(255 - toy.pixels, tmp_path / "test" / f"{toy.name}.png")
    header = ["id", "rle"]
    write(tmp_path, header, lambda t: [[t.name, drawn.kaggle_rle(b)] for _, b in t.boxes], "train")
    found = prepared(tmp_path, "segmentation")
    assert codes(found) == []
    assert {s.path.split("/")[0] for s in found.dataset.samples} == {"train"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 3 9", "pairs of start and length"),
        ("a b", "pairs of start and length"),
        ("0 3", "count pixels from 1"),
        ("5 0", "count pixels from 1"),
        ("9 3 1 2", "go back"),
        (f"{HEIGHT * WIDTH} 2", f"reach pixel {HEIGHT * WIDTH + 1} of {HEIGHT * WIDTH}"),
        ("9" * 20 + " 1", "pairs of start and length"),
    ],
)
def test_broken_runs_are_findings(tmp_path, text, told):
    header = ["ImageId", "EncodedPixels"]
    write(tmp_path, header, lambda t: [[f"{t.name}.png", text if t.name == "00" else "1 5"]])
    found = prepared(tmp_path, "segmentation")
    assert codes(found) == ["malformed_annotation"]
    assert told in next(f.reason for f in found.findings if f.severity == "fatal")
    assert next(f.file for f in found.findings if f.severity == "fatal") == "train.csv:2"


def along_rows(box):
    x0, y0, x1, y1 = box
    return " ".join(f"{y * WIDTH + x0 + 1} {x1 - x0}" for y in range(y0, y1))


def test_runs_along_rows_are_refused_and_not_mended(tmp_path):
    header = ["ImageId", "EncodedPixels"]
    root = tmp_path / "set"
    write(root, header, lambda t: [[f"{t.name}.png", along_rows(b)] for _, b in t.boxes])
    assert codes(prepared(root, "segmentation")) == ["runs_along_rows"]
    check(root, Silent(), fix=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs__to_the_last_pixel_and_in_lists():
    wanted = np.zeros((3, 2), bool)
    wanted[0, 0] = wanted[:, 1] = True
    for text in ("1 1 4 3", "1, 1, 4, 3", "1 1 4 2 6 1"):
        assert kaggle_rle.lengths(text, (3, 2)) == rle.lengths(wanted)


def as_kaggle_writes(mask):
    """The function that its notebooks share."""
    pixels = np.concatenate([[0], mask.T.flatten(), [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


def ellipses(draw, size):
    """One to five of them, turned."""
    y, x = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, bool)
    for _ in range(draw.integers(1, 6)):
        turn, middle = draw.uniform(0, 3), draw.uniform(0, size)
        axes = draw.uniform(2, np.array(size) / 3)
        u = (x - middle[1]) * np.cos(turn) + (y - middle[0]) * np.sin(turn)
        v = (y - middle[0]) * np.cos(turn) - (x - middle[1]) * np.sin(turn)
        mask |= (u / axes[1]) ** 2 + (v / axes[0]) ** 2 <= 1
    return mask.astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 400), (96, 128), (128, 96), (100, 101), (80, 80)])
def test_order__of_masks_of_any_shape(size):
    draw = np.random.default_rng(0)
    masks = [m for m in (ellipses(draw, size) for _ in range(80)) if m.any()]
    written = [as_kaggle_writes(m) for m in masks]
    for text, mask in zip(written, masks, strict=True):
        assert kaggle_rle.lengths(text, size) == rle.lengths(mask)
    rows, told = kaggle_rle.goes_along_rows(written, size)
    assert rows <= told * 0.1
    rows, told = kaggle_rle.goes_along_rows([as_kaggle_writes(m.T) for m in masks], size)
    assert rows >= told * 0.6
    assert bool(told) == (size[0] * 1.1 < size[1] or size[1] * 1.1 < size[0])


def test_a_column_of_another_name_is_named_in_the_recipe(tmp_path):
    """UW-Madison calls it so and counts along the rows: nothing tells in square images."""
    header = ["id", "class", "segmentation"]
    made = write(
        tmp_path, header, lambda t: [[t.name, NAMES[k], drawn.kaggle_rle(b)] for k, b in t.boxes]
    )
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "`data.columns: {runs: segmentation}`" in caught.value.faults[0].hint
    found = prepared(tmp_path, "segmentation", columns={"runs": "segmentation"})
    assert found.findings == ()
    masks = masks_of(found)
    assert all(np.array_equal(masks[toy.name], drawn.painted(toy)) for toy in made)


def test_an_image_that_exif_turns_is_refused(tmp_path):
    from PIL import Image

    header = ["ImageId", "EncodedPixels"]
    write(tmp_path, header, lambda t: [[f"{t.name}.png", "1 5"]])
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "train_images/00.png"
    Image.open(path).save(path, exif=exif)
    found = prepared(tmp_path, "segmentation")
    assert codes(found) == ["malformed_annotation"]
