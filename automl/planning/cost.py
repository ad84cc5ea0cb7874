"""What training costs: a row of the table and an image size in, seconds out.

A step does three forward passes' arithmetic (forward, and twice that backward) and moves its
activations through memory; in small nets the second takes longer. `benchmarks/step_speed.py`
sets these constants beside real steps.
"""

import math

from automl.planning.backbones import Backbone
from automl.planning.hardware import SCALING, Hardware

PASSES = 3.0
"""Forward and backward in units of a forward pass."""
OPERATIONS_PER_ACTIVATION = {"cpu": 1700.0, "cuda": 12000.0, "mps": 4000.0}
"""Operations that the device could do in the time that one activation costs it."""
SECONDS_PER_STEP_IMAGE = {"cpu": 0.003, "cuda": 0.0003, "mps": 0.001}
"""Launching, loss and update, spread over the images of a step."""


def seconds_per_image(row: Backbone, size: tuple[int, int], device: str, gflops: float) -> float:
    """Seconds to train on one image of `size` (height, width); `gflops` is the device's speed."""
    kind = device.partition(":")[0]
    share = size[0] * size[1] / row.image_size**2
    moved = row.activations * OPERATIONS_PER_ACTIVATION[kind] / 1e3
    return (PASSES * row.gflops + moved) * share / gflops + SECONDS_PER_STEP_IMAGE[kind]


DECODE_S = 6.7e-9
"""Of a core for a pixel of a JPEG, to the size of the net: 4.6 to 7.5 on an AMD EPYC."""
MOST_DECODING = 8
"""Threads that decode, see `data.ahead`."""


def decode_seconds(pixels: float, cores: int) -> float:
    """For an image of so many pixels, where as many cores as there are decode."""
    return DECODE_S * pixels / min(cores, MOST_DECODING)


NOMINAL_CORE = 135.0
"""Speed of one core of a server of 2023 in the probe's unit."""
NOMINAL_CARD = 200_000.0
"""Speed of a data centre's graphics card with bfloat16 in the probe's unit: by what makers claim of
them, so that cards of one kind are far from where the rounding changes. None was measured."""
SPEED_STEP = 8.0
"""Decisions see the speed in steps of this factor: a busy machine must not change a plan."""


def steady_gflops(hardware: Hardware) -> float:
    """The speed, rounded so that the same machine gives the same plan on a busy day."""
    computing = min(hardware.threads or hardware.cores, hardware.cores)
    nominal = NOMINAL_CORE * computing**SCALING if hardware.device == "cpu" else NOMINAL_CARD
    gflops = max(hardware.gflops, hardware.fastest, 1e-3)
    steps = round(math.log(gflops / nominal, SPEED_STEP))
    return nominal * SPEED_STEP**steps
