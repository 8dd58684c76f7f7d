"""The device and the type of numbers a user names.

Knows: names, what torch finds on this machine, what its kernels keep. Does not know: models, batches.
"""

from __future__ import annotations

import os

import torch

from s2t2_cli.errors import UsageError

_KINDS = ("cpu", "cuda", "mps")
_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.int8,
}

# oneDNN keeps what it compiled for the last 1,024 shapes it met, some 50 KB each, with AVX-512 more; recordings have
# ever other lengths. These serve a batch and the steps of its search; compiling again costs a quarter of a millisecond.
_KERNEL_CACHE = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def bound_kernel_cache() -> None:
    """Let memory not grow with the variety of shapes, process-wide; what the user has set stays.

    Only before the process' first product: oneDNN looks once.
    """
    os.environ.setdefault(*_KERNEL_CACHE)


def find_device(name: str) -> torch.device:
    """The device behind `auto`, `cpu`, `cuda[:N]` or `mps`. Raises UsageError where it is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, but torch sees no CUDA GPU here; use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device mps was asked for, but torch sees no Apple GPU here; use --device cpu")
    if device.type not in _KINDS:
        raise UsageError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps")
    return device


def find_dtype(name: str) -> torch.dtype:
    """The type behind `auto` (float32), `float32`, `float16`, `bfloat16` or `int8`. Raises UsageError for another."""
    if name == "auto":
        return torch.float32
    if name not in _DTYPES:
        raise UsageError(f"unknown dtype {name!r}; use auto, {', '.join(_DTYPES)}")
    return _DTYPES[name]


def find_device_and_dtype(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Both; for int8 `auto` is the CPU. Raises UsageError as the two above, and where they do not go together."""
    numbers = find_dtype(dtype)
    place = find_device("cpu" if device == "auto" and numbers == torch.int8 else device)
    if numbers == torch.int8 and place.type != "cpu":
        raise UsageError(f"int8 is computed on the CPU alone; use --device cpu, or --dtype float16 on {place.type}")
    return place, numbers
