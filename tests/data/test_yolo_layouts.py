"""YOLO as tools and people leave it: paths of other machines, missing splits, more numbers."""

import pytest

from automl.data.recognise import recognise
from automl.errors import DataError
from tests.data.toys import (
    HEIGHT,
    NAMES,
    WIDTH,
    codes,
    prepared,
    save,
    toys,
    write_text,
    write_yolo,
    write_yolo_split_first,
    yolo_lines,
)


def boxes(found):
    return {s.path.rsplit("/", 1)[-1][:2]: sorted(s.boxes) for s in found.dataset.samples}


def expected(made):
    return {t.name: sorted(tuple(map(float, box)) for _, box in t.boxes) for t in made}


def check(root, made, *warnings):
    assert recognise(root).format == "yolo"
    found = prepared(root, "detection")
    assert codes(found) == []
    assert codes(found, "warning") == list(warnings)
    close = boxes(found)
    assert close.keys() == expected(made).keys()
    for name, own in expected(made).items():
        assert close[name] == [pytest.approx(box, abs=0.001) for box in own]
    assert found.dataset.names == list(NAMES)
    return found.dataset


def test_test_split_that_was_not_exported_is_an_empty_one(tmp_path):
    made = [t for t in toys() if t.split != "test"]
    write_yolo_split_first(tmp_path, made)
    check(tmp_path, made, "empty_split")


def test_val_that_is_not_there_is_refused_with_the_cure(tmp_path):
    write_yolo_split_first(tmp_path, [t for t in toys() if t.split != "val"])
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, "detection")
    assert caught.value.faults[0].hint.endswith("correct `val`, or remove it")


def test_paths_of_another_machine(tmp_path):
    write_yolo(tmp_path, toys())
    text = (tmp_path / "data.yaml").read_text().replace(": images", ": C:\\\\sets\\\\toy\\\\images")
    write_text(tmp_path / "data.yaml", text.replace("images/", "images\\\\"))
    check(tmp_path, toys())
    write_text(tmp_path / "data.yaml", text.replace("C:\\\\sets\\\\toy\\\\", "/content/toy/"))
    assert check(tmp_path, toys()).counts() == {"train": 8, "val": 2, "test": 2}


def test_names_alone_in_a_description_without_splits(tmp_path):
    """As supervision exports it, with and without folders of splits."""
    write_yolo_split_first(tmp_path, toys())
    write_text(tmp_path / "data.yaml", f"names: [{', '.join(NAMES)}]\nnc: 3\n")
    assert check(tmp_path, toys()).counts() == {"train": 8, "val": 2, "test": 2}
    for toy in toys():
        save(toy.pixels, tmp_path / "flat" / "images" / f"{toy.name}.png")
        write_text(tmp_path / "flat" / "labels" / f"{toy.name}.txt", yolo_lines(toy))
    write_text(tmp_path / "flat" / "data.yaml", f"names: [{', '.join(NAMES)}]\nnc: 3\n")
    check(tmp_path / "flat", toys())


@pytest.mark.parametrize("prefix", ["data/", "/content/darknet/data/", ""])
def test_darknet__lists_of_images_by_obj_data(tmp_path, prefix):
    for toy in toys():
        save(toy.pixels, tmp_path / "obj" / f"{toy.name}.png")
        write_text(tmp_path / "obj" / f"{toy.name}.txt", yolo_lines(toy))
    for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        own = [f"{prefix}obj/{t.name}.png\n" for t in toys() if t.split == split]
        write_text(tmp_path / f"{name}.txt", "".join(own))
    write_text(tmp_path / "obj.names", "\n".join(NAMES) + "\n")
    lists = "".join(f"{n} = {prefix}{n}.txt\n" for n in ("train", "valid", "test"))
    write_text(tmp_path / "obj.data", f"classes= 3\n{lists}names = {prefix}obj.names\n")
    assert check(tmp_path, toys()).counts() == {"train": 8, "val": 2, "test": 2}


@pytest.mark.parametrize("shape", ["kpt_shape: [4, 2]\n", "kpt_shape: [4, 3]\n", ""])
def test_pose__its_boxes_are_read_and_the_rest_is_told(tmp_path, shape):
    """Twelve or sixteen numbers are an even count, as an outline has."""
    write_yolo(tmp_path, toys())
    points = "0.1 0.2 0.9 0.9 0.5 0.5 0 0" if "2]" in shape else "0.1 0.2 2 0.9 0.9 1 0 0 0 .5 .5 2"
    for label in tmp_path.glob("labels/*/*.txt"):
        label.write_text(label.read_text().replace("\n", f" {points}\n"))
    yaml = tmp_path / "data.yaml"
    yaml.write_text(shape + yaml.read_text())
    check(tmp_path, toys(), "key_points_left_out")


@pytest.mark.parametrize("turned", [True, False])
def test_turned_boxes_are_told(tmp_path, turned):
    made = toys()
    write_yolo(tmp_path, made)
    for toy in made:
        lines = ""
        for name, (x0, y0, x1, y1) in toy.boxes:
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            ring = [x, y0, x1, y, x, y1, x0, y] if turned else [x0, y0, x1, y0, x1, y1, x0, y1]
            shares = (v / (HEIGHT if i % 2 else WIDTH) for i, v in enumerate(ring))
            lines += f"{name} {' '.join(f'{v:.6f}' for v in shares)}\n"
        write_text(tmp_path / "labels" / toy.split / f"{toy.name}.txt", lines)
    check(tmp_path, made, *(["turned_box"] if turned else []))


def test_lists_of_images_in_labels_are_no_boxes(tmp_path):
    """As DTD is: `labels/train1.txt` beside `images/CLASS`."""
    for toy in toys():
        save(toy.pixels, tmp_path / "images" / NAMES[toy.label] / f"{toy.name}.png")
    lines = "".join(f"{NAMES[t.label]}/{t.name}.png\n" for t in toys())
    write_text(tmp_path / "labels/train1.txt", lines)
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert caught.value.faults[0].hint.startswith("`images` inside is a set for classification")
