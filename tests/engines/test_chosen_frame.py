"""A set whose classes only one page tells apart: learnt from it, and predicted from it."""

import json

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from automl import pipeline
from automl.cli import app
from automl.data.prepare import prepare
from automl.engines.frames import Frames
from automl.engines.yolo_layout import write_layout
from automl.files import write_json
from automl.model import bundle
from automl.recipe.schema import load_recipe
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.engines.toy import SIDE, toy_plan

COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20)}
RNG = np.random.default_rng(0)


def page(colour=(120, 120, 120)):
    noise = RNG.integers(0, 30, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def write_set(root):
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for i in range(16):
            pages = [page(), page(colour), page()]
            pages[0].save(root / name / f"{i}.tif", save_all=True, append_images=pages[1:])


def trained(tmp_path):
    write_set(tmp_path / "set")
    run = RunDir(tmp_path / "run")
    run.root.mkdir()
    run.recipe.write_text("task: classification\ndata: {path: ../set, frame: 1}\n")
    found = prepare(load_recipe(run.recipe), Silent())
    toy_plan("classification", found.dataset, epochs=6, lr=1e-2).write(run.plan)
    found.dataset.write(run.dataset)
    found.profile.write(run.profile)
    write_json(run.findings, [])
    pipeline.train(run, Silent())
    return run, found.dataset


def test_frame__the_whole_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, dataset = trained(tmp_path)
    assert bundle.read(run.model).frame == 1
    assert pipeline.evaluate(run, Silent()).metrics["accuracy"] == 1.0
    said = CliRunner().invoke(app, ["predict", str(run.root), str(tmp_path / "set")])
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(lines) == 32
    assert all(f"/{line['class']}/" in line["path"] for line in lines)
    first = Frames(dataset, dataset.samples[:1], short_side=SIDE)[0].image.mean((0, 1))
    assert abs(first - np.array(COLOURS[dataset.samples[0].path.split("/")[0]]) - 15).max() < 5
    # the other engine gets files of its own
    images = write_layout(tmp_path / "out", tmp_path / "set", list(dataset.samples[:1]), 1)
    written = np.asarray(Image.open(images / "00000000.png"))
    assert abs(written.mean((0, 1)) - np.array(COLOURS["green"]) - 15).max() < 5
