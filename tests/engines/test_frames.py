import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from automl.data import pixel_store
from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.dataset import Class, Dataset, Region, Sample
from automl.engines import native
from automl.engines.frames import AS_IT_IS, Frames
from automl.engines.loader import BatchStream, TrainingSamples
from automl.engines.protocol import Epoch, Event
from automl.errors import DataError
from automl.model import bundle
from automl.model.preprocess import Preprocess
from automl.plan import Augment
from automl.planning.augmentation import POLICIES
from automl.prediction import IGNORE
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, toy_plan

LETTERBOX = Preprocess((64, 96), "letterbox", *AS_IT_IS)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pixel_store, "LEFT_FREE", 0)
    return tmp_path / "cache" / "pixels"


def known_set(task: str, folder: Path, **counts: int) -> Dataset:
    """A toy set whose digests are those of its files."""
    dataset = draw_set(task, folder, **counts)

    def sha(name: str | None) -> str | None:
        return name and hashlib.sha256((folder / name).read_bytes()).hexdigest()

    samples = tuple(
        replace(s, digest=sha(s.path), mask_digest=sha(s.mask)) for s in dataset.samples
    )
    return replace(dataset, samples=samples)


def photo(path: Path, size: tuple[int, int], **save: object) -> Sample:
    """A smooth picture; `size` is width and height as stored."""
    grain = np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8)
    pixels = cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC)
    Image.fromarray(pixels).save(path, **save)
    height, width = read_image(path).shape[:2]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Sample(path.name, "train", width, height, digest, label=0)


def one(sample: Sample, folder: Path) -> Dataset:
    return Dataset("classification", str(folder), "toy", (Class(0, "a"),), (sample,), "x")


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_stream__the_same_bits_with_without_half_built_and_damaged_cache(
    task: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = known_set(task, tmp_path / "toy", train=6, val=2)
    augment = Augment(policy="medium", transforms=POLICIES[task]["medium"])
    train = {"crop": (32, 32)} if task == "segmentation" else {"fit": "crop", "stored_size": 40}
    plan = toy_plan(task, dataset, **train).model_copy(update={"augment": augment})

    def epoch() -> list[bytes]:
        stream = BatchStream(TrainingSamples(plan, dataset), pin=False)
        batches = stream.batches(0, [np.arange(3), np.arange(3, 6)])
        return [batch.images.numpy().tobytes() + repr(batch.targets).encode() for batch in batches]

    TrainingSamples(plan, dataset)[0, np.array([4, 1])]  # half-built
    half, whole = epoch(), epoch()
    (path,) = cache.glob("*.bin")
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    damaged = epoch()
    monkeypatch.setenv("AUTOML_CACHE", "off")
    assert half == whole == damaged == epoch()


def test_stream__workers_fill_the_cache_that_the_next_epoch_reads(
    tmp_path: Path, cache: Path
) -> None:
    dataset = known_set("classification", tmp_path / "toy", train=6, val=2)
    samples = TrainingSamples(toy_plan("classification", dataset, workers=2), dataset)
    stream, order = BatchStream(samples, pin=False), [np.arange(3), np.arange(3, 6)]
    first = [b.images.numpy().tobytes() for b in stream.batches(0, order)]
    assert all(samples.frames.store.get(i) is not None for i in range(6))
    for file in (tmp_path / "toy").iterdir():
        file.unlink()
    assert [b.images.numpy().tobytes() for b in stream.batches(0, order)] == first


def test_frames__fitted_ones_are_as_at_prediction(tmp_path: Path, cache: Path) -> None:
    sample = photo(tmp_path / "a.png", (150, 90))
    frames = Frames(one(sample, tmp_path), [sample], LETTERBOX)
    expected, geometry = LETTERBOX.apply(read_image(tmp_path / "a.png"))
    for _ in ("from the file", "from the store"):
        ((path, image, found),) = frames.fitted()
        assert path == "a.png"
        assert (image == expected).all()
        assert found == geometry
    assert frames.store.get(0) is not None


def test_frames__masks_and_their_bars_are_kept_with_the_image(tmp_path: Path, cache: Path) -> None:
    dataset = known_set("segmentation", tmp_path / "toy", train=2, val=2)
    frames = Frames(dataset, dataset.samples, LETTERBOX, masks=True)
    mask = truth(dataset, dataset.samples[1]).mask
    expected = LETTERBOX.geometry(64, 64).mask_forward(mask)
    assert (frames[1].mask == expected).all()
    assert (frames[1].mask == expected).all()
    assert IGNORE in expected


def test_frames__regions_and_classes_are_part_of_what_a_mask_is(
    tmp_path: Path, cache: Path
) -> None:
    sample = replace(photo(tmp_path / "a.png", (150, 90)), label=None)
    here, there = ("0,0 70,0 70,90 0,90", "70,0 150,0 150,90 70,90")
    masks = []
    for outline in (here, there):
        drawn = replace(sample, regions=(Region(1, outline),))
        dataset = replace(one(drawn, tmp_path), task="segmentation")
        masks.append(Frames(dataset, [drawn], LETTERBOX, masks=True)[0].mask)
    assert (masks[0] != masks[1]).any()
    assert len(list(cache.glob("*.bin"))) == 2


@pytest.mark.parametrize(
    ("size", "orientation", "expected"),
    [((800, 400), 1, (100, 200)), ((800, 400), 6, (200, 100)), ((333, 777), 1, (233, 100))],
)
def test_frames__a_reduced_photo_is_upright_and_like_the_whole_one(
    size: tuple[int, int], orientation: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    sample = photo(path, size, exif=exif, quality=95)
    small = Frames(one(sample, tmp_path), [sample], short_side=100)[0].image
    assert small.shape == (*expected, 3)
    whole = cv2.resize(read_image(path), expected[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - whole).mean() < 2


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif", "a.tif"])
def test_frames__every_other_format_is_reduced_from_all_its_pixels(
    name: str, tmp_path: Path
) -> None:
    sample = photo(tmp_path / name, (301, 200))
    small = Frames(one(sample, tmp_path), [sample], short_side=100)[0].image
    whole = cv2.resize(read_image(tmp_path / name), (150, 100), interpolation=cv2.INTER_AREA)
    assert (small == whole).all()


def test_frames__sixteen_bit_and_small_images_stay_right(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (40, 60)).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "a.png")
    sample = Sample("a.png", "train", 60, 40, "", label=0)
    frame = Frames(one(sample, tmp_path), [sample], short_side=100)[0]
    assert (frame.image == read_image(tmp_path / "a.png")).all()


def test_frames__a_file_that_has_changed_since_is_not_kept(tmp_path: Path, cache: Path) -> None:
    sample = replace(photo(tmp_path / "a.png", (150, 90)), digest="of other bytes")
    frames = Frames(one(sample, tmp_path), [sample], LETTERBOX)
    assert frames[0].image.shape == (64, 96, 3)
    assert frames.store.get(0) is None


def test_frames__a_broken_file_is_told_as_ever(tmp_path: Path, cache: Path) -> None:
    sample = photo(tmp_path / "a.jpg", (150, 90))
    path = tmp_path / "a.jpg"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="broken image"):
        Frames(one(sample, tmp_path), [sample], short_side=50)[0]


def test_frames__runs_of_one_set_share_a_file_and_other_sizes_do_not(
    tmp_path: Path, cache: Path
) -> None:
    sample = photo(tmp_path / "a.png", (150, 90))
    dataset = one(sample, tmp_path)
    for short_side in (50, 50, 60):
        Frames(dataset, [sample], short_side=short_side)[0]
    assert len(list(cache.glob("*.bin"))) == 2
    assert pixel_store.LARGEST > 10**9


def test_frames__a_full_disk_is_told_once_and_changes_no_pixel(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = known_set("classification", tmp_path / "toy", train=4, val=1)
    frames = Frames(dataset, dataset.split("train"), LETTERBOX)
    told: list[Event] = []
    first = frames[0].image.copy()
    frames.tell_shortage(told.append)
    assert not told
    monkeypatch.setattr(os, "pwrite", full)
    expected = [LETTERBOX.apply(read_image(tmp_path / "toy" / s.path))[0] for s in frames.samples]
    for place in (3, 2, 1, 0):
        assert (frames[place].image == expected[place]).all()
        frames.tell_shortage(told.append)
    assert (first == expected[0]).all()
    (event,) = told
    assert event.text.startswith("the disk has room for the decoded pixels of 1 of 4 images")
    assert event.facts == {"kept": 1, "images": 4}


def test_train__the_same_weights_with_and_without_kept_pixels(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = known_set("classification", tmp_path / "toy", train=8, val=4)
    augment = Augment(policy="light", transforms=POLICIES["classification"]["light"])
    plan = toy_plan("classification", dataset, fit="crop", stored_size=48)
    plan = plan.model_copy(update={"augment": augment})

    def trained(name: str) -> tuple[str, list[float]]:
        """Digest of the weights, and what was predicted after each epoch."""
        found: list[float] = []

        def on_epoch(epoch: Epoch) -> float:
            found.extend(float(p.probabilities[0]) for p in epoch.predictions or ())
            return float(epoch.number)

        run = RunDir(tmp_path / name)
        native.train(plan, dataset, run, on_epoch, lambda *_: None)
        return bundle.read(run.model).weights_sha256, found

    building, kept = trained("building"), trained("kept")
    assert len(list(cache.glob("*.bin"))) == 2  # of the training and of the validation split
    monkeypatch.setenv("AUTOML_CACHE", "off")
    assert building == kept == trained("off")
