"""Images and masks in folders of many names: read as pairs, and never as two classes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from automl.data.ground_truth import truth
from automl.data.recognise import recognise
from automl.errors import DataError
from tests.data.toys import NAMES, codes, prepared, save, toys, write_text

LAYOUTS = {
    "other capitals": ("Images/{name}.png", "Masks/{name}.png"),
    "one": ("image/{name}.png", "label/{name}.png"),
    "input": ("input/{name}.png", "target/{name}.png"),
    "ground truth": ("Original/{name}.png", "Ground Truth/{name}.png"),
    "same word": ("train_images/{name}.png", "train_masks/{name}.png"),
    "decathlon": ("imagesTr/{name}.png", "labelsTr/{name}.png"),
    "nnU-Net": ("imagesTr/{name}_0000.png", "labelsTr/{name}.png"),
    "mmsegmentation": ("img_dir/{split}/{name}.png", "ann_dir/{split}/{name}.png"),
    "isic": ("Task1-2_Input/{name}.png", "Task1_GroundTruth/{name}_segmentation.png"),
    "isic in splits": (
        "ISIC2018_Task1-2_{split}_Input/{name}.png",
        "ISIC2018_Task1_{split}_GroundTruth/{name}_segmentation.png",
    ),
    "words behind both names": ("images/{name}_image.png", "masks/{name}_mask.png"),
    "words behind both names beside": ("{split}/{name}_sat.png", "{split}/{name}_mask.png"),
    "mapillary": ("{split}/images/{name}.png", "{split}/v2.0/labels/{name}.png"),
    "pets": ("images/{name}.png", "annotations/trimaps/{name}.png"),
    "in splits": ("{split}/Images/{name}.png", "{split}/Labels/{name}.png"),
    "one level more": (
        "{split}/p{half}/images_png/{name}.png",
        "{split}/p{half}/masks_png/{name}.png",
    ),
    "beside": ("{name}.png", "{name}_mask.png"),
    "beside in splits": ("{split}/{name}.png", "{split}/{name}_mask.png"),
    "beside by patient": ("p{half}/{name}.png", "p{half}/{name}_seg.png"),
}


def write(root, image, mask, convert=lambda ids: ids):
    made = toys()
    for toy in made:
        told = {"split": toy.split, "name": toy.name, "half": int(toy.name) // 6}
        save(toy.pixels, root / image.format(**told))
        save(convert(toy.mask), root / mask.format(**told))
    return made


def check(root, made, splits):
    found = prepared(root, "segmentation")
    assert found.findings == ()
    assert len(found.dataset.samples) == len(made)
    by_name = {toy.name: toy for toy in made}
    for sample in found.dataset.samples:
        toy = by_name[sample.path.rsplit("/", 1)[-1][:2]]
        assert np.array_equal(truth(found.dataset, sample).mask, toy.mask)
        assert not splits or sample.split == toy.split
    return found.dataset


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pairs__read_as_drawn(tmp_path, layout):
    image, mask = LAYOUTS[layout]
    made = write(tmp_path, image, mask)
    found = recognise(tmp_path)
    assert (found.format, found.task) == ("masks", "segmentation")
    check(tmp_path, made, "{split}" in image)


REFUSED = {
    "kitti": (("image_2/{n}.png", "semantic/{n}.png", "semantic_rgb/{n}.png"), "look like images"),
    "one level more for some": (
        ("Urban/images_png/{n}.png", "Urban/masks_png/{n}.png", "Rural/images_png/{n}.png"),
        "look like images",
    ),
    "camvid": (("701_StillsRaw/{n}.png", "LabeledApproved/{n}_L.png"), "look like images and"),
    "potsdam": (("1_DSM/a_{n}_x.png", "2_RGB/a_{n}_RGB.png", "5_Labels/a_{n}_l.png"), "look like"),
    "celeba": (("CelebA-img/{n}.png", "CelebA-mask-anno/0/0{n}_hair.png"), "look like images"),
    "parts": (("photos_1/0{n}.png", "photos_2/1{n}.png"), "look like parts of one set"),
    "no masks": (("images/{n}.png",), "nothing says what they show"),
}


@pytest.mark.parametrize("layout", REFUSED)
def test_pairs__others_are_refused_and_no_classes(tmp_path, layout):
    names, told = REFUSED[layout]
    for toy in toys():
        for name in names:
            save(toy.pixels, tmp_path / "train" / name.format(n=toy.name))
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert told in caught.value.faults[0].hint


def test_pairs__a_test_split_without_masks_is_left_alone(tmp_path):
    """As LoveDA has it."""
    made = [t for t in toys() if t.split != "test"]
    for toy in made:
        for kind, pixels in (("images_png", toy.pixels), ("masks_png", toy.mask)):
            save(pixels, tmp_path / toy.split.title() / "Urban" / kind / f"{toy.name}.png")
    save(toys(6)[5].pixels, tmp_path / "Test/Urban/images_png/05.png")
    check(tmp_path, made, splits=True)


def test_pairs__folders_that_are_no_splits_may_be_classes(tmp_path):
    write(tmp_path, "p{half}/images/{name}.png", "p{half}/masks/{name}.png")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "look like images and their masks" in caught.value.faults[0].hint


def test_pairs__drive_has_a_first_reader_and_a_field_of_view(tmp_path):
    made = write(
        tmp_path,
        "{split}ing/images/{name}_training.png",
        "{split}ing/1st_manual/{name}_manual1.png",
    )
    made = [toy for toy in made if toy.split in ("train", "test")]
    for folder in tmp_path.glob("valing"):
        shutil.rmtree(folder)
    for toy in made:
        view = np.full_like(toy.mask, 255)
        save(view, tmp_path / f"{toy.split}ing/mask/{toy.name}_{toy.split}_mask.png")
    found = prepared(tmp_path, "segmentation")
    assert codes(found) == []
    assert codes(found, "warning") == ["folder_left_out"] * 2
    by_name = {toy.name: toy for toy in made}
    for sample in found.dataset.samples:
        toy = by_name[sample.path.rsplit("/", 1)[-1][:2]]
        assert np.array_equal(truth(found.dataset, sample).mask, toy.mask)
        assert (sample.split == "test") == (toy.split == "test")


def test_splits_by_another_name_are_no_classes(tmp_path):
    for i, toy in enumerate(toys()):
        save(toy.pixels, tmp_path / ("FACES_train", "FACES_val")[i % 2] / "a" / f"{toy.name}.png")
    with pytest.raises(DataError, match="no known layout"):
        recognise(tmp_path)


def test_folders__masks_among_the_images_of_a_class_are_left_out(tmp_path):
    for toy in toys(18):
        save(toy.pixels, tmp_path / NAMES[toy.label] / f"{toy.name}.png")
        save(toy.mask, tmp_path / NAMES[toy.label] / f"{toy.name}_mask.png")
    save(toys(1)[0].mask, tmp_path / NAMES[0] / "00_mask_1.png")
    found = prepared(tmp_path, "classification")
    assert len(found.dataset.samples) == 18
    assert [f.reason for f in found.findings if f.code == "mask_among_images"] == [
        "19 masks of images beside them (`a_mask.png` of `a.png`) are left out"
    ]
    assert codes(prepared(tmp_path, "segmentation")) == ["several_masks"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("train/_classes.csv", "Pixel Value, Class\n0, ground\n1, disc\n2, ring\n3, square\n"),
        ("dataset.json", '{"labels": {"ground": 0, "disc": 1, "ring": 2, "square": 3}}'),
        ("dataset.json", '{"labels": {"0": "ground", "1": "disc", "2": "ring", "3": "square"}}'),
    ],
)
def test_names__as_roboflow_and_medical_sets_have_them(tmp_path, file, text):
    made = write(tmp_path, "{split}/{name}.png", "{split}/{name}_mask.png")
    write_text(tmp_path / file, text)
    assert check(tmp_path, made, splits=True).names == ["ground", *NAMES]


def opaque(ids):
    return np.dstack([ids, ids, ids, np.full_like(ids, 255)])


def test_ids__saved_in_more_bits_than_they_need(tmp_path):
    made = write(
        tmp_path, "images/{name}.tif", "masks/{name}.tif", lambda ids: ids.astype(np.float32)
    )
    check(tmp_path, made, splits=False)


@pytest.mark.parametrize("convert", [lambda ids: np.dstack([ids] * 3), opaque])
def test_ids__in_several_channels_are_refused(tmp_path, convert):
    write(tmp_path, "images/{name}.png", "masks/{name}.png", convert)
    assert "broken_mask" in codes(prepared(tmp_path, "segmentation"))


def test_ids__fractions_are_refused(tmp_path):
    write(tmp_path, "images/{name}.tif", "masks/{name}.tif", lambda ids: ids / np.float32(3))
    assert "broken_mask" in codes(prepared(tmp_path, "segmentation"))


def test_palette__a_table_of_colours_wins_over_the_order_of_the_palette(tmp_path):
    made = write(tmp_path, "images/{name}.png", "masks/{name}.png")
    colours = {"ground": [0, 0, 0], "disc": [200, 0, 0], "ring": [0, 200, 0], "square": [0, 0, 9]}
    order = [2, 0, 3, 1]
    for toy in made:
        image = Image.new("P", toy.mask.shape[::-1])
        image.putdata(np.argsort(order)[toy.mask].ravel().tolist())
        image.putpalette([v for i in order for v in list(colours.values())[i]])
        image.save(tmp_path / "masks" / f"{toy.name}.png")
    table = "".join(f"{name}:{','.join(map(str, rgb))}::\n" for name, rgb in colours.items())
    write_text(tmp_path / "labelmap.txt", table)
    assert check(tmp_path, made, splits=False).names == list(colours)
    write_text(tmp_path / "labelmap.txt", table.replace("200", "201"))
    found = prepared(tmp_path, "segmentation")
    sample = next(s for s in found.dataset.samples if s.path.endswith("02.png"))
    assert np.array_equal(truth(found.dataset, sample).mask, np.argsort(order)[made[2].mask])


def test_folders__a_split_of_images_alone_is_no_class(tmp_path):
    """As Tiny ImageNet is: `val/images` beside `train/CLASS`."""
    for toy in toys():
        name = NAMES[toy.label] if toy.split == "train" else "images"
        save(toy.pixels, tmp_path / toy.split / name / f"{toy.name}.png")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert caught.value.faults[0].hint.startswith("`train` inside is a set for classification")


def test_folders__that_may_be_the_masks_that_are_meant_are_told(tmp_path):
    """`mask` may say where the eye is, and a folder of no known name where its vessels are."""
    made = write(tmp_path, "{split}/images/{name}.png", "{split}/mask/{name}_mask.png")
    for toy in made:
        save(toy.mask, tmp_path / toy.split / "vessels" / f"{toy.name}_manual1.png")
    found = prepared(tmp_path, "segmentation").findings
    assert [(f.code, f.file) for f in found] == [
        ("folder_left_out", f"{split}/vessels") for split in ("test", "train", "val")
    ]


def test_ids__numbers_of_objects_are_told(tmp_path):
    """As Penn-Fudan has them: every person of an image has an id."""
    made = write(tmp_path, "PNGImages/{name}.png", "PedMasks/{name}_mask.png")
    for i, toy in enumerate(made):
        objects = np.zeros_like(toy.mask)
        for number in range(1 + i % 4):
            objects[5:20, 9 * number : 9 * number + 7] = number + 1
        save(objects, tmp_path / "PedMasks" / f"{toy.name}_mask.png")
    found = prepared(tmp_path, "segmentation")
    assert codes(found, "warning") == ["ids_of_objects"]
    named = prepared(tmp_path, "segmentation", classes=["ground", "a", "b", "c", "d"])
    assert named.findings == ()


def test_folders__classes_that_say_mask_are_classes(tmp_path):
    """Photos are saved as JPEG; and a name that says mask needs one that does not."""
    for toy in toys():
        for name in ("vest", "mask"):
            file = tmp_path / "photos" / name / f"{toy.name}.jpg"
            save(toy.pixels if name == "mask" else 255 - toy.pixels, file)
        for name in ("with_mask", "without_mask"):
            save(toy.pixels, tmp_path / "drawings" / name / f"{toy.name}.png")
    for top in ("photos", "drawings"):
        assert recognise(tmp_path / top).format == "folders"


def test_ids__smoothed_edges_of_two_values_are_refused(tmp_path):
    """255 would be ignored, and each shade a class."""
    made = write(tmp_path, "images/{name}.png", "masks/{name}.png")
    for toy in made:
        drawn = np.kron((toy.mask > 0) * 255, np.ones((4, 4))).astype(np.uint8)
        image = Image.fromarray(np.kron(toy.pixels, np.ones((4, 4, 1))).astype(np.uint8))
        image.save(tmp_path / "images" / f"{toy.name}.png")
        soft = Image.fromarray(drawn).resize((60, 45), Image.Resampling.BILINEAR)
        soft.resize(image.size, Image.Resampling.NEAREST).save(tmp_path / f"masks/{toy.name}.png")
    assert codes(prepared(tmp_path, "segmentation")) == ["smoothed_mask"]
