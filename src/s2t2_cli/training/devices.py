"""Where training runs and what it computes in.

Knows: devices, which of them have bfloat16. Does not know: what is trained.
"""

from __future__ import annotations

import torch

from s2t2_cli.devices import find_device
from s2t2_cli.training.settings import TrainingDtype


def training_device(name: str, threads: int | None) -> torch.device:
    """The device `name` stands for (`auto`, `cpu`, `cuda[:N]`, `mps`); `threads` limits torch, process-wide.

    Raises UsageError for a device that is not there.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    return find_device(name)


def training_dtype(name: str, device: torch.device) -> TrainingDtype:
    """`auto` is bfloat16 on GPUs that compute in it, else float32: on CPUs bfloat16 is slow."""
    if name == "auto":
        has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if has_it else "float32"
    return "bfloat16" if name == "bfloat16" else "float32"
