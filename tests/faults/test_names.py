"""Names in the data never lead an output out of its folder, and never overflow it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from automl.commands.predict_output import Answers, choose
from automl.dataset import Class, Dataset
from automl.engines.yolo_layout import write_layout
from automl.model import bundle
from automl.model.preprocess import Preprocess
from automl.prediction import Prediction
from automl.record import predictions
from tests.data.toys import prepared, save, toys, write_csv, write_text, write_yolo

ODD = ["..x", "...", "-rf", "$(touch ran)", "new\nline", "a;b", "x" * 251, "ü" * 125, "CON", "~"]


def outside(folder: Path, inside: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if not (p.is_relative_to(inside) or inside == p)]


def answers(tmp_path: Path, named: list[Path]) -> Answers:
    size = Preprocess((32, 32), "squash", (0.5,) * 3, (0.5,) * 3)
    made = bundle.Bundle("segmentation", "native", {}, (Class(0, "a"),), size, "", "", "")
    model, out = tmp_path / "work" / "model", tmp_path / "work" / "out"
    bundle.save(model, made, {"weight": torch.zeros(1)})
    return choose(model, named, format="masks", out=out, draw=False, min_confidence=0.3)


def test_answers__masks_and_drawings_stay_inside(tmp_path):
    data = tmp_path / "data"
    for name in ODD:
        save(toys(1)[0].pixels, data / "a" / "image.png").rename(data / "a" / f"{name}.png")
    (data / "up").symlink_to(tmp_path)
    single = data / "a" / ".." / "a" / f"{ODD[0]}.png"
    before = set(tmp_path.rglob("*"))
    found = answers(tmp_path, [data / "a", data / "..", single])
    files = [found.file(kind, path) for path in found.paths for kind in ("masks", "drawn")]
    assert len(set(files)) == len(files)
    for file in files:
        file.write_bytes(b"")
        assert ".." not in file.parts
        assert file.resolve().is_relative_to(tmp_path / "work/out")
    assert not [p for p in set(tmp_path.rglob("*")) - before if "work" not in p.parts]


def test_record__predictions_are_numbered(tmp_path):
    mask = np.zeros((4, 4), np.uint8)
    names = ["../../up.png", "/abs.png", *ODD]
    found = [Prediction(name, mask=mask) for name in names]
    list(predictions.written(found, tmp_path / "work/run"))
    assert outside(tmp_path / "work", tmp_path / "work/run") == []
    assert [p.path for p in predictions.read(tmp_path / "work/run")] == names


@pytest.mark.parametrize("name", ["../../up.png", "/tmp/abs.png"])
def test_table__images_elsewhere_are_read_and_nothing_is_written_there(tmp_path, name):
    made = toys()
    root = write_csv(tmp_path / "deep/er/set", made)
    target = Path(os.path.normpath(root / name))
    if not target.is_relative_to(tmp_path):
        target = tmp_path / "elsewhere/abs.png"
        name = str(target)
    save(made[0].pixels[::-1].copy(), target)
    with (root / "labels.csv").open("a") as table:
        table.write(f"{name},disc,train\n")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    dataset = prepared(root, "classification").dataset
    assert any(s.path.endswith(target.name) for s in dataset.samples)
    assert not any(
        ".." in Path(s.path).parts or Path(s.path).is_absolute() for s in dataset.samples
    )
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_yolo_engine__layout_has_names_of_its_own(tmp_path):
    odd = [n for n in ODD if n.strip(".") and len(os.fsencode(n)) < 240]
    made = [replace(t, name=n) for t, n in zip(toys(), odd, strict=False)]
    root = write_yolo(tmp_path / "set", made)
    dataset: Dataset = prepared(root, "detection").dataset
    place = tmp_path / "work/layout"
    write_layout(place, Path(dataset.root), dataset.split("train"))
    names = [p.name for p in place.rglob("*") if not p.is_dir()]
    assert names
    assert all(p.replace(".", "").replace("_", "").isalnum() for p in names)
    assert outside(tmp_path / "work", place) == []


def test_readers__keys_that_name_code_are_said_and_left_alone(tmp_path):
    root = write_yolo(tmp_path / "set", toys())
    text = (root / "data.yaml").read_text()
    write_text(root / "data.yaml", f"{text}download: touch {tmp_path}/ran\n")
    (root / "labels/train.cache").write_bytes(b"\x80\x04cposix\nsystem\n")
    found = prepared(root, "detection")
    assert [f.code for f in found.findings] == ["download_not_followed"]
    assert not (tmp_path / "ran").exists()
