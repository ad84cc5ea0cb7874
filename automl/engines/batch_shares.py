"""What a micro-batch counts for in its batch, so that a batch may be split in any way."""

from typing import cast

import torch
from torch import nn

from automl.engines import distributed
from automl.engines.loader import Batch
from automl.engines.network import Learner

Losses = dict[str, torch.Tensor]


def shares_of_batch(
    learner: nn.Module, world: distributed.World, parts: list[Batch]
) -> list[Losses]:
    """Of each micro-batch, its share of what a part of the loss is a mean over in the whole batch.

    A part of the loss that is not named goes by the images. With these weights an update does not
    depend on how its batch is split, but for what a net computes over the images at once, such as
    batch statistics, and for what `Task.counted` leaves out.
    """
    if world.size == 1 and len(parts) == 1:
        return [{}]
    counted = cast(Learner, getattr(learner, "module", learner)).counted
    counts = [counted(part.targets) for part in parts]
    names = list(counts[0])
    if not names:
        return counts
    table = torch.stack([torch.stack([count[name] for name in names]) for count in counts])
    whole = distributed.summed(table.sum(dim=0)).clamp(min=torch.finfo(table.dtype).tiny)
    return [dict(zip(names, row, strict=True)) for row in table / whole]
