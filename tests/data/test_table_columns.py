"""Tables as people have them: other columns, several labels in a cell, tables beside the one."""

import pytest

from automl.data.recognise import recognise
from automl.errors import DataError
from tests.data.drawn import write_rows
from tests.data.toys import HEIGHT, NAMES, WIDTH, codes, prepared, save, toys


def pictures(root, folder="train"):
    for toy in toys():
        save(toy.pixels, root / folder / f"{toy.name}x.png")
    return toys()


def labels_of(dataset):
    return {s.path[-7:-5]: [dataset.names[i] for i in s.labels] for s in dataset.samples}


@pytest.mark.parametrize(
    "write",
    ["|".join, ";".join, ", ".join, str],
)
def test_labels__separated_in_any_of_the_usual_ways(tmp_path, write):
    made = pictures(tmp_path)
    wanted = {t.name: sorted({NAMES[k] for k, _ in t.boxes}) for t in made}
    rows = [[f"{t.name}x.png", write(wanted[t.name])] for t in made]
    write_rows(tmp_path / "train.csv", [["image_name", "tags"], *rows])
    found = prepared(tmp_path, "classification")
    assert codes(found) == codes(found, "warning") == []
    assert found.dataset.names == list(NAMES)
    assert labels_of(found.dataset) == wanted


def test_labels__numbers_apart_by_spaces_in_the_column_that_the_recipe_names(tmp_path):
    """`Target` would be one label otherwise."""
    made = pictures(tmp_path)
    wanted = {t.name: sorted({str(k) for k, _ in t.boxes}) for t in made}
    rows = [[f"{t.name}x", " ".join(wanted[t.name])] for t in made]
    write_rows(tmp_path / "train.csv", [["Id", "Target"], *rows])
    columns = {"path": "Id", "labels": "Target"}
    found = prepared(tmp_path, "classification", columns=columns)
    assert found.dataset.multi_label
    assert labels_of(found.dataset) == wanted


@pytest.mark.parametrize("column", ["labels", "label"])
def test_labels__words_that_look_like_several_are_told(tmp_path, column):
    made = pictures(tmp_path)
    names = ["clear", "rain", "clear road", "rain road", "clear rain", "road"]
    rows = [[f"{t.name}x.png", names[i % 6]] for i, t in enumerate(made)]
    write_rows(tmp_path / "train.csv", [["path", column], *rows])
    found = prepared(tmp_path, "classification")
    assert codes(found, "warning") == ["labels_not_split"]
    assert "clear road" in found.dataset.names


def test_labels__names_of_several_words_are_left_alone(tmp_path):
    made = pictures(tmp_path)
    names = ["golden retriever", "tabby cat", "grey wolf"]
    rows = [[f"{t.name}x.png", names[i % 3]] for i, t in enumerate(made)]
    write_rows(tmp_path / "train.csv", [["path", "labels"], *rows])
    found = prepared(tmp_path, "classification")
    assert codes(found, "warning") == []
    assert found.dataset.names == names[:1] + names[2:] + names[1:2]


def test_id__is_the_image_where_it_names_one(tmp_path):
    made = pictures(tmp_path)
    rows = [[f"{t.name}x", NAMES[t.label]] for t in made]
    write_rows(tmp_path / "train_labels.csv", [["id", "label"], *rows])
    write_rows(tmp_path / "sample_submission.csv", [["id", "label"], ["99x", "disc"]])
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    assert [found.dataset.names[s.label] for s in found.dataset.samples] == [
        NAMES[t.label] for t in made
    ]
    rows = [[i, name] for i, name in enumerate(NAMES)]
    write_rows(tmp_path / "other" / "classes.csv", [["id", "label"], *rows])
    with pytest.raises(DataError, match="no known layout"):
        recognise(tmp_path / "other")


HEADERS = {
    "middles as shares": ["image", "label", "x_center", "y_center", "width", "height"],
    "prefixed": ["image_name", "label_name", "bbox_x", "bbox_y", "bbox_width", "bbox_height"],
}


@pytest.mark.parametrize("kind", HEADERS)
def test_boxes__by_other_columns(tmp_path, kind):
    made = pictures(tmp_path)
    rows = []
    for toy in made:
        for k, (x0, y0, x1, y1) in toy.boxes:
            box = [x0, y0, x1 - x0, y1 - y0]
            if kind == "middles as shares":
                box = [(x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT]
                box += [(x1 - x0) / WIDTH, (y1 - y0) / HEIGHT]
            rows.append([f"{toy.name}x.png", NAMES[k], *box])
    write_rows(tmp_path / "boxes.csv", [HEADERS[kind], *rows])
    assert recognise(tmp_path).task == "detection"
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert [sorted(s.boxes) for s in found.dataset.samples] == [
        [pytest.approx(tuple(map(float, b)), abs=0.01) for b in sorted(b for _, b in t.boxes)]
        for t in made
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([["image", "mask"], ["00x.png", "1 3"]], "holds run lengths"),
        ([["images/00x.png", "1", "2", "8", "9", "disc"]], "has no header"),
        ([["path", "x1", "y1", "x2", "y2", "tree_species"], ["00x", "1"]], "tree_species: say in"),
        ([["key", "breed"], ["00x", "disc"]], "columns: {path: key, label: breed}"),
    ],
)
def test_recognise__says_what_a_table_lacks(tmp_path, rows, told):
    pictures(tmp_path)
    write_rows(tmp_path / "train.csv", rows)
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert told in caught.value.faults[0].hint


BARE = {
    "wheat": (["image_id", "width", "height", "bbox", "source"], "label: source"),
    "edges": (["path", "x1", "y1", "x2", "y2"], "label: kind"),
}


@pytest.mark.parametrize("kind", BARE)
def test_boxes__without_a_column_of_classes_are_one_class(tmp_path, kind):
    made = pictures(tmp_path)
    header, told = BARE[kind]
    rows = []
    for toy in made:
        for _, (x0, y0, x1, y1) in toy.boxes:
            box = [WIDTH, HEIGHT, str([x0, y0, x1 - x0, y1 - y0]), "usask_1"]
            rows.append([f"{toy.name}x", *(box if kind == "wheat" else [x0, y0, x1, y1])])
    write_rows(tmp_path / "train.csv", [header, *rows])
    assert recognise(tmp_path).task == "detection"
    found = prepared(tmp_path, "detection")
    assert [(f.code, f.severity, f.file) for f in found.findings] == [
        ("one_class", "warning", "train.csv")
    ]
    assert told in found.findings[0].cure
    assert found.dataset.names == ["object"]
    assert [s.boxes for s in found.dataset.samples] == [
        tuple(tuple(map(float, box)) for _, box in t.boxes) for t in made
    ]
    assert prepared(tmp_path, "detection", classes=["ear"]).dataset.names == ["ear"]


def test_no_header__path_and_label(tmp_path):
    made = pictures(tmp_path)
    rows = [[f"train/{t.name}x.png", NAMES[t.label]] for t in made]
    write_rows(tmp_path / "labels.csv", rows)
    assert (recognise(tmp_path).format, recognise(tmp_path).task) == ("csv", "classification")
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    labels = {s.path[-7:-5]: found.dataset.names[s.label] for s in found.dataset.samples}
    assert labels == {t.name: NAMES[t.label] for t in made}


def test_no_header__path_and_mask(tmp_path):
    made = pictures(tmp_path)
    for toy in made:
        save(toy.mask, tmp_path / "drawn" / f"{toy.name}.png")
    rows = [[f"train/{t.name}x.png", f"drawn/{t.name}.png"] for t in made]
    write_rows(tmp_path / "pairs.csv", rows)
    assert recognise(tmp_path).task == "segmentation"
    assert codes(prepared(tmp_path, "segmentation")) == []


@pytest.mark.parametrize("empty_first", [True, False])
def test_no_header__boxes_as_keras_retinanet_has_them(tmp_path, empty_first):
    made = pictures(tmp_path)
    save(255 - made[0].pixels, tmp_path / "train/emptyx.png")
    empty = [["train/emptyx.png", "", "", "", "", ""]]
    rows = [[f"train/{t.name}x.png", *box, NAMES[k]] for t in made for k, box in t.boxes]
    write_rows(tmp_path / "annotations.csv", empty + rows if empty_first else rows + empty)
    write_rows(tmp_path / "classes.csv", [[name, i] for i, name in enumerate(NAMES)])
    assert (recognise(tmp_path).format, recognise(tmp_path).task) == ("csv", "detection")
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    read = {s.path[-7:-5]: s for s in found.dataset.samples}
    for toy in made:
        sample = read[toy.name]
        assert [found.dataset.names[i] for i in sample.labels] == [NAMES[k] for k, _ in toy.boxes]
        assert sample.boxes == tuple(tuple(map(float, box)) for _, box in toy.boxes)
    assert found.profile.extra["images_without_objects"] == 1


def test_classes__two_spellings_of_one_are_told(tmp_path):
    made = pictures(tmp_path)
    spelt = {"disc": "Disc", "ring": "ring", "square": "disc"}
    rows = [[f"{t.name}x.png", spelt[NAMES[t.label]]] for t in made]
    write_rows(tmp_path / "train.csv", [["path", "label"], *rows])
    found = prepared(tmp_path, "classification")
    assert codes(found, "warning") == ["similar_classes"]


def test_openimages__ids_with_the_ending_of_the_file(tmp_path):
    made = pictures(tmp_path, "images")
    header = ["ImageID", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"]
    rows = [
        [f"{t.name}x.png", NAMES[k], 1, x0 / WIDTH, x1 / WIDTH, y0 / HEIGHT, y1 / HEIGHT]
        for t in made
        for k, (x0, y0, x1, y1) in t.boxes
    ]
    write_rows(tmp_path / "boxes.csv", [header, *rows])
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert len(found.dataset.samples) == len(made)


@pytest.mark.parametrize("header", [["id", "breed"], ["Image", "Id"], ["", "id_code", "diagnosis"]])
def test_two_columns__the_one_that_names_no_image_is_the_class(tmp_path, header):
    made = pictures(tmp_path)
    ends = [".png" if "Image" in header else "", NAMES]
    rows = [[f"{t.name}x{ends[0]}", NAMES[t.label]] for t in made]
    rows = [[i, *row] for i, row in enumerate(rows)] if header[0] == "" else rows
    write_rows(tmp_path / "labels.csv", [header, *rows])
    write_rows(tmp_path / "names.csv", [["breed", "group"], ["disc", "round"], ["ring", "round"]])
    found = recognise(tmp_path)
    assert (found.format, found.task) == ("csv", "classification")
    assert f"{header[-2]}, {header[-1]}" in found.why
    found = prepared(tmp_path, "classification")
    assert [(f.code, f.severity) for f in found.findings] == [("label_column", "warning")]
    assert {s.path[-7:-5]: found.dataset.names[s.label] for s in found.dataset.samples} == {
        t.name: NAMES[t.label] for t in made
    }


@pytest.mark.parametrize("value", ["a {i}th caption", "{i}.5"])
def test_two_columns__values_that_do_not_come_again_are_no_classes(tmp_path, value):
    rows = [[f"{t.name}x", value.format(i=i)] for i, t in enumerate(pictures(tmp_path))]
    write_rows(tmp_path / "labels.csv", [["image", "said"], *rows])
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "columns: {path: image, label: said}" in caught.value.faults[0].hint


def test_split__tables_of_none_are_left_out_beside_that_of_train(tmp_path):
    """As GTSRB is: `Train.csv`, `Test.csv` and `Meta.csv`, which shows a sign of each class."""
    made = pictures(tmp_path)
    rows = [[f"train/{t.name}x.png", t.label] for t in made]
    write_rows(tmp_path / "Train.csv", [["Path", "ClassId"], *rows[:8]])
    write_rows(tmp_path / "Test.csv", [["Path", "ClassId"], *rows[8:]])
    write_rows(tmp_path / "Meta.csv", [["Path", "ClassId"], *rows[:3]])
    found = prepared(tmp_path, "classification")
    assert [(f.code, f.file) for f in found.findings] == [("table_left_out", "Meta.csv")]
    assert found.dataset.counts()["test"] == 4


def test_split__in_the_middle_of_a_word(tmp_path):
    """As CIFAR-10 is at Kaggle: `trainLabels.csv` of `train/1.png`, where `test/1.png` is too."""
    for toy in toys():
        save(toy.pixels, tmp_path / "train" / f"{toy.name}.png")
        save(255 - toy.pixels, tmp_path / "test" / f"{toy.name}.png")
    rows = [[t.name, NAMES[t.label]] for t in toys()]
    write_rows(tmp_path / "trainLabels.csv", [["id", "label"], *rows])
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    assert {s.path.partition("/")[0] for s in found.dataset.samples} == {"train"}


def test_path__that_begins_with_the_folder_of_the_table(tmp_path):
    """As CheXpert has it; the names of files alone are the same for each patient."""
    for toy in toys():
        save(toy.pixels, tmp_path / "set" / "train" / f"patient{toy.name}" / "view1.png")
    rows = [[f"CheXpert/train/patient{t.name}/view1.png", NAMES[t.label]] for t in toys()]
    write_rows(tmp_path / "set/train.csv", [["Path", "Label"], *rows])
    found = prepared(tmp_path / "set", "classification")
    assert found.findings == ()
    assert len(found.dataset.samples) == 12


def test_classes__names_before_numbers(tmp_path):
    """As EuroSAT has both."""
    made = pictures(tmp_path)
    rows = [[f"{t.name}x.png", t.label, NAMES[t.label]] for t in made]
    write_rows(tmp_path / "train.csv", [["Filename", "Label", "ClassName"], *rows])
    assert prepared(tmp_path, "classification").dataset.names == list(NAMES)


def test_label_studio__its_csv(tmp_path):
    made = pictures(tmp_path, "images")
    header = ["annotation_id", "annotator", "choice", "id", "image"]
    rows = [[i, 1, NAMES[t.label], i, f"/data/upload/1/{t.name}x.png"] for i, t in enumerate(made)]
    write_rows(tmp_path / "project-1-at-2026.csv", [header, *rows])
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    assert found.dataset.names == list(NAMES)


def test_header__spaces_around_its_names(tmp_path):
    made = pictures(tmp_path)
    rows = [[f"{t.name}x.png", NAMES[t.label]] for t in made]
    write_rows(tmp_path / "train.csv", [[" path ", " label "], *rows])
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    assert found.dataset.names == list(NAMES)


def test_label__that_pandas_has_not_found(tmp_path):
    made = pictures(tmp_path)
    rows = [[f"{t.name}x.png", NAMES[t.label] if t.name > "00" else "nan"] for t in made]
    write_rows(tmp_path / "train.csv", [["path", "label"], *rows])
    found = prepared(tmp_path, "classification")
    assert [(f.code, f.file, f.reason) for f in found.findings] == [
        ("no_class", "train.csv:2", "the label is nan")
    ]
    assert found.dataset.names == list(NAMES)


def test_columns_of_classes__of_1_and_minus_1(tmp_path):
    """As CelebA has them."""
    made = pictures(tmp_path, "img_align_celeba")
    shown = {t.name: {k for k, _ in t.boxes} for t in made}
    rows = [[f"{t.name}x.png", *(1 if k in shown[t.name] else -1 for k in range(3))] for t in made]
    write_rows(tmp_path / "list_attr_celeba.csv", [["image_id", *NAMES], *rows])
    found = prepared(tmp_path, "classification")
    assert found.findings == ()
    assert labels_of(found.dataset) == {n: [NAMES[k] for k in sorted(s)] for n, s in shown.items()}
    rows[0][1] = 0
    write_rows(tmp_path / "list_attr_celeba.csv", [["image_id", *NAMES], *rows])
    with pytest.raises(DataError):
        recognise(tmp_path)


def test_recognise__a_table_of_pixels(tmp_path):
    write_rows(tmp_path / "train.csv", [["label", "pixel0", "pixel1"], [1, 0, 255]])
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "holds pixels" in caught.value.faults[0].hint


@pytest.mark.parametrize("yes", ["True", "1"])
def test_split__is_valid_as_fastai_has_it(tmp_path, yes):
    made = pictures(tmp_path)
    no = {"True": "False", "1": "0"}[yes]
    rows = [[f"{t.name}x.png", NAMES[t.label], no if t.split == "train" else yes] for t in made]
    write_rows(tmp_path / "labels.csv", [["fname", "label", "is_valid"], *rows])
    found = prepared(tmp_path, "classification")
    splits = {s.path[-7:-5]: s.split for s in found.dataset.samples}
    assert splits == {t.name: "train" if t.split == "train" else "val" for t in made}


def test_split__is_valid_that_says_neither_is_told(tmp_path):
    made = pictures(tmp_path)
    rows = [[f"{t.name}x.png", NAMES[t.label], "0" if i else "perhaps"] for i, t in enumerate(made)]
    write_rows(tmp_path / "labels.csv", [["fname", "label", "is_valid"], *rows])
    (told,) = [f for f in prepared(tmp_path, "classification").findings if f.severity == "fatal"]
    assert (told.code, told.file) == ("unknown_split", "labels.csv:2")
    assert "perhaps" in told.reason


def test_lines__with_more_cells_than_columns_are_told(tmp_path):
    """A comma in a label without quotes around it would cut the label."""
    made = pictures(tmp_path)
    rows = [[f"{t.name}x.png", NAMES[t.label]] for t in made]
    file = write_rows(tmp_path / "labels.csv", [["path", "label"], *rows])
    lines = file.read_text().splitlines()
    lines[3] += ", black"
    lines[4] += ","  # an empty cell says nothing
    file.write_text("\n".join(lines))
    found = prepared(tmp_path, "classification")
    (told,) = [f for f in found.findings if f.severity == "fatal"]
    assert (told.code, told.file) == ("malformed_annotation", "labels.csv:4")
    assert "black" in told.reason
    assert len(found.dataset.samples) == len(made) - 1


def test_header__that_names_a_column_twice_is_refused(tmp_path):
    made = pictures(tmp_path)
    rows = [[f"{t.name}x.png", NAMES[t.label], "other", 1, 2] for t in made]
    header = ["path", "label", "label", "note", "note"]  # notes are not read
    write_rows(tmp_path / "labels.csv", [header, *rows])
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, "classification")
    assert "two columns are called `label`" in caught.value.faults[0].message
