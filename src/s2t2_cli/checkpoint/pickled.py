"""Reading `pytorch_model.bin`, a pickle, without running anything in it.

Knows: torch's two file formats, what a state dict may hold.
Does not know: that the file is read only once (conversion).
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import torch

from s2t2_cli.errors import CheckpointError


def read_pickled(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict saved by `torch.save`; memory-mapped if torch 1.6 or later wrote it.

    Only tensors are unpickled (`weights_only=True`). A dictionary around the state dict is not guessed at.
    Raises CheckpointError: unreadable or damaged, more in it than tensors, tensors larger than the file.
    """
    try:
        size = path.stat().st_size
        is_zip = _is_zip(path)
        state = torch.load(path, map_location="cpu", mmap=is_zip, weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
        if unsafe is None:
            raise _damaged(path) from error
        raise CheckpointError(
            f"{path} holds more than tensors ({unsafe[1]}) and was not executed: it is not safe to load,"
            " look for a safetensors file"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # damaged bytes make an unpickler raise anything
        raise _damaged(path) from error
    return _checked_state(path, state, size)


def _is_zip(path: Path) -> bool:
    """Whether it is torch's zip format, which can be memory-mapped, rather than the one before torch 1.6."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise zipfile.BadZipFile("torch compresses nothing, and what is compressed can unfold to any size")
    return True


def _checked_state(path: Path, state: object, size: int) -> dict[str, torch.Tensor]:
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not the state dict of a model")
    tensors: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(
                f"{path} is not a plain state dict ({name!r}: {type(value).__name__}):"
                " save the model's state_dict() and nothing around it"
            )
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise CheckpointError(f"{path}: the tensor {name!r} is sparse, quantised or without data, not dense")
        if value.numel() * value.element_size() > size:  # strides of 0 can claim terabytes
            raise CheckpointError(f"{path}: the tensor {name!r} claims to be larger than the file it lies in")
        tensors[name] = value.detach()
    return tensors


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged, or not a checkpoint of torch at all: fetch it again")
