"""Checkpoints: a hub id or a folder becomes files, files become tensors, tensors the weights of a module.

The names are imported when first used: describing a checkpoint needs no torch, reading a folder no hub.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2t2_cli.checkpoint.resolution import Checkpoint, resolve_checkpoint
    from s2t2_cli.checkpoint.tensors import read_tensors
    from s2t2_cli.checkpoint.weights import load_weights, save_weights

__all__ = ["Checkpoint", "load_weights", "read_tensors", "resolve_checkpoint", "save_weights"]

_HOME = {
    "Checkpoint": "resolution",
    "load_weights": "weights",
    "read_tensors": "tensors",
    "resolve_checkpoint": "resolution",
    "save_weights": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
