"""The few things that several training processes tell each other; all of them are trivial in a single process."""

import os
from typing import Any

import torch.distributed as dist
from torch import Tensor

__all__ = ["disconnect", "gather_objects", "is_rank_zero", "sum_over_ranks", "world_size"]

_RANK_VARIABLES = ("RANK", "SLURM_PROCID", "GROUP_RANK", "NODE_RANK", "LOCAL_RANK")


def is_rank_zero() -> bool:
    """Whether this process writes the files and prints.

    Known from the launcher's environment variables before the processes are connected, from the process group after.
    """
    if _connected():
        return dist.get_rank() == 0
    return all(os.environ.get(name, "0") == "0" for name in _RANK_VARIABLES)


def world_size() -> int:
    """Number of training processes on all machines together."""
    return dist.get_world_size() if _connected() else 1


def sum_over_ranks(x: Tensor) -> Tensor:
    """Sum of ``x`` over all processes; ``x`` itself is left alone. Any shape, the same on every process."""
    if world_size() == 1:
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total


def gather_objects(value: Any) -> list[Any]:
    """``value`` of every process, in order of rank, on every process."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def disconnect() -> None:
    """Leave the other processes, at the end of a run that went well."""
    if _connected():
        dist.destroy_process_group()


def _connected() -> bool:
    return dist.is_available() and dist.is_initialized()
