"""A tiny run folder with the files that a real run leaves, and quiet, fast stores."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from automl.dataset import Class, Dataset, Profile, Sample
from automl.plan import Augment, Plan, Reason
from automl.recipe.schema import Recipe
from automl.record.journal import Journal
from automl.run_dir import RunDir
from tests.engines.toy import plan_of, toy_train
from tests.record.servers import real_server

CLASSES = (Class(3, "cat"), Class(7, "dog"))


def make_plan(**changes) -> Plan:
    train = toy_train(
        image_size=(32, 32), crop=(32, 32), batch_size=4, micro_batch=4, lr=1e-3, ema=0.0
    )
    usual = {
        "dataset_digest": "d" * 64,
        "augment": Augment(policy="none"),
        "train": train,
        "reasons": {"train.lr": Reason(because="usual")},
    }
    return plan_of("classification", **{**usual, **changes})


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), pixels)


def write_bundle(folder: Path, run: str = "tiny-20260102-030405", **extra: object) -> str:
    """A real bundle of a real, untrained net."""
    from automl.model import bundle as bundles
    from automl.model.build import build
    from automl.model.preprocess import Preprocess
    from automl.planning.backbones import find

    backbone = find("test_resnet", "classification")
    net = build(backbone, 2, (32, 32))
    described = bundles.Bundle(
        task="classification",
        engine="native",
        backbone=backbone.__dict__,
        classes=CLASSES,
        preprocess=Preprocess(
            size=(32, 32), fit="squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
        ),
        licence="Apache-2.0",
        run=run,
        dataset_digest="d" * 64,
        extra={"batch_size": 4, "precision": "fp32", **extra},
    )
    return bundles.save(folder, described, net.state_dict()).weights_sha256


def write_run(root: Path, data: Path) -> RunDir:
    """The files of a finished run, but for the bundle."""
    run = RunDir(root)
    root.mkdir(parents=True)
    run.recipe.write_text(f"task: classification\ndata: {data}\n")
    samples = tuple(
        Sample(f"{name}/{number}.png", "train", 32, 32, "0" * 64, label=index)
        for index, name in enumerate(("cat", "dog"))
        for number in range(3)
    )
    Dataset("classification", str(data), "folders", CLASSES, samples, "d" * 64).write(run.dataset)
    Profile(
        "classification", {"train": 6}, 2, {"cat": 3, "dog": 3}, 1.0, 32, 32, 32, 32, 3, 8
    ).write(run.profile)
    run.findings.write_text("[]\n")
    run.plan.write_text(yaml.safe_dump(make_plan().model_dump(mode="json")))
    run.provenance.write_text(
        json.dumps({"git": {"commit": "c0ffee", "dirty": True}, "packages": {"torch": "2"}})
    )
    log = Journal(run.journal)
    log.write("start", recipe="recipes/tiny.yaml", run=run.id)
    for epoch in (1, 2):
        log.write(
            "epoch",
            epoch=epoch,
            total=2,
            seconds=1.5,
            lr=1e-3 / epoch,
            losses={"train": 1.0 / epoch},
            metrics={"accuracy": 0.4 * epoch},
        )
    log.write("trained", best_epoch=2, epochs=2, stopped_early=False, seconds=3.0)
    log.write("scores", metrics={"accuracy": 0.8})
    log.write("end", seconds=4.0)
    run.metrics.write_text(
        json.dumps(
            {
                "task": "classification",
                "split": "val",
                "images": 2,
                "primary": "accuracy",
                "accuracy": 0.8,
                "macro_f1": 0.75,
            }
        )
    )
    run.evaluation.write_text("{}\n")
    run.report.write_text("<html></html>\n")
    return run


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """Its own current folder, home and Git identity."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.com")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc-site"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(workspace) -> RunDir:
    data = workspace / "data" / "pets"
    write_images(data)
    return write_run(workspace / "runs" / "tiny-20260102-030405", data)


@pytest.fixture
def recipe(workspace) -> Recipe:
    return Recipe.model_validate(
        {"task": "classification", "data": {"path": str(workspace / "data" / "pets")}}
    )


@pytest.fixture(scope="session")
def template_store(tmp_path_factory) -> Path:
    """An SQLite store with all migrations done, to be copied."""
    folder = tmp_path_factory.mktemp("mlflow-template")
    code = (
        "from mlflow import MlflowClient; MlflowClient('sqlite:///mlflow.db').search_experiments()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=os.environ)
    return folder / "mlflow.db"


@pytest.fixture
def store(template_store, workspace) -> str:
    """The URI of a ready store in the workspace, where `auto` finds it as well."""
    shutil.copy(template_store, workspace / "mlflow.db")
    return f"sqlite:///{workspace / 'mlflow.db'}"


@pytest.fixture(scope="session")
def template_repository(tmp_path_factory) -> Path:
    """A Git + DVC repository with its first commit, to be copied."""
    folder = tmp_path_factory.mktemp("repository-template")
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.com")
    quiet = "[core]\n    analytics = false\n    check_update = false\n"
    subprocess.run(["git", "init", "-q"], check=True, cwd=folder)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True, cwd=folder)
    (folder / ".dvc" / "config").write_text(quiet)
    subprocess.run(["git", "add", "--all"], check=True, cwd=folder)
    subprocess.run(["git", *who, "commit", "-qm", "start"], check=True, cwd=folder)
    return folder


@pytest.fixture
def server(template_store, tmp_path) -> Iterator[str]:
    """A real `mlflow server` on a free port."""
    with real_server(tmp_path / "server", template_store) as started:
        yield started.url
