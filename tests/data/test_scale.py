"""Large sets: work grows with the images and not faster, and no document is held as a whole."""

import gc
import hashlib
import json
import sys
import tracemalloc
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

from automl.data.digest import digest_of
from automl.data.duplicates import near_twins
from automl.data.fingerprint import fingerprint
from automl.dataset import Class, Dataset, Region, Sample
from automl.files import to_json


def dataset(count):
    samples = tuple(
        Sample(
            f"a/{i:06d}.jpg",
            "train",
            32,
            32,
            f"{i:064d}",
            boxes=((1.5, 2.0, 8.25, 9.0),) * 5,
            labels=(0,) * 5,
            crowd=(False,) * 5,
        )
        for i in range(count)
    )
    return Dataset("detection", "data", "coco", (Class(1, "a"),), samples, "")


def peak(work):
    """Bytes; cycles are collected as Python does by itself, whatever a command has set before."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.set_threshold(*before)


def calls(work):
    counted = 0

    def count(frame, event, arg):
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("count", [0, 1, 3])
def test_write__same_bytes_as_the_whole_document_at_once(tmp_path, count):
    made = dataset(count)
    if count:
        odd = replace(
            made.samples[0],
            path='x "samples": [] \n é.jpg',
            regions=(Region(0, outline="1,2 3,4 5,6"), Region(255, runs="abc")),
            attributes=(("camera", "one\n two"),),
        )
        made = replace(made, samples=(odd, *made.samples[1:]))
    made.write(tmp_path / "dataset.json")
    written = (tmp_path / "dataset.json").read_text(encoding="utf-8")
    assert written == to_json(asdict(made))
    assert Dataset.read(tmp_path / "dataset.json") == made


def test_digest__that_of_the_whole_document_at_once():
    made = dataset(3)
    later = ("regions", "group", "attributes")
    content = {
        "task": made.task,
        "classes": [asdict(c) for c in made.classes],
        "ignore": made.ignore,
        "samples": [
            {k: v for k, v in asdict(s).items() if v or k not in later} for s in made.samples
        ],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest_of(made) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", ["write", "digest"])
def test_write_and_digest__memory_does_not_grow_with_the_set(tmp_path, name):
    def used(count):
        made = dataset(count)
        write = partial(made.write, tmp_path / "dataset.json")
        return peak(write if name == "write" else partial(digest_of, made))

    assert used(4000) < 5 * used(200)  # cycles that wait for the collector are part of it


@pytest.mark.parametrize("alike", [False, True])
def test_near_twins__work_grows_with_the_images(alike):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)

    def drawn(i):
        patch = scene if alike else rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        pixels = np.kron(patch, np.ones((4, 4, 1), np.uint8)).astype(int)
        return fingerprint(
            (pixels + rng.integers(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8), 1
        )

    looks = [drawn(i) for i in range(1600)]
    counted = [calls(lambda n=n: near_twins(looks[:n])) for n in (400, 800, 1600)]
    assert counted[2] - counted[1] <= 2.5 * (counted[1] - counted[0])
    assert len(near_twins(looks)) == (1599 if alike else 0)
