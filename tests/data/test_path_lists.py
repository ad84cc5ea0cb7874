"""Text lists of images with their class, and Pascal VOC's lists of a class each."""

import pytest

from automl.data.recognise import recognise
from automl.errors import DataError
from tests.data.drawn import labels_of, write_lists, write_voc_labels
from tests.data.test_readers import check_labels
from tests.data.toys import NAMES, codes, prepared, save, toys, write_folders, write_text


def write(root, line, folder="images", name="train.txt"):
    made = toys(18)
    for toy in made:
        save(toy.pixels, root / folder / f"{toy.name}.png")
    write_text(root / name, "".join(f"{line(t)}\n" for t in made))
    return made


LINES = {
    "names": lambda t: f"images/{t.name}.png {NAMES[t.label]}",
    "tabs": lambda t: f"{t.name}.png\t{NAMES[t.label]}",
    "another machine": lambda t: f"/srv/set/images/{t.name}.png {NAMES[t.label]}",
    "windows": lambda t: f"C:\\set\\images\\{t.name}.png {NAMES[t.label]}\r",
}


@pytest.mark.parametrize("kind", LINES)
def test_one_list__read_as_drawn(tmp_path, kind):
    made = write(tmp_path, LINES[kind], name="annotations.txt")
    assert recognise(tmp_path).format == "lists"
    check_labels(prepared(tmp_path, "classification"), made, splits=False)
    found = prepared(tmp_path / "annotations.txt", "classification")
    check_labels(found, made, splits=False)


def test_tabs__words_within_names(tmp_path):
    write(tmp_path, lambda t: f"images/{t.name}.png\tgolden {NAMES[t.label]}")
    found = prepared(tmp_path, "classification")
    assert found.dataset.names == [f"golden {name}" for name in NAMES]


NAMED = {
    "classes.txt": "square\nring\ndisc\n",
    "labels.txt": "2 disc\n1 ring\n0 square\n",
    "synset_words.txt": "n01440764 square\nn01440765 ring\nn01440766 disc\n",
}


@pytest.mark.parametrize("file", NAMED)
def test_numbers__named_by_a_file(tmp_path, file):
    made = write(tmp_path, lambda t: f"{t.name}.png {2 - t.label}")
    write_text(tmp_path / file, NAMED[file])
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    assert found.dataset.names == ["square", "ring", "disc"]
    assert [s.label for s in found.dataset.samples] == [2 - t.label for t in made]


def test_numbers__named_by_the_recipe_or_not_at_all(tmp_path):
    made = write(tmp_path, lambda t: f"{t.name}.png {t.label}")
    assert prepared(tmp_path, "classification").dataset.names == ["0", "1", "2"]
    found = prepared(tmp_path, "classification", classes=list(NAMES))
    check_labels(found, made, splits=False)


def test_synsets__names_that_stand_twice_keep_their_number(tmp_path):
    write(tmp_path, lambda t: f"{t.name}.png {t.label}")
    write_text(tmp_path / "synset_words.txt", "n00000001 crane\nn00000002 crane\nn00000003 maillot")
    names = prepared(tmp_path, "classification").dataset.names
    assert names == ["n00000001 crane", "n00000002 crane", "n00000003 maillot"]
    write_text(tmp_path / "classes.txt", "crane\ncrane\nmaillot")
    with pytest.raises(DataError, match="`crane` stands twice"):
        prepared(tmp_path, "classification")


def test_faults(tmp_path):
    write(tmp_path, lambda t: f"{t.name}.png {t.label + 1}")
    write_text(tmp_path / "classes.txt", "disc\nring\nsquare\n")
    found = prepared(tmp_path, "classification")
    assert "label 3 is no name" in next(f.reason for f in found.findings)
    assert codes(found) == ["unknown_class"]
    with (tmp_path / "train.txt").open("a") as file:
        file.write("one word\n99.png 1\n")
    found = prepared(tmp_path, "classification")
    assert sorted(set(codes(found))) == ["malformed_annotation", "missing_image", "unknown_class"]


@pytest.mark.parametrize("odd", ["cat", "9" * 5000])
def test_a_label_that_no_list_of_names_has(tmp_path, odd):
    write(tmp_path, lambda t: f"{t.name}.png {odd if t.name == '03' else t.label}")
    write_text(tmp_path / "classes.txt", "disc\nring\nsquare\n")
    found = prepared(tmp_path, "classification")
    assert codes(found) == ["unknown_class"]
    assert found.dataset.names == list(NAMES)


def test_test_images_without_labels_are_left_out(tmp_path):
    """As in Caffe's lists of ImageNet, where each of them has a 0."""
    root = write_lists(tmp_path, toys(18))
    text = (root / "test.txt").read_text()
    write_text(root / "test.txt", "".join(f"{line.split()[0]} 0\n" for line in text.splitlines()))
    found = prepared(root, "classification")
    assert codes(found, "warning") == ["split_without_labels"]
    assert set(found.dataset.counts()) == {"train", "val"}


@pytest.mark.parametrize(
    "line",
    [
        lambda t: f"images/{t.name}.png",
        lambda t: f"images/{t.name}.png 1,2,8,9,0",
        lambda t: f"images/{t.name}.png images/{t.name}.png",
        lambda t: f"images/{t.name}.png 0 1 0",
        lambda t: f"other{t.name}.png 1",
    ],
)
def test_recognise__other_lists_are_none(tmp_path, line):
    write(tmp_path, line)
    with pytest.raises(DataError, match="no known layout"):
        recognise(tmp_path)


def test_recognise__lists_that_cannot_be_told_apart(tmp_path):
    write(tmp_path, LINES["names"], name="a.txt")
    write(tmp_path, LINES["names"], name="b.txt")
    with pytest.raises(DataError, match=r"several lists: a.txt, b.txt"):
        prepared(tmp_path, "classification")
    write_text(tmp_path / "train.txt", (tmp_path / "a.txt").read_text())
    assert codes(prepared(tmp_path, "classification")) == []


def test_recognise__notes_beside_class_folders_are_no_lists(tmp_path):
    write_folders(tmp_path, toys())
    write_text(tmp_path / "README.txt", "How it was made\n")
    assert recognise(tmp_path).format == "folders"


def test_voc__lists_of_classes(tmp_path):
    made = toys()
    root = write_voc_labels(tmp_path, made)
    assert recognise(root).task == "detection"
    assert recognise(root, "classification").format == "voc"
    found = prepared(root, "classification")
    assert found.findings == ()
    assert found.dataset.multi_label
    samples = {s.path[-6:-4]: s for s in found.dataset.samples}
    for toy in made:
        names = [found.dataset.names[i] for i in samples[toy.name].labels]
        assert names == labels_of(toy)
        assert samples[toy.name].split == toy.split


def test_voc__difficult_and_forgotten_images_are_told(tmp_path):
    root = write_voc_labels(tmp_path, toys())
    file = root / "ImageSets/Main/ring_train.txt"
    file.write_text(file.read_text().replace("00 -1", "00 0"))
    found = prepared(root, "classification")
    assert codes(found, "warning") == ["difficult_shown"]
    assert "ring" in [found.dataset.names[i] for i in found.dataset.samples[0].labels]
    file.write_text(file.read_text().replace("00 0\n", "00 yes\n"))
    assert codes(prepared(root, "classification")) == ["malformed_annotation"] * 2
