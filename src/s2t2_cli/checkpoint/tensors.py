"""The tensors of a checkpoint, by name, whatever format they are stored in.

Knows: that weights may be sharded, that pickled ones are read through a converted copy.
Does not know: which names and shapes a model expects (weights).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from s2t2_cli.checkpoint.conversion import converted
from s2t2_cli.checkpoint.pickled import read_pickled
from s2t2_cli.checkpoint.resolution import Checkpoint
from s2t2_cli.checkpoint.safetensor_files import read_safetensors
from s2t2_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

# What a clone has in the place of the weights if git-lfs was not installed.
_LFS_POINTER = b"version https://git-lfs"


def read_tensors(checkpoint: Checkpoint, *, keep_converted: bool = True) -> dict[str, torch.Tensor]:
    """All tensors of the checkpoint, memory-mapped, on the CPU, in the type they are stored in.

    A `.bin` is converted to safetensors on first use and read from that copy, but for `keep_converted=False`.
    Names are as stored, with old or new weight-norm names.

    Raises CheckpointError: unreadable, unsafe to read, a tensor in two shards.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in checkpoint.weights:
        shard = _read_file(path, keep_converted=keep_converted)
        twice = sorted(tensors.keys() & shard.keys())
        if twice:
            raise CheckpointError(f"{path} holds the tensor {twice[0]!r}, which another shard holds too")
        tensors |= shard
    return tensors


def _read_file(path: Path, *, keep_converted: bool) -> dict[str, torch.Tensor]:
    _refuse_known_trouble(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    copy = converted(path) if keep_converted else None
    return read_pickled(path) if copy is None else read_safetensors(copy)


def _refuse_known_trouble(path: Path) -> None:
    """Two cases the libraries could only report as a damaged file."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(
            f"torch cannot open {path}, whose name is not UTF-8: rename its folder, or give a link to it"
        ) from error
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if start == _LFS_POINTER:
        raise CheckpointError(f"{path} is a git-lfs pointer, not the weights: run `git lfs pull` in its folder")
