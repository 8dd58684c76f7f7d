"""A checkpoint is written out as a folder in the published layout, its weights as one safetensors file.

Knows: the layout, how a folder appears whole or not at all.
Does not know: where the checkpoint came from (resolution).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import torch

from s2t2_cli.checkpoint.layout import SAFETENSORS_NAME, SIDE_FILES
from s2t2_cli.checkpoint.resolution import Checkpoint
from s2t2_cli.checkpoint.safetensor_files import write_safetensors
from s2t2_cli.checkpoint.tensors import read_tensors
from s2t2_cli.configuration import CONFIG_NAME, read_json_object, write_json_object
from s2t2_cli.errors import OutputError, UsageError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def export_checkpoint(
    checkpoint: Checkpoint,
    folder: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write `checkpoint` to `folder`: its side files as they are, and all weights in `model.safetensors`.

    `dtype` (a key of DTYPES) converts the floating-point tensors and is noted in `config.json`. A new folder
    appears whole or not at all. `overwrite` allows one that has files: those of the layout are replaced, each
    whole, and others stay. Returns the folder. Raises UsageError, CheckpointError, OutputError.
    """
    destination = Path(folder)
    if destination.exists() and not destination.is_dir():
        raise UsageError(f"{destination} is a file: give a folder to write to")
    try:
        if destination.is_dir() and destination.samefile(checkpoint.folder):
            raise UsageError(f"{destination} is the checkpoint itself: give another folder")
        if destination.is_dir() and any(destination.iterdir()) and not overwrite:
            raise UsageError(f"{destination} is not empty: give another folder, or --force to replace its files")
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}.") as temporary:
            staged = Path(temporary) / destination.name
            staged.mkdir()
            _write(checkpoint, staged, None if dtype is None else DTYPES[dtype])
            if destination.is_dir():
                # The configuration last: a folder without one is not taken for a checkpoint.
                for path in sorted(staged.iterdir(), key=lambda path: path.name == CONFIG_NAME):
                    path.replace(destination / path.name)
            else:
                staged.replace(destination)
    except OSError as error:
        raise OutputError(f"cannot write to {destination}: {error.strerror or error}") from error
    return destination


def _write(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype | None) -> None:
    for name in SIDE_FILES:
        if (source := checkpoint.path(name)) is not None:
            shutil.copyfile(source, folder / name)
    tensors = read_tensors(checkpoint, keep_converted=False)
    if dtype is not None:
        tensors = {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}
        config = read_json_object(folder / CONFIG_NAME)
        write_json_object(folder / CONFIG_NAME, {**config, "torch_dtype": str(dtype).removeprefix("torch.")})
    write_safetensors(tensors, folder / SAFETENSORS_NAME)
