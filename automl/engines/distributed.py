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


def join() -> World:
    """Joins the group once: gloo for tensors on the CPU, NCCL for those on CUDA."""
    here = world()
    if here.size > 1 and not torch.distributed.is_initialized():
        both = torch.cuda.is_available()
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo")
    return here


def share(text: str, speaker: int = 0) -> str:
    """The text of rank 0, or of another speaker, everywhere; waits for it."""
    here = join()
    if here.size == 1:
        return text
    raw = torch.tensor(list(text.encode()), dtype=torch.uint8)
    length = torch.tensor([len(raw)])
    torch.distributed.broadcast(length, speaker)
    if not int(length):
        return ""
    raw = raw if here.rank == speaker else torch.zeros(int(length), dtype=torch.uint8)
    torch.distributed.broadcast(raw, speaker)
    return bytes(raw.tolist()).decode()


def wait() -> None:
    """Until every process is here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def agree(flags: list[float]) -> list[float]:
    """The values of rank 0, everywhere."""
    if not torch.distributed.is_initialized():
        return flags
    tensor = torch.tensor(flags, dtype=torch.float64)
    torch.distributed.broadcast(tensor, 0)
    return [float(v) for v in tensor]


def first_said(word: str) -> str:
    """The word of the lowest rank that says one, everywhere; empty where nobody does."""
    if not torch.distributed.is_initialized():
        return word
    here = world()
    speaker = torch.tensor([here.rank if word else here.size])
    torch.distributed.all_reduce(speaker, torch.distributed.ReduceOp.MIN)
    if int(speaker) == here.size:
        return ""
    return share(word, int(speaker))


def leave() -> None:
    """Ends the group."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
