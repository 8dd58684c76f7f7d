"""A pickled checkpoint is converted once to safetensors, which is kept in a cache and read from then on.

Knows: that both name the same tensors. Does not know: where copies lie (copies), how either format is read or written
(pickled, safetensor_files).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from s2t2_cli.checkpoint.copies import copy_there_is, kept_copy

if TYPE_CHECKING:
    import torch

_KIND = "safetensors"


def converted(path: Path) -> Path | None:
    """The safetensors copy of the pickled checkpoint at `path`, made if need be; None where none can be kept.

    Raises CheckpointError where the pickle cannot be read.
    """

    def read() -> Mapping[str, torch.Tensor]:
        from s2t2_cli.checkpoint.pickled import read_pickled  # torch: not needed where the copy exists

        return read_pickled(path)

    return kept_copy(_KIND, [path], read)


def already_converted(path: Path) -> Path | None:
    """The safetensors copy of the pickled checkpoint at `path` if there is one; never makes it."""
    return copy_there_is(_KIND, [path])
