"""Code that lies in a data set is data: nothing of it ever runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl.data.check import check
from automl.talk import Silent
from tests.data.toys import toys, write_folders, write_yolo

CANARY = "import pathlib; pathlib.Path({!r}).touch()\n"


def plant(root: Path, canary: Path) -> None:
    """Files that Python, pytest, Ultralytics or a shell would run if they were asked."""
    code = CANARY.format(str(canary))
    names = ("sitecustomize.py", "usercustomize.py", "conftest.py", "numpy.py", "yaml.py", "PIL.py")
    folders = [root, *(p for p in root.rglob("*") if p.is_dir())]
    for folder in folders:
        for name in (*names, "setup.py", "__init__.py"):
            (folder / name).write_text(code)
    pickled = b"cos\nsystem\n(S'touch " + os.fsencode(canary) + b"'\ntR."
    for folder in folders:
        for name in ("labels.cache", "train.cache", "train.npy", "data.pkl", "model.pt"):
            (folder / name).write_bytes(pickled)
        (folder.parent / f"{folder.name}.cache").write_bytes(pickled)
    (root / "postinstall.sh").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (root / "postinstall.sh").chmod(0o755)


def test_canaries__do_run_where_somebody_asks_for_it(tmp_path):
    plant(tmp_path, tmp_path / "ran")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ""], env=environment, check=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("inside", [False, True])
def test_check__class_folders(tmp_path, inside):
    root, canary = tmp_path / "set", tmp_path / "ran"
    write_folders(root, toys(24))
    plant(root, canary)
    program = [sys.executable, "-P", "-m", "automl", "check", "." if inside else "set"]
    done = subprocess.run(
        program, cwd=root if inside else tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not canary.exists()


YAML = {
    "download as Python": "download: |\n  import os\n  os.system('touch {0}')\n",
    "download as a command": "download: bash touch {0}\n",
    "download as an address": "download: https://127.0.0.1:9/set.zip\n",
    "a tag": "extra: !!python/object/apply:os.system ['touch {0}']\n",
}


@pytest.mark.parametrize("case", YAML)
def test_check__description_of_a_yolo_set(tmp_path, case):
    root, canary = tmp_path / "set", tmp_path / "ran"
    write_yolo(root, toys(24))
    with (root / "data.yaml").open("a") as file:
        file.write(YAML[case].format(canary))
    plant(root, canary)
    found = check(root, Silent(), task="detection")
    assert bool(found.fatal) == (case == "a tag"), found.findings
    assert not canary.exists()


@pytest.mark.slow
def test_yolo_engine__sees_nothing_of_the_set_but_its_pixels(tmp_path):
    pytest.importorskip("ultralytics")
    from automl.data.prepare import prepare
    from automl.engines.yolo_layout import write_layout
    from automl.recipe.schema import Recipe

    root, canary = tmp_path / "set", tmp_path / "ran"
    write_yolo(root, toys(24))
    with (root / "data.yaml").open("a") as file:
        file.write(YAML["download as Python"].format(canary))
    plant(root, canary)
    recipe = Recipe.model_validate({"task": "detection", "data": {"path": str(root)}})
    dataset = prepare(recipe, Silent()).dataset
    images = write_layout(tmp_path / "run", Path(dataset.root), dataset.split("train"))
    made = sorted(p.relative_to(tmp_path / "run") for p in (tmp_path / "run").rglob("*"))
    assert {p.suffix for p in made} == {"", ".png", ".txt"}
    read = f"""
from pathlib import Path
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset
from automl.engines.yolo_data import description
from automl.environment import settle
data = description(Path({str(images)!r}), {dataset.names!r})
samples = build_yolo_dataset(get_cfg(overrides={{"imgsz": 64}}), data["train"], 4, data)
assert len(samples) == {len(dataset.split("train"))}
samples[0]
"""
    settings = {"YOLO_CONFIG_DIR": str(tmp_path / "config"), "YOLO_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", read],
        cwd=root,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not canary.exists()
