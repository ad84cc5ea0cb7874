"""Checks of whole sets: copies, groups, classes, outliers, splits that differ, what is waived."""

import ast
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl.data.checks import waived
from automl.data.reading import fatal
from automl.dataset import Finding
from automl.errors import DataError, RecipeError
from automl.finding_codes import BINDING, CODES
from automl.recipe.schema import load_recipe
from tests.data.toys import codes, prepared, save, toys, write_folders

PACKAGE = Path(__file__).parents[2] / "automl" / "data"


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Smooth blobs that no other seed draws alike."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def folders(root: Path, images: dict[str, Image.Image]) -> Path:
    for name, image in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name, quality=70)
    return root


def set_of(count: int, split: str = "train", first: int = 0) -> dict[str, Image.Image]:
    return {f"{split}/{'ab'[i % 2]}/{i:03d}.png": scene(first + i) for i in range(count)}


def found(root: Path, **data: object) -> list[tuple[str, str]]:
    return [(f.code, f.file) for f in prepared(root, "classification", **data).findings]


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def flipped(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


NEAR = {
    "resized": ("copy.png", lambda i: i.resize((100, 75))),
    "saved as JPEG": ("copy.jpg", lambda i: i),
    "mirrored": ("copy.png", mirrored),
    "upside down": ("copy.png", flipped),
    "turned": ("copy.png", lambda i: i.transpose(Image.Transpose.ROTATE_180)),
    "brighter": ("copy.png", lambda i: i.point(lambda v: v * 0.8 + 40)),
}


@pytest.mark.parametrize("kind", NEAR)
def test_near_duplicate__inside_and_across_splits(tmp_path, kind):
    name, change = NEAR[kind]
    images = set_of(8) | set_of(4, "val", 100)
    copy = change(images["train/a/000.png"])
    folders(tmp_path, images | {f"train/a/{name}": copy})
    assert found(tmp_path) == [("near_duplicate", f"train/a/{name}")]
    (tmp_path / f"train/a/{name}").rename(tmp_path / f"val/a/{name}")
    assert found(tmp_path) == [("near_duplicate_across_splits", f"val/a/{name}")]


def test_duplicate__by_pixels_whatever_the_file(tmp_path):
    images = set_of(8) | set_of(4, "val", 100)
    same = images["train/a/000.png"]
    folders(tmp_path, images | {"train/a/copy.bmp": same, "train/b/copy.webp": scene(1)})
    (tmp_path / "train/b/copy.webp").unlink()
    assert found(tmp_path) == [("duplicate", "train/a/copy.bmp")]


def test_duplicate__turned_by_its_orientation(tmp_path):
    folders(tmp_path, set_of(8) | set_of(4, "val", 100))
    stored = scene(0).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "train/a/copy.png", exif=exif)
    assert found(tmp_path) == [("duplicate", "train/a/copy.png")]


def test_duplicate__one_pixel_is_enough_not_to_be_one(tmp_path):
    folders(tmp_path, set_of(8) | set_of(4, "val", 100))
    pixels = np.array(scene(0))
    pixels[60, 80] ^= 255
    save(pixels, tmp_path / "train/a/copy.png")
    assert found(tmp_path) == [("near_duplicate", "train/a/copy.png")]


def test_flat_images_are_no_near_copies(tmp_path):
    flat = {f"train/a/f{i}.png": Image.new("RGB", (64, 64), (i * 20,) * 3) for i in range(9)}
    folders(tmp_path, set_of(8) | set_of(4, "val", 100) | flat)
    assert [f for f in found(tmp_path) if f[0] != "odd_brightness"] == []


@pytest.mark.parametrize("kind", ["saved as JPEG", "exact"])
def test_drawn_splits__keep_copies_together(tmp_path, kind):
    images = {}
    for i in range(20):
        images[f"{'ab'[i % 2]}/{i}.png"] = scene(i)
        images[f"{'ab'[i % 2]}/{i}-copy.{'jpg' if kind != 'exact' else 'bmp'}"] = scene(i)
    folders(tmp_path, images)
    read = prepared(tmp_path, "classification")
    splits = {s.path.partition(".")[0]: s.split for s in read.dataset.samples}
    assert {"train", "val"} == set(splits.values())
    assert all(splits[name] == splits[f"{name}-copy"] for name in splits if "copy" not in name)
    assert not [f for f in read.findings if "across" in f.code]


def test_drawn_splits__a_set_that_is_all_alike_is_still_split(tmp_path):
    base = np.array(scene(0)).astype(int)
    rng = np.random.default_rng(0)
    images = {
        f"{'ab'[i % 2]}/{i}.png": Image.fromarray(
            (base + rng.normal(0, 4, base.shape)).clip(0, 255).astype(np.uint8)
        )
        for i in range(20)
    }
    read = prepared(folders(tmp_path, images), "classification")
    assert read.dataset.counts() == {"train": 16, "val": 4}
    assert codes(read) == []


def test_group_across_splits(tmp_path):
    images = set_of(8) | set_of(4, "val", 100)
    renamed = {
        n.replace("/00", "/p1_00" if n.endswith("00.png") else "/p2_00"): i
        for n, i in images.items()
    }
    folders(tmp_path, renamed)
    told = prepared(tmp_path, "classification", group=r"(p\d)_").findings
    assert {(f.code, f.severity) for f in told} == {("group_across_splits", "fatal")}
    assert "group `p1` is in" in told[0].reason


def test_class_imbalance__and_a_class_that_is_not_judged(tmp_path):
    made = {f"train/a/{i}.png": scene(i) for i in range(51)}
    made |= {"train/b/0.png": scene(900)} | {f"val/a/{i}.png": scene(500 + i) for i in range(8)}
    told = dict(found(folders(tmp_path, made)))
    assert told["class_imbalance"] == "b"
    assert told["class_not_in_val"] == "b"


def test_outliers__size_brightness_and_sharpness(tmp_path):
    made = set_of(40) | set_of(4, "val", 100)
    made["train/a/small.png"] = scene(700, (20, 15))
    made["train/a/dark.png"] = scene(701).point(lambda v: v // 40)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    made["train/a/noise.png"] = Image.fromarray(noise)
    told = set(found(folders(tmp_path, made)))
    assert ("odd_size", "train/a/small.png") in told
    assert ("odd_brightness", "train/a/dark.png") in told
    assert ("odd_sharpness", "train/a/noise.png") in told
    assert len({file for _, file in told}) <= 4


def test_split_shift__only_where_splits_differ(tmp_path):
    folders(tmp_path / "same", set_of(40) | set_of(40, "val", 100))
    assert found(tmp_path / "same") == []
    dark = {n: i.point(lambda v: v // 3) for n, i in set_of(40, "val", 100).items()}
    folders(tmp_path / "dark", set_of(40) | dark)
    told = prepared(tmp_path / "dark", "classification").findings
    assert [f.file for f in told if f.code == "split_shift"] == ["val"]
    assert "brightness" in next(f for f in told if f.code == "split_shift").reason


def test_waived__fatal_ones_become_warnings_with_a_reason():
    found = [fatal("duplicate_across_splits", "a", "b", "c"), fatal("broken_image", "a", "b", "c")]
    first, second = waived(found, {"duplicate-across-splits": "known"})
    assert first == Finding("duplicate_across_splits", "warning", "a", "b", "c", "known")
    assert second is found[1]


def recipe(tmp_path: Path, waive: str) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(f"task: detection\ndata: .\nchecks:\n  waive: {waive}\n")
    return path


@pytest.mark.parametrize(
    ("waive", "message", "hint"),
    [
        ("{near_duplicat: x}", "no finding has the code", "did you mean `near_duplicate`?"),
        ("{empty_split: x}", "cannot be waived", "mend the data"),
        ("{near_duplicate: ' '}", "without a reason", "say why"),
    ],
)
def test_waive__in_a_recipe(tmp_path, waive, message, hint):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe(tmp_path, waive))
    assert message in caught.value.faults[0].message
    assert hint in caught.value.faults[0].hint
    assert "r.yaml:4" in caught.value.faults[0].where


def test_waive__all_but_the_binding_ones(tmp_path):
    every = ", ".join(f"{code.replace('_', '-')}: why" for code in sorted(set(CODES) - BINDING))
    assert len(load_recipe(recipe(tmp_path, f"{{{every}}}")).checks.waive) == len(
        set(CODES) - BINDING
    )


def test_codes__every_finding_of_the_program_has_words():
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "fatal",
                "warning",
                "told",
            ):
                code = node.args[0]
                used |= {code.value} if isinstance(code, ast.Constant) else set()
    assert len(used) > 20
    assert used <= set(CODES), used - set(CODES)


def test_refuse_fatal__says_the_first_fifty_on_a_line_each(tmp_path):
    from automl.data.finding_messages import refuse_fatal

    with pytest.raises(DataError) as caught:
        refuse_fatal([fatal("broken_image", f"{i}\n.png", "cut", "mend") for i in range(60)])
    lines = [line for fault in caught.value.faults for line in fault.lines()]
    assert len(lines) == 51
    assert lines[0] == "0\\n.png: cut: mend"
    assert lines[-1].startswith("and 10 more")


def test_links__a_folder_shown_twice_counts_once(tmp_path):
    write_folders(tmp_path, toys(24))
    (tmp_path / "train/ring/more").symlink_to(tmp_path / "train/disc")
    (tmp_path / "train/other").symlink_to(tmp_path / "train/disc")
    read = prepared(tmp_path, "classification")
    told = {(f.code, f.file) for f in read.findings}
    assert ("linked_twice", "train/other") in told
    assert not any(s.path.startswith("train/other") for s in read.dataset.samples)
