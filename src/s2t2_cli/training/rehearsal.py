"""The largest batch, tried out before training, so that memory does not run out hours later when the encoder wakes.

Knows: what a training step holds at its peak. Does not know: how batches are made.
"""

from __future__ import annotations

import torch

from s2t2_cli.errors import UsageError
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.tasks import Batch, Task

# Adam keeps two figures for each parameter.
_OPTIMIZER_COPIES = 2


def rehearse(task: Task[Batch], batch: Batch | None, settings: TrainingSettings) -> None:
    """One forward and backward pass with everything learning that will ever learn, and what the optimiser will need.

    Nothing is changed. Raises UsageError where the memory of the device does not suffice.
    """
    if batch is None:
        return
    device = next(task.parameters()).device
    task.begin_update(settings.updates)
    task.train()
    try:
        held = [
            torch.empty_like(parameter)
            for parameter in task.parameters()
            if parameter.requires_grad
            for _ in range(_OPTIMIZER_COPIES)
        ]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.dtype == "bfloat16"):
            losses = task(batch)
        losses.total.backward()
        del held, losses
    except torch.OutOfMemoryError as error:
        raise UsageError(
            "the device has too little memory for the largest batch: give a smaller --batch-seconds"
        ) from error
    finally:
        for parameter in task.parameters():
            parameter.grad = None
        task.begin_update(1)
