"""Several processes training one model: `torchrun` starts them, torch.distributed joins them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch

from automl.errors import MachineError, UsageError

PATIENCE = timedelta(days=7)
"""How long a process waits for the first one, which reads the data, plans and validates alone.

The library's half an hour is too short for a large set. Nobody waits for a process that has died:
`torchrun` ends the others.
"""


@dataclass(frozen=True)
class World:
    """This process among those that `torchrun` started; one alone has `size == 1`."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files, validates and talks."""
        return self.rank == 0

    def device(self, planned: str) -> torch.device:
        """The planned device; among several processes on CUDA each takes a card of its own."""
        if self.size > 1 and planned.startswith("cuda"):
            return torch.device("cuda", self.local_rank)
        return torch.device(planned)


def world() -> World:
    """Read from the environment that `torchrun` sets; joins nothing."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" not in env:
        return World()
    return World(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env["LOCAL_RANK"]))


def refuse_shared_cards(planned: str) -> None:
    """UsageError where more processes would train on this machine than it has cards."""
    here, cards = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if planned.startswith("cuda") and here > cards:
        raise UsageError(
            f"{here} processes need a card each, and this machine has {cards}",
            hint=f"`--nproc-per-node {cards}`, or `--device cpu`",
        )


def join_group() -> World:
    """Joins the group once: gloo for tensors on the CPU, NCCL for those on CUDA."""
    here = world()
    if here.size > 1 and not torch.distributed.is_initialized():
        cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if here.local_rank < cards:  # for what names no card, such as pinned memory
            torch.cuda.set_device(here.local_rank)
        kinds = "cpu:gloo,cuda:nccl" if cards else "gloo"
        torch.distributed.init_process_group(kinds, timeout=PATIENCE)
    return here


@contextmanager
def others_followed() -> Iterator[None]:
    """MachineError where another process has gone: what it died of is not this one's fault."""
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise
        raise MachineError(
            "another process of this training has ended",
            hint="what it said stands above; `automl run --resume` goes on from the checkpoint",
        ) from error


def broadcast_text(text: str, sender: int = 0) -> str:
    """The text of one process in all of them; waits for it."""
    here = join_group()
    if here.size == 1:
        return text
    raw = torch.tensor(list(text.encode()), dtype=torch.uint8)
    length = torch.tensor([len(raw)])
    torch.distributed.broadcast(length, sender)
    if not int(length):
        return ""
    raw = raw if here.rank == sender else torch.zeros(int(length), dtype=torch.uint8)
    torch.distributed.broadcast(raw, sender)
    return bytes(raw.tolist()).decode()


def barrier() -> None:
    """Until every process is here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def from_first(numbers: list[float]) -> list[float]:
    """The numbers of rank 0, in every process."""
    if not torch.distributed.is_initialized():
        return numbers
    tensor = torch.tensor(numbers, dtype=torch.float64)
    torch.distributed.broadcast(tensor, 0)
    return [float(v) for v in tensor]


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over the processes, in every one of them."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(tensor)
    return tensor


def summed_each(parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same of several numbers by name, which are the same names in every process."""
    if not torch.distributed.is_initialized():
        return parts
    return dict(zip(parts, summed(torch.stack(list(parts.values()))), strict=True))


def first_text(text: str) -> str:
    """The text of the lowest rank that has one, in every process; empty where none has."""
    if not torch.distributed.is_initialized():
        return text
    here = world()
    sender = torch.tensor([here.rank if text else here.size])
    torch.distributed.all_reduce(sender, torch.distributed.ReduceOp.MIN)
    if int(sender) == here.size:
        return ""
    return broadcast_text(text, int(sender))
