"""A net compiled in place, where this machine has what that takes; or why it has not."""

import torch
from torch import nn


def compile_net(net: nn.Module, device: torch.device) -> str:
    """Compiles the net at its first call; else the first line of what is in the way.

    torch compiles for a card or a processor with a C compiler of the machine's, which slim images
    of containers lack: it would say so in the first step, where it ends the training.
    """
    try:
        torch.compile(_trial)(torch.ones(8, device=device))
    except Exception as error:  # torch and its compilers have many kinds, without a common base
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    net.compile()  # in place: names of weights, and copies, stay as they are
    return ""


def _trial(values: torch.Tensor) -> torch.Tensor:
    return (values * 2 + 1).relu()
