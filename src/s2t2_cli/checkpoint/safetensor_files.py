"""Reading and writing one safetensors file.

Knows: the format, through the safetensors library; how a file is written so that it is whole or not there.
Does not know: what the tensors are for, where pickled weights come from (pickled, conversion).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from s2t2_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

# What transformers writes and, before 5.0, insisted on.
_METADATA = {"format": "pt"}

_KINDS = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint"}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the file, memory-mapped: nothing is copied, pages are read when first touched.

    The mapping is private: writing to a tensor does not change the file. Raises CheckpointError.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The type (as torch names it: `float32` …) and shape of each tensor; reads the header alone, without torch.

    Raises CheckpointError.
    """
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return {name: (_dtype(one.get_dtype()), tuple(one.get_shape())) for name, one in slices.items()}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def write_safetensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write the tensors to `path`, which afterwards is whole or, if this fails, as it was.

    Tensors that overlap in memory (tied weights) are each written in full: the format knows no sharing.
    Raises OSError.
    """
    from safetensors.torch import save_file

    separate = _without_overlaps({name: one.detach().cpu().contiguous() for name, one in tensors.items()})
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(separate, temporary, metadata=_METADATA)
        except SafetensorError as error:  # the library's name for an input or output error
            raise OSError(None, str(error)) from error
        temporary.chmod(mode)  # the library's 0600 would lock other users of a shared cache out
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # a rename that outlives the data in a power cut would leave a hollow file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _without_overlaps(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, those that overlap one before them in memory replaced by a copy of their own."""
    separate = dict(tensors)
    end = -1
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_ptr()):
        if tensor.numel() == 0:
            continue
        if tensor.data_ptr() < end:
            separate[name] = tensor.clone()
        end = max(end, tensor.data_ptr() + tensor.numel() * tensor.element_size())
    return separate


def _dtype(name: str) -> str:
    """torch's name for a type of the format: `BF16` is `bfloat16`."""
    kind = next((kind for kind in _KINDS if name.startswith(kind) and name[len(kind) :].isdigit()), None)
    return name.lower() if kind is None else _KINDS[kind] + name[len(kind) :]


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    return CheckpointError(f"{path} is not a safetensors file that can be read ({reason}): fetch it again")
