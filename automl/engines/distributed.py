"""Several processes training one model: `torchrun` starts them, torch.distributed joins them."""

import os
from dataclasses import dataclass

import torch


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


def join_group() -> World:
    """Joins the group once: gloo for tensors on the CPU, NCCL for those on CUDA."""
    here = world()
    if here.size > 1 and not torch.distributed.is_initialized():
        both = torch.cuda.is_available()
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo")
    return here


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
