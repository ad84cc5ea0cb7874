"""`data.frame`: which picture of a file is meant, in every place that reads one."""

import numpy as np
import pytest
from PIL import Image

from automl.data import scan_cache
from automl.data.check import check
from automl.data.images import image_facts, read_image, read_mask
from automl.data.prepare import prepare
from automl.dataset import Dataset
from automl.errors import DataError
from automl.recipe.schema import load_recipe
from automl.talk import Silent
from tests.data.toys import toys

RNG = np.random.default_rng(0)
PAGES = [RNG.integers(0, 256, (20 + 4 * i, 30, 3), dtype=np.uint8) for i in range(5)]


def write_pages(path, pages, **options):
    first, *rest = (Image.fromarray(page) for page in pages)
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=rest, **options)
    return path


def recipe(folder, text=""):
    path = folder / "recipe.yaml"
    path.write_text(f"task: classification\ndata:\n  path: set\n{text}")
    return load_recipe(path)


def test_read_image__pages_of_a_tiff_have_sizes_of_their_own(tmp_path):
    path = write_pages(tmp_path / "a.tif", PAGES)
    for number, page in enumerate(PAGES):
        assert np.array_equal(read_image(path, number), page)
    assert np.array_equal(read_image(path), PAGES[0])
    assert np.array_equal(read_image(path, "middle"), PAGES[2])
    assert (image_facts(path, 3).height, image_facts(path).height) == (32, 20)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_read_image__pictures_of_an_animation(tmp_path, suffix):
    pages = [np.full((20, 30, 3), 60 * i, np.uint8) for i in range(4)]
    options = {"webp": {"lossless": True}}.get(suffix, {})
    path = write_pages(tmp_path / f"a.{suffix}", pages, duration=40, **options)
    for number, page in enumerate(pages):
        assert np.array_equal(read_image(path, number), page)
    assert image_facts(path).notes[0][0] == "animated"
    assert image_facts(path, 0).notes == ()


def test_read_mask__the_page_of_its_image(tmp_path):
    pages = [RNG.integers(0, 5, (20, 30), dtype=np.uint8) for _ in range(3)]
    path = write_pages(tmp_path / "a.tif", pages)
    assert np.array_equal(read_mask(path, frame=2), pages[2])


def test_read_image__a_page_that_is_not_there(tmp_path):
    path = write_pages(tmp_path / "a.tif", PAGES)
    with pytest.raises(DataError, match="no frame 5: it holds 5, counted from 0"):
        read_image(path, 5)


def a_set(root):
    for toy in toys():
        blank = np.zeros_like(toy.pixels)
        write_pages(root / "set" / str(toy.label) / f"{toy.name}.tif", [blank, toy.pixels, blank])


def test_prepare__digest_scan_and_index_depend_on_the_frame(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scan_cache, "CLOSE_NS", -(10**15))  # keep what was written just now
    a_set(tmp_path)
    first = prepare(recipe(tmp_path), Silent())
    assert {f.code for f in first.findings} >= {"several_pages", "conflicting_labels"}
    assert first.dataset.frame is None
    middle = prepare(recipe(tmp_path, "  frame: middle\n"), Silent())
    assert not {"several_pages", "conflicting_labels"} & {f.code for f in middle.findings}
    assert middle.dataset.frame == "middle"
    assert middle.dataset.digest != first.dataset.digest
    middle.dataset.write(tmp_path / "kept" / "dataset.json")
    assert Dataset.read(tmp_path / "kept" / "dataset.json") == middle.dataset
    again = prepare(recipe(tmp_path), Silent())
    assert again.findings == first.findings


def test_check__the_index_of_a_set_keeps_its_frame(tmp_path):
    a_set(tmp_path)
    recipe(tmp_path, "  frame: 1\n")
    fixed = check(tmp_path / "recipe.yaml", Silent(), fix=tmp_path / "clean")
    assert fixed.index is not None
    found = check(tmp_path / "clean", Silent())
    assert found.dataset is not None
    assert found.dataset.frame == 1
    assert "several_pages" not in {f.code for f in found.findings}
