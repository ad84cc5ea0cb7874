"""The YOLO engine: Ultralytics' own trainer (AGPL-3.0), told by our plan, judged by our scorer.

The library is imported inside functions, offline and mute; it writes into the run folder only.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from automl.clock import Clock
from automl.dataset import Dataset
from automl.engines import checkpoint as checkpoints
from automl.engines import recorded_schedule
from automl.engines.protocol import OnEpoch, OnEvent, OnStep, Trained, ignore_event
from automl.engines.stop_reasons import interrupted, is_out_of_memory, tell_resumed
from automl.engines.yolo_layout import write_layout
from automl.engines.yolo_net import architecture, build_net, detections, load_pretrained
from automl.engines.yolo_settings import NOT_USED, arguments, frame, load_ultralytics, logged
from automl.errors import MachineError, NumbersError, RecipeError
from automl.model import bundle as bundles
from automl.model.preprocess import Preprocess
from automl.model.weights import file_of, sha256
from automl.plan import Plan
from automl.planning.backbones import Backbone, find
from automl.prediction import Prediction
from automl.run_dir import RunDir
from automl.signals import Stopped, listening

if TYPE_CHECKING:
    from automl.engines.yolo_trainer import Job

DRAWN_FROM = 1000
"""A sheet is drawn from this many training images: laying out all of a large set takes minutes."""


def train(  # noqa: PLR0913  as `Engine` has it
    plan: Plan,
    dataset: Dataset,
    run: RunDir,
    on_epoch: OnEpoch,
    on_step: OnStep,
    on_event: OnEvent = ignore_event,
    clock: Clock | None = None,
) -> Trained:
    """Trains what the plan says and leaves a bundle at `run.model`; resumes where it stopped."""
    version = load_ultralytics(run.engine / "config")
    run.engine.mkdir(parents=True, exist_ok=True)
    backbone = find(plan.model, plan.task)
    layers = architecture(backbone.architecture)
    given = arguments(plan, dataset.split("train"), run.engine, len(layers["backbone"]))
    preprocess = Preprocess(frame(plan, given), "letterbox", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    donor = _donor(plan, backbone)
    saved = checkpoints.newest(run.checkpoints)
    if saved is not None:
        tell_resumed(saved, on_event)
    if saved is None or not _finished(saved):
        from automl.engines.yolo_trainer import Job

        root, samples = Path(dataset.root), dataset.split("train")
        job = Job(
            plan=plan,
            dataset=dataset,
            images=write_layout(run.engine / "data", root, samples, dataset.frame),
            checkpoints=run.checkpoints,
            arguments=given,
            preprocess=preprocess,
            make_net=partial(build_net, layers, dataset.names, donor),
            on_epoch=on_epoch,
            on_step=on_step,
            on_event=on_event,
            clock=clock,
            replay=recorded_schedule.read(run),
        )
        _train(job, run.engine / "ultralytics.log")
        saved = checkpoints.newest(run.checkpoints)
    if saved is None:
        raise NumbersError("training ended without a finished epoch", where=str(run.root))
    extra = {"donor_classes": _classes(donor), "ultralytics": version}
    bundle = _bundle(plan, dataset, run, preprocess, extra)
    bundles.save(run.model, bundle, saved.tensors["best"])
    facts = {"ultralytics": version, "train settings without effect": ", ".join(NOT_USED)}
    early = saved.epoch < saved.facts["total"]
    return Trained(run.model, saved.facts["best_epoch"], saved.epoch, early, facts)


def predict(
    bundle: Path, images: Iterable[tuple[str, np.ndarray]], device: str
) -> Iterator[Prediction]:
    """Predicts upright RGB images (`uint8 [H, W, 3]`) by the bundle alone, in their order."""
    load_ultralytics(None)
    read, state = bundles.read(bundle), bundles.load_state(bundle)
    with bundles.buildable(bundle):
        # the package's own layers by name: those of a file could hold code, which Ultralytics runs
        layers = architecture(bundles.row(read).architecture)
        donor_classes = read.extra["donor_classes"]
        donor = build_net(layers, [str(n) for n in range(donor_classes)]) if donor_classes else None
        net = build_net(layers, read.names, donor)
        net.load_state_dict(state)
    target = torch.device(device)
    return detections(net.to(target), read.preprocess, images, target)


def augmented(plan: Plan, dataset: Dataset, count: int) -> tuple[list[np.ndarray], list[str]]:
    """The first training images of epoch 0, as mosaics where it makes them; captions."""
    load_ultralytics(None)
    from ultralytics.cfg import get_cfg

    from automl.engines.yolo_data import description, first_epoch
    from automl.tasks.draw import THUMBNAIL, draw

    samples = dataset.split("train")[: max(count, DRAWN_FROM)]
    images, captions = [], []
    with TemporaryDirectory(prefix="automl-yolo-") as folder:
        with _refused_settings():
            settings = get_cfg(overrides=arguments(plan, samples, Path(folder), backbone=0))
        root, place = Path(dataset.root), Path(folder) / "data"
        pixels = write_layout(place, root, samples, dataset.frame)
        items = first_epoch(settings, description(pixels, dataset.names), plan.train.seed)
        for image, shown in islice(items, count):
            images.append(draw(image, dataset.names, shown, longest=THUMBNAIL, every_name=True))
            captions.append(samples[int(Path(shown.path).stem)].path)
    return images, captions


def _train(job: "Job", log: Path) -> None:
    """Runs Ultralytics' trainer; a signal or too little memory becomes an error of ours."""
    from automl.engines.yolo_trainer import Trainer

    with listening() as stop, logged(log):
        with _refused_settings():
            trainer = Trainer(job)
        try:
            trainer.train()
            shutil.rmtree(job.images.parent)
        except (Stopped, RuntimeError) as error:
            if stop.asked:  # or the same signal has ended a worker of its loader
                raise interrupted(stop, trainer.done) from error
            if not is_out_of_memory(error):
                raise
            micro_batch = trainer.batch_size  # halved already where Ultralytics has tried that
            half = max(1, micro_batch // 2)
            raise NumbersError(
                f"out of memory on `{job.plan.device}` with {micro_batch} images at once",
                hint=f"halve them, for example `--set train.micro_batch={half}`",
            ) from error


def _bundle(
    plan: Plan, dataset: Dataset, run: RunDir, preprocess: Preprocess, extra: dict[str, Any]
) -> bundles.Bundle:
    """The description of the trained model."""
    backbone = find(plan.model, plan.task)
    return bundles.Bundle(
        task=plan.task,
        engine="yolo",
        backbone=asdict(backbone),
        classes=dataset.classes,
        preprocess=preprocess,
        licence=backbone.licence,
        run=run.id,
        dataset_digest=dataset.digest,
        extra={**extra, **({} if dataset.frame is None else {"frame": dataset.frame})},
    )


@contextmanager
def _refused_settings() -> Iterator[None]:
    """Where Ultralytics checks the ranges of its settings."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise RecipeError(
            f"Ultralytics refuses a setting: {error}",
            hint="change the key under `train` that `automl plan` shows with this value",
        ) from error


def _donor(plan: Plan, backbone: Backbone) -> nn.Module | None:
    """The pretrained net that a plan names."""
    if plan.weights.source == "none":
        return None
    path = file_of(backbone, plan.weights)
    if plan.weights.sha256 and sha256(path) != plan.weights.sha256:
        raise MachineError(
            f"weights of `{backbone.name}` are not those of the plan",
            where=str(path),
            hint="bring the old file back, or plan again",
        )
    return load_pretrained(path)


def _classes(donor: nn.Module | None) -> int:
    """How many classes a donor was made for; 0 without one."""
    return int(donor.yaml["nc"]) if donor is not None else 0  # type: ignore[index]


def _finished(saved: checkpoints.Checkpoint) -> bool:
    return bool(saved.facts["stopped"]) or saved.epoch >= saved.facts["total"]
