"""Candidates for `model: auto`, looked at: the time of a step, and how well features fit.

Both are kept: a plan made again measures nothing. Features give the same score whenever they are
taken; times vary, and what they decide stands in the plan.
"""

import gc
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from automl.dataset import Dataset
from automl.engines import disk_cache
from automl.engines.features import FeatureOptions, Runner, evenly_spread, features
from automl.engines.linear_probe import leave_one_out
from automl.engines.loader import change_each
from automl.engines.memory import give_back_freed_memory, keep_freed_memory
from automl.engines.network import has_fast_bf16
from automl.engines.torch_state import let_cudnn_choose
from automl.engines.transforms import dummy_annotation
from automl.errors import AutomlError, NumbersError
from automl.model.build import build
from automl.planning.cost import decode_seconds
from automl.planning.hardware import SCALING, cores, cpu_name, used_threads
from automl.planning.trials import Measurement, MeasureModels, Transfer, TrialModel
from automl.talk import Talk
from automl.tasks.protocol import LossSettings, module

VERSION = 2
"""Raise it whenever a step may take another time."""
STEP_SECONDS = 0.3
"""Longest measuring of a candidate's step after the first, uncounted one."""
CLASSES = 10
"""Of the nets whose steps are timed: what the last layer costs hardly shows."""
PASS_SHARE = 0.2
"""A forward pass for features in units of a training step."""
MOST_IMAGES, LEAST_IMAGES = 300, 48
"""Images that features are taken of; with fewer they say nothing."""
CUDA_BATCH = 16


def model_measurer(dataset: Dataset, device: str, talk: Talk) -> MeasureModels:
    """Measures candidates for this data on a device; says so where it takes time."""

    def measure(models: Sequence[TrialModel], seconds: float) -> Mapping[str, Measurement]:
        if not seconds:
            kept = [_find(_step_key(candidate, device)) for candidate in models]
            return {a.row.name: Measurement(t) for a, t in zip(models, kept, strict=True)}
        times = _step_times(models, device, talk)
        scores = _transfers(models, times, dataset, device, seconds, talk)
        return {
            a.row.name: Measurement(t, s) for a, t, s in zip(models, times, scores, strict=True)
        }

    return measure


def _step_times(models: Sequence[TrialModel], device: str, talk: Talk) -> list[float | None]:
    """Seconds of a training step by image: as kept, or measured now."""
    found = []
    for number, candidate in enumerate(models):
        talk.progress("models: speed", number, len(models), candidate.row.name)
        key = _step_key(candidate, device)
        found.append(_kept(key, partial(_measured, candidate, device)))
    talk.progress("models: speed", len(models), len(models))
    return found


def _step_key(candidate: TrialModel, device: str) -> list[Any]:
    return ["step", _machine(device), candidate.row.name, *candidate.crop]


def _kept(key: list[Any], measure: Callable[[], Any]) -> Any:
    """What was measured before under the same circumstances, or is now; a JSON value."""
    value = _find(key)
    if value is None:
        give_back_freed_memory()  # what reading the data set took, or the net before
        value = measure()
        give_back_freed_memory()
        torch.cuda.empty_cache()  # where there is a card
        if value is not None:  # what failed may have failed for once
            disk_cache.keep(_whole(key), json.dumps(value).encode())
    return value


def _find(key: list[Any]) -> Any:
    raw = disk_cache.find(_whole(key))
    return None if raw is None else json.loads(raw)


def _whole(key: list[Any]) -> str:
    return json.dumps([*key, VERSION, torch.__version__])


def bf16_gain(model: TrialModel) -> float | None:
    """How many times faster a step is in bf16 on this CPU: as kept, or measured now."""

    def measure() -> float | None:
        plain = _measured(model, "cpu")
        give_back_freed_memory()
        short = _measured(model, "cpu", bf16=True)
        return plain / short if plain and short else None

    gain: float | None = _kept(["bf16", _machine("cpu"), model.row.name, *model.crop], measure)
    return gain


def _measured(model: TrialModel, device: str, *, bf16: bool = False) -> float | None:
    """Seconds of forward and backward by image; None for a net that cannot be tried."""
    if model.row.engine != "native":
        return None
    keep_freed_memory()
    on_card = torch.device(device).type != "cpu"
    clock: Callable[[], float] = time.perf_counter if on_card else time.process_time
    count = CUDA_BATCH if on_card else max(2, min(8, round(0.5 * STEP_SECONDS / model.step_s)))
    threads = torch.get_num_threads()
    try:
        place = torch.device(device)
        let_cudnn_choose(place)
        step = _step(model, place, count, bf16=bf16 or has_fast_bf16(place))
        # CPU time of one thread is the same on a busy machine; wall time is not.
        torch.set_num_threads(threads if on_card else 1)
        seconds = _fastest(step, clock) / count
    except (AutomlError, RuntimeError, MemoryError):  # too large, or no library carries it
        return None
    finally:
        torch.set_num_threads(threads)
    return seconds if on_card else seconds / used_threads() ** SCALING


def _step(model: TrialModel, device: torch.device, count: int, *, bf16: bool) -> Callable[[], None]:
    """Forward and backward on noise, as the training does them."""
    task = module(model.row.task)
    net = build(model.row, CLASSES, model.crop).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.train()
    for parameter in net.parameters():  # none is updated, so no gradient waits for the others
        parameter.register_post_accumulate_grad_hook(_drop_gradient)
    images = torch.rand(count, 3, *model.crop, device=device)
    images = images.to(memory_format=torch.channels_last)
    targets = task.collate([dummy_annotation(model.row.task, *model.crop)] * count)
    targets = change_each(targets, lambda tensor: tensor.to(device))
    settings = LossSettings()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            losses = task.loss(net, images, targets, settings)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    return step


def _drop_gradient(parameter: torch.Tensor) -> None:
    parameter.grad = None


def _fastest(step: Callable[[], None], clock: Callable[[], float]) -> float:
    """Seconds of the fastest step after the first; two at least."""
    step()
    best, began, steps = float("inf"), time.perf_counter(), 0
    while steps < 2 or time.perf_counter() - began < STEP_SECONDS:
        start = clock()
        step()
        best, steps = min(best, max(clock() - start, 1e-6)), steps + 1
    return best


def _transfers(
    models: Sequence[TrialModel],
    times: Sequence[float | None],
    dataset: Dataset,
    device: str,
    seconds: float,
    talk: Talk,
) -> list[Transfer | None]:
    """How well each candidate's features fit, of as many images as the seconds allow."""
    nothing: list[Transfer | None] = [None] * len(models)
    images = dataset.split("train")
    pixels = sum(sample.width * sample.height for sample in images) / max(1, len(images))
    cost = sum(PASS_SHARE * (t or a.step_s) for a, t in zip(models, times, strict=True))
    cost += len(models) * decode_seconds(pixels, cores())
    seen = evenly_spread(images, _stepped(min(MOST_IMAGES, seconds / cost)))
    classes = {sample.label for sample in seen}
    if dataset.task != "classification" or len(seen) < LEAST_IMAGES:
        return nothing
    if None in classes or len(classes) < 2 or not all(a.weights.source != "none" for a in models):
        return nothing
    labels, found = np.asarray([sample.label for sample in seen]), []
    for number, candidate in enumerate(models):
        talk.progress("models: features", number, len(models), candidate.row.name)
        score = _transfer(candidate, dataset, device, labels)
        gc.collect()  # a converted net is in cycles
        if score is None:
            return nothing
        found.append(score)
    talk.progress("models: features", len(models), len(models))
    return [*found]


def _transfer(
    model: TrialModel, dataset: Dataset, device: str, labels: np.ndarray
) -> Transfer | None:
    """The score of one candidate; None for a net that hands no features to a last layer."""

    def measure() -> tuple[float, float] | None:
        fit: Any = model.fit
        how: Runner = "onnx" if device == "cpu" else "torch"
        options = FeatureOptions(fit, how, used_threads(), len(labels), device)
        try:
            rows, _ = features(model.row, model.weights, dataset, "train", model.size, options)
        except (ValueError, RuntimeError, NumbersError):
            return None
        return leave_one_out(rows, labels)

    row, weights = model.row, model.weights
    said = ["transfer", dataset.digest, device, row.name, weights.name, weights.sha256]
    if weights.sha256:
        score = _kept([*said, *model.size, model.fit, len(labels)], measure)
    else:  # what lies under the name may be another file tomorrow
        score = measure()
    return None if score is None else Transfer(score[0], score[1], len(labels))


def _stepped(count: float) -> int:
    """A number of images, in steps: small changes of speed must not change what is looked at."""
    return int(2 ** (math.floor(2 * math.log2(max(count, 1.0)) + 0.5) / 2))


def _machine(device: str) -> str:
    """What a step's time depends on beside the net."""
    if device == "cpu":
        return f"{cpu_name()} {used_threads()}"
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device
