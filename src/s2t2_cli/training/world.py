"""One process or several that train the same model together (`torchrun`).

Knows: torch.distributed, sums over processes. Does not know: what is trained.

Gradients are summed once an update, after all its batches. torch's DistributedDataParallel would sum them while the
last batch is under way, which an update of many batches hardly feels, and would need every parameter to take part in
every batch, which dropped layers and a frozen encoder do not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from s2t2_cli.errors import UsageError
from s2t2_cli.inputs import STDIN


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            dist.barrier()

    def sum(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient summed over all processes; a parameter without one in any process stays without."""
        if self.size == 1 or not parameters:
            return
        present = torch.tensor([one.grad is not None for one in parameters], dtype=torch.uint8)
        present = present.to(parameters[0].device)
        dist.all_reduce(present, dist.ReduceOp.MAX)
        gradients = []
        for parameter, anywhere in zip(parameters, present.tolist(), strict=True):
            if anywhere:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            flat = torch.cat([one.flatten() for one in bucket])
            dist.all_reduce(flat)
            offset = 0
            for gradient in bucket:
                gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
                offset += gradient.numel()

    def refuse_standard_input(self, names: Iterable[str | None]) -> None:
        """Raise UsageError where one of several processes would read what is meant for all."""
        if self.size > 1 and STDIN in names:
            raise UsageError("standard input reaches only one of several processes; name a file that all can read")

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


# The others wait while the first process reads manifests and saves states of gigabytes.
_TIMEOUT = timedelta(hours=2)

# Elements that travel together: large enough for the wire, small beside the model.
_BUCKET = 16 << 20


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    elements = 0
    for tensor in tensors:
        bucket.append(tensor)
        elements += tensor.numel()
        if elements >= _BUCKET:
            yield bucket
            bucket, elements = [], 0
    if bucket:
        yield bucket


def is_first_process() -> bool:
    """Whether this process, of those `torchrun` started, is the one that speaks; known before they have met."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def join_world(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """The processes `torchrun` started, or this one alone, and the device this process is to use.

    With several processes `cuda` becomes the GPU of this process's local rank. Raises UsageError where there are
    fewer GPUs than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(), device
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"torchrun started more processes than there are GPUs ({torch.cuda.device_count()}):"
                " lower --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield World(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
