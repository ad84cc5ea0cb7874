"""NIfTI: a slice of a volume as doctors look at it; masks alike."""

import gzip

import numpy as np
import pytest

from automl.data import decoding
from automl.data.images import image_facts, read_image, read_mask
from automl.data.prepare import prepare
from automl.errors import DataError
from automl.recipe.schema import load_recipe
from automl.talk import Silent

nibabel = pytest.importorskip("nibabel")

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(-1000, 2000, (20, 30, 7), dtype=np.int16)
"""Axes towards right, front and head."""
TO_RAS = np.eye(4)


def write(path, values, affine=TO_RAS, kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save((kind or nibabel.Nifti1Image)(values, affine), path)
    return path


def seen(values):
    """What is seen of an axial slice whose axes go towards right and front."""
    return values[::-1, ::-1].T


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
def test_read_mask__a_slice_from_feet_to_head(tmp_path, name):
    ids = RNG.integers(0, 300, (20, 30, 7), dtype=np.int16)
    path = write(tmp_path / name, ids)
    for number in range(7):
        assert np.array_equal(read_mask(path, frame=number), seen(ids[:, :, number]))
    assert np.array_equal(read_mask(path, frame="middle"), seen(ids[:, :, 3]))


def test_read_mask__the_affine_says_which_axis_is_which(tmp_path):
    ids = RNG.integers(0, 9, (20, 30, 7), dtype=np.uint8)
    whole = nibabel.Nifti1Image(ids, TO_RAS)
    for code in ("LPS", "SAR", "AIL", "PSR"):
        wanted = nibabel.orientations.axcodes2ornt(code)
        turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(TO_RAS), wanted)
        path = tmp_path / f"{code}.nii"
        nibabel.save(whole.as_reoriented(turn), path)
        assert np.array_equal(read_mask(path, frame=5), seen(ids[:, :, 5])), code


def test_read_image__one_range_for_all_slices_of_a_file(tmp_path):
    path = write(tmp_path / "a.nii.gz", VOLUME)
    low, high = np.percentile(VOLUME, (0.5, 99.5))
    expected = np.clip((VOLUME[:, :, 2] - low) / (high - low) * 255 + 0.5, 0, 255).astype(int)
    read = read_image(path, 2)
    assert read.shape == (30, 20, 3)
    assert abs(read[:, :, 0].astype(int) - seen(expected)).max() <= 1
    assert image_facts(path, 2).notes == ()


def test_read_image__scaled_values_and_the_second_version(tmp_path):
    values = VOLUME.astype(np.float32) / 7
    path = write(tmp_path / "a.nii", values, kind=nibabel.Nifti2Image)
    assert (
        abs(
            read_image(path, 0).astype(int) - read_image(write(tmp_path / "b.nii", VOLUME), 0)
        ).max()
        <= 1
    )


def test_read_image__several_slices_without_a_choice(tmp_path):
    path = write(tmp_path / "a.nii.gz", VOLUME)
    with pytest.raises(DataError, match="a NIfTI of 7 slices") as caught:
        read_image(path)
    assert "`data.frame: middle`" in caught.value.faults[0].hint
    with pytest.raises(DataError, match="no frame 7: it holds 7"):
        read_image(path, 7)
    alone = write(tmp_path / "one.nii", VOLUME[:, :, :1])
    assert read_image(alone).shape == (30, 20, 3)


@pytest.mark.parametrize("shape", [(8, 8, 8, 3), (8, 8, 8, 1, 3)])
def test_read_image__several_volumes_are_refused(tmp_path, shape):
    path = write(tmp_path / "a.nii", np.zeros(shape, np.int16))
    with pytest.raises(DataError, match="is no volume of grey values"):
        read_image(path, 0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_read_image__cut(tmp_path, share, name):
    path = write(tmp_path / name, VOLUME)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError):
        read_image(path, 6)


def test_read_image__a_bomb_and_a_slice_that_is_one(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nii.gz", np.zeros((99, 99, 99), np.uint8))
    monkeypatch.setattr(decoding, "LARGEST_BYTES", 100_000)
    with pytest.raises(DataError, match="unpacks to more than 0 MB"):
        read_image(path, 0)
    path = write(tmp_path / "b.nii", np.zeros((9, 9, 9), np.uint8))
    raw = bytearray(path.read_bytes())
    raw[42:46] = (30_000).to_bytes(2, "little") * 2  # two of its sides
    path.write_bytes(raw)
    with pytest.raises(DataError, match="a NIfTI slice of 900000000 pixels"):
        read_image(path, 0)


def test_read_mask__fractions_are_no_ids(tmp_path):
    path = write(tmp_path / "a.nii", np.full((9, 9, 3), 0.5, np.float32))
    with pytest.raises(DataError, match="not class ids"):
        read_mask(path, frame=1)


def test_read_image__another_packed_file(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"something else" * 99))
    with pytest.raises(DataError, match="not an image"):
        read_image(tmp_path / "a.nii.gz", 0)


def test_prepare__volumes_with_masks(tmp_path):
    for i in range(6):
        ids = np.zeros((20, 30, 5), np.uint8)
        ids[2 + i : 9 + i, 4:20, 1:4] = 1
        write(tmp_path / f"set/images/case {i}.nii.gz", VOLUME[:, :, :5] + ids * np.int16(3000) + i)
        write(tmp_path / f"set/masks/case {i}_seg.nii.gz", ids)
    (tmp_path / "r.yaml").write_text("task: segmentation\ndata: {path: set, frame: middle}\n")
    found = prepare(load_recipe(tmp_path / "r.yaml"), Silent())
    assert not [f for f in found.findings if f.severity == "fatal"]
    assert [(s.width, s.height) for s in found.dataset.samples] == [(20, 30)] * 6
    assert len(found.dataset.classes) == 2
