"""A torch net as a function of ONNX Runtime, which is faster on a CPU; or the net as it was."""

import ctypes
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import torch
from torch import nn

from automl.engines import disk_cache

TOLERANCE = 1e-3
"""Largest difference from torch, as a share of the largest number that torch gives."""

Forward = Callable[[np.ndarray], list[np.ndarray]]
"""Normalised images float32 [B, 3, H, W] in, all that the net gives in float32 out."""


class NotConverted(Exception):
    """Why torch has to do the work."""


def converted(net: nn.Module, size: tuple[int, int], threads: int, key: str) -> Forward:
    """The net run by ONNX Runtime; NotConverted where it cannot be had or disagrees with torch.

    `key` names the net and its weights: the converted net is kept under it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # also for who trains from Python
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise NotConverted(f"{error.name} is not installed") from error
    key = json.dumps(["onnx", key, size, torch.__version__, onnxruntime.__version__])
    generator = torch.Generator().manual_seed(0)
    trial = torch.randn(2, 3, *size, generator=generator)
    found = disk_cache.find(key)
    try:
        model = bytes(found) if found is not None else _exported(net, trial)
        forward = _session(model, threads)
        given = forward(trial.numpy())
    except Exception as error:  # both libraries raise kinds of their own, without a common base
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise NotConverted(f"the net cannot be converted: {why}") from error
    if not _agrees(net, trial, given):
        raise NotConverted("the converted net gives other features")
    if found is None:
        disk_cache.keep(key, model)
    return forward


def _exported(net: nn.Module, trial: torch.Tensor) -> bytes:
    """By the exporter that traces: it takes a tenth of the other's time and one package less."""
    file = BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), _nothing_on_stdout():
        warnings.simplefilter("ignore")
        outputs = [f"features{number}" for number in range(len(outputs_of(net(trial[:1]))))]
        torch.onnx.export(
            net,
            (trial,),
            file,  # type: ignore[arg-type]
            dynamo=False,
            input_names=["images"],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ("images", *outputs)},
        )
    return file.getvalue()


@contextmanager
def _nothing_on_stdout() -> Iterator[None]:
    """The exporter's C++ prints the whole graph of a net that it cannot do, into a `--json` too."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _session(model: bytes, threads: int) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that spin while they wait take the cores from whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def forward(images: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(found, np.float32) for found in session.run(None, {"images": images})]

    return forward


def outputs_of(result: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What a net gives, one tensor or several."""
    return result if isinstance(result, tuple) else (result,)


def _agrees(net: nn.Module, trial: torch.Tensor, given: list[np.ndarray]) -> bool:
    """Whether torch gives the same features for images that nobody chose."""
    with torch.inference_mode():
        wanted = [one.float().numpy() for one in outputs_of(net(trial))]
    return len(given) == len(wanted) and all(map(_alike, given, wanted))


def _alike(given: np.ndarray, wanted: np.ndarray) -> bool:
    if given.shape != wanted.shape or not np.isfinite(given).all():
        return False
    apart = np.abs(given - wanted).max(initial=0.0)
    return bool(apart <= TOLERANCE * np.abs(wanted).max(initial=0.0))
