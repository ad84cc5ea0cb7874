"""Every set to every layout that holds it, and back: the same images, splits and annotations."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from automl.data.convert import WRITERS, convert
from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.dataset import Dataset
from automl.errors import DataError, UsageError
from automl.talk import Silent
from tests.data import drawn
from tests.data.toys import (
    NAMES,
    prepared,
    save,
    toys,
    write_coco,
    write_coco_single,
    write_csv,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
)

SETS = {
    "detection": (write_coco, write_yolo, write_voc, drawn.write_labelme, drawn.write_boxes_table),
    "segmentation": (
        write_masks,
        drawn.write_coco_outlines,
        drawn.write_yolo_outlines,
        drawn.write_cvat,
        drawn.write_voc_masks,
        drawn.write_coloured_masks,
    ),
    "classification": (write_folders, write_csv, drawn.write_many_labels, drawn.write_cvat),
}
CASES = [
    (task, write, to)
    for task, writers in SETS.items()
    for write in writers
    for to, writer in WRITERS.items()
    if task in writer.TASKS
]


def content(dataset: Dataset) -> dict:
    """All that a set says, by image, whatever its files are called and its classes numbered."""
    names, found = dataset.names, {}
    for sample in dataset.samples:
        known = truth(dataset, sample)
        shown = None
        if known.mask is not None:
            place = np.array([*names, *[""] * (256 - len(names))])
            shown = place[known.mask].tolist()
        found[sample.digest] = (
            sample.split,
            None if sample.label is None else names[sample.label],
            sorted(
                (names[label], tuple(round(v, 2) for v in box), crowd)
                for label, box, crowd in zip(
                    sample.labels, sample.boxes, sample.crowd, strict=False
                )
            ),
            {names[i] for i in sample.labels},
            shown,
        )
    return found


def tree(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def holds(to: str, write) -> bool:
    masks = write in (write_masks, drawn.write_voc_masks, drawn.write_coloured_masks)
    runs = write in (drawn.write_coco_outlines, drawn.write_cvat)
    if to == "folders":
        return write is not drawn.write_many_labels
    return to != "yolo" or not (masks or runs)


@pytest.mark.parametrize(("task", "write", "to"), CASES)
def test_convert__there_and_back(tmp_path, task, write, to):
    source = write(tmp_path / "from", toys(18))
    before, out = tree(source), tmp_path / "out"
    if not holds(to, write):
        with pytest.raises(UsageError):
            convert(source, out, to, Silent(), task=task)
        assert not out.exists()
        return
    dataset, notes, _ = convert(source, out, to, Silent(), task=task)
    back = prepared(out, task)
    assert [f for f in back.findings if f.severity == "fatal"] == []
    assert back.dataset.format == to
    assert back.dataset.brought_splits == dataset.brought_splits
    assert sorted(back.dataset.names) == sorted(dataset.names)
    assert back.dataset.multi_label == dataset.multi_label
    assert content(back.dataset) == content(dataset)
    assert tree(source) == before
    convert(source, tmp_path / "again", to, Silent(), task=task)
    assert tree(tmp_path / "again") == tree(out)
    assert all(isinstance(note, str) for note in notes)


def test_convert__crowds_are_said_where_they_are_lost(tmp_path):
    source = drawn.write_coco_outlines(tmp_path / "from", toys())
    dataset, notes, _ = convert(source, tmp_path / "voc", "voc", Silent())
    assert content(prepared(tmp_path / "voc", "detection").dataset) == content(dataset)
    assert notes == []
    for to in ("yolo", "csv"):
        _, notes, _ = convert(source, tmp_path / to, to, Silent())
        assert any("crowds" in note for note in notes)


def test_convert__groups_and_attributes_live_in_tables(tmp_path):
    made = toys(24)
    rows = [["path", "label", "patient", "camera"]]
    for toy in made:
        save(toy.pixels, tmp_path / "from" / f"{toy.name}.png")
        rows.append([f"{toy.name}.png", NAMES[toy.label], f"p{int(toy.name) // 3}", "k"])
    table = drawn.write_rows(tmp_path / "from/index.csv", rows)
    recipe = f"task: classification\ndata: {{path: {table.parent}, attributes: [camera]}}\n"
    recipe = write_text(tmp_path / "recipe.yaml", recipe)
    dataset, notes, _ = convert(recipe, tmp_path / "csv", "csv", Silent())
    assert any("drawn" in note for note in notes)
    back = prepared(tmp_path / "csv", "classification", attributes=["camera"]).dataset
    facts = [
        {s.digest: (s.group, s.attributes, s.split) for s in one.samples} for one in (dataset, back)
    ]
    assert facts[0] == facts[1]
    assert {s.group for s in back.samples} == {f"p{i}" for i in range(8)}
    _, notes, _ = convert(recipe, tmp_path / "folders", "folders", Silent())
    assert any("groups" in n for n in notes)
    assert any("attributes" in n for n in notes)


def test_convert__links(tmp_path):
    source = write_voc(tmp_path / "from", toys())
    convert(source, tmp_path / "out", "yolo", Silent(), link=True)
    links = [p for p in (tmp_path / "out").rglob("*.png") if p.is_symlink()]
    assert len(links) == 12
    assert content(prepared(tmp_path / "out", "detection").dataset) == content(
        prepared(source, "detection").dataset
    )


@pytest.mark.parametrize("where", [".", "inside", "link"])
def test_convert__never_into_the_source_or_over_something(tmp_path, where):
    source = write_voc(tmp_path / "from", toys())
    (tmp_path / "link").symlink_to(source)
    before = tree(source)
    out = tmp_path / "link" / "x" if where == "link" else source / where
    with pytest.raises(UsageError):
        convert(source, out, "coco", Silent())
    assert tree(source) == before
    with pytest.raises(UsageError, match="already exists"):
        convert(source, write_text(tmp_path / "full/x", "").parent, "coco", Silent())
    (tmp_path / "empty").mkdir()
    convert(source, tmp_path / "empty", "coco", Silent())


def test_convert__layouts_that_do_not_hold_the_task(tmp_path):
    source = write_voc(tmp_path / "from", toys())
    for to in ("folders", "masks"):
        with pytest.raises(UsageError, match=f"`{to}` holds no detection"):
            convert(source, tmp_path / "out", to, Silent())
    (source / "JPEGImages/00.png").unlink()
    with pytest.raises(DataError):
        convert(source, tmp_path / "out", "coco", Silent())
    assert not (tmp_path / "out").exists()


def test_convert__equal_names_in_several_folders(tmp_path):
    made = toys(6)
    for i, toy in enumerate(made):
        for ending in ("png", "bmp"):
            save(toy.pixels + i, tmp_path / "from" / NAMES[i % 3] / f"s{i // 3}" / f"a.{ending}")
    dataset, _, _ = convert(tmp_path / "from", tmp_path / "out", "csv", Silent())
    assert len(dataset.samples) == 12
    assert len(list((tmp_path / "out/images").rglob("a*"))) == 12


NAUGHTY = ["../up", "..", ".", "/abs", "a/b", ".hidden", "CON\0", "a\\b", "x" * 300, ""]


@pytest.mark.parametrize("name", NAUGHTY)
def test_names__of_classes_never_lead_out(tmp_path, name):
    """Folders are the one layout in which a class's name becomes a path."""
    from dataclasses import replace

    from automl.data.writers import folders
    from automl.data.writers.target import Target
    from automl.dataset import Class

    dataset = prepared(write_folders(tmp_path / "from", toys()), "classification").dataset
    classes = (Class(0, name), *dataset.classes[1:])
    with pytest.raises(UsageError):
        folders.write(Target(replace(dataset, classes=classes), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "csv"])
def test_names__of_images_never_lead_out(tmp_path, to):
    made = toys()
    source = write_coco_single(tmp_path / "from/set", made)
    outside = save(made[0].pixels[::-1].copy(), tmp_path / "from/elsewhere/x.png")
    text = (source / "everything.json").read_text()
    text = text.replace('"00.png"', f'"../{outside.parent.name}/x.png"')
    text = text.replace('"01.png"', '".., $(touch x) \\n`.png"')
    (source / "images/01.png").rename(source / "images" / ".., $(touch x) \n`.png")
    write_text(source / "everything.json", text)
    convert(source, tmp_path / "out/deep/er", to, Silent())
    files = {p for p in tmp_path.rglob("*") if p.is_file()}
    written = {p for p in files if not p.is_relative_to(tmp_path / "from")}
    assert all(p.is_relative_to(tmp_path / "out/deep/er") for p in written)
    assert all("\n" not in p.name and ".." not in p.parts for p in written)
    assert len([p for p in written if p.suffix == ".png"]) == 12
    assert content(prepared(tmp_path / "out/deep/er", "detection").dataset) == content(
        prepared(source, "detection").dataset
    )
    assert read_image(outside).shape == (30, 40, 3)
