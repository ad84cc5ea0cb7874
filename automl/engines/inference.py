"""Images in, predictions out: a net in evaluation mode, as many images at once as fit."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from automl.engines.network import Network
from automl.engines.stop_reasons import is_out_of_memory, no_memory
from automl.model.preprocess import Geometry
from automl.prediction import Prediction
from automl.tasks.protocol import module

Fitted = tuple[str, np.ndarray, Geometry]


def predictions(
    network: Network, images: Iterable[tuple[str, np.ndarray]], device: torch.device
) -> Iterator[Prediction]:
    """Predicts images in their order; where the memory does not suffice, half as many at once."""
    fitted = ((path, *network.preprocess.apply(image)) for path, image in images)
    return predicted(network, fitted, device)


def predicted(
    network: Network, fitted: Iterable[Fitted], device: torch.device
) -> Iterator[Prediction]:
    """The same for images that are already as the model sees them."""
    network.net.eval()
    remaining = iter(fitted)
    size = network.batch_size
    waiting: list[Fitted] = []
    while waiting or (waiting := list(islice(remaining, size))):
        found = _answered(network, waiting[:size], device)
        if found is None:
            if size == 1:
                raise no_memory(str(device))
            size = (min(size, len(waiting)) + 1) // 2
            continue
        del waiting[: len(found)]
        yield from found


def _answered(
    network: Network, chunk: list[Fitted], device: torch.device
) -> list[Prediction] | None:
    """The predictions for a chunk, or None where it does not fit into the memory."""
    task = module(network.task)
    pixels = torch.from_numpy(np.stack([image for _, image, _ in chunk]).transpose(0, 3, 1, 2))
    try:
        with torch.inference_mode(), network.autocast(device):
            outputs = task.outputs(network.net, network.normalise(pixels.to(device)))
        return task.decode(outputs, [g for _, _, g in chunk], [path for path, _, _ in chunk])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None
