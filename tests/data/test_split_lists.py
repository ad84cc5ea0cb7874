"""Class folders with lists that share the images out: CUB, Food-101, DTD."""

import pytest

from automl.data.recognise import recognise
from tests.data.toys import NAMES, codes, prepared, save, toys, write_text

TOP = {"cub": "images", "food": "images", "dtd": "images", "beside": "."}


def written(root, kind):
    """The toys in class folders, with their splits in lists as each of the sets has them."""
    made = toys()
    names = [f"{NAMES[toy.label]}/{toy.name}" for toy in made]
    for toy, name in zip(made, names, strict=True):
        save(toy.pixels, root / TOP[kind] / f"{name}.png")
    if kind == "cub":
        lines = [f"{i} {name}.png\n" for i, name in enumerate(names, 1)]
        shares = [f"{i} {int(toy.split == 'train')}\n" for i, toy in enumerate(made, 1)]
        write_text(root / "images.txt", "".join(lines))
        write_text(root / "train_test_split.txt", "".join(shares))
        write_text(root / "classes.txt", "".join(f"{i} {n}\n" for i, n in enumerate(NAMES, 1)))
    else:
        files = {"food": "meta/{}.txt", "dtd": "labels/{}1.txt", "beside": "{}.txt"}
        end = "" if kind == "food" else ".png"
        for split in {toy.split for toy in made}:
            own = [n for toy, n in zip(made, names, strict=True) if toy.split == split]
            write_text(root / files[kind].format(split), "".join(f"{n}{end}\n" for n in own))
    return made


@pytest.mark.parametrize("kind", list(TOP))
def test_lists__share_out_class_folders(tmp_path, kind):
    made = written(tmp_path, kind)
    if kind == "dtd":  # further partitions count for nothing
        write_text(tmp_path / "labels/train2.txt", f"{NAMES[0]}/other.png\n")
        write_text(tmp_path / "labels/test2.txt", f"{NAMES[0]}/other.png\n")
    known = recognise(tmp_path)
    assert (known.format, known.task) == ("folders", "classification")
    assert "share out to splits" in known.why
    found = prepared(tmp_path, "classification")
    assert codes(found) == codes(found, "warning") == []
    splits = {s.path.rsplit("/", 1)[1][:-4]: s.split for s in found.dataset.samples}
    other = "test" if kind == "cub" else None  # CUB knows train and test only
    expected = {t.name: "train" if t.split == "train" else other or t.split for t in made}
    if kind == "cub":  # validation images are drawn from those of `train`
        splits = {n: "train" if s == "val" else s for n, s in splits.items()}
    assert splits == expected
    names = {t.name: NAMES[t.label] for t in made}
    found_names = {
        s.path.rsplit("/", 1)[1][:-4]: found.dataset.names[s.label] for s in found.dataset.samples
    }
    assert found_names == names


def test_lists__that_lack_images_or_list_absent_ones_are_told(tmp_path):
    made = written(tmp_path, "food")
    save(made[0].pixels[::-1], tmp_path / "images" / NAMES[0] / "unlisted.png")
    with (tmp_path / "meta/train.txt").open("a") as file:
        file.write(f"{NAMES[0]}/lost\n")
    found = prepared(tmp_path, "classification")
    assert codes(found, "warning") == ["missing_image", "not_in_lists"]
    told = {f.code: f for f in found.findings}
    assert f"{NAMES[0]}/unlisted" in told["not_in_lists"].reason
    assert f"{NAMES[0]}/lost" in told["missing_image"].reason
    assert len(found.dataset.samples) == len(made)


def test_lists__of_something_else_leave_the_splits_to_be_drawn(tmp_path):
    written(tmp_path, "beside")
    for name in ("train", "val", "test"):
        file = tmp_path / f"{name}.txt"
        if file.exists():
            file.write_text("a caption of some image\n")
    assert "share out" not in recognise(tmp_path).why
    assert {s.split for s in prepared(tmp_path, "classification").dataset.samples} == {
        "train",
        "val",
    }
