"""Reading `pytorch_model.bin`, a pickle, without running anything in it.

Knows: torch's two file formats, what a state dict may hold.
Does not know: that the file is read only once (conversion).
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import IO, cast

import torch

from s2t2_cli.errors import CheckpointError

# Of a class in a pickle: `torch._utils._rebuild_tensor_v2` has 33. When torch refuses one, it searches the name with
# patterns that take a time that grows with its square: 16 s for 30 kB.
_LONGEST_NAME = 500

# In torch's older format: its number, its version, the machine's sizes, the state, the names of the storages.
_OLD_PICKLES = 5
_MOST_PICKLE_BYTES = 2**26


def read_pickled(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict saved by `torch.save`; memory-mapped if torch 1.6 or later wrote it.

    Only tensors are unpickled (`weights_only=True`). A dictionary around the state dict is not guessed at.
    Raises CheckpointError: unreadable or damaged, more in it than tensors, tensors larger than the file.
    """
    try:
        size = path.stat().st_size
        is_zip = _is_zip(path)
        if not is_zip:
            _check_old_format(path)
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
        for record in archive.infolist():
            if record.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile("torch compresses nothing, and what is compressed can unfold to any size")
            if record.filename.endswith("data.pkl"):
                if record.file_size > _MOST_PICKLE_BYTES:
                    raise pickle.UnpicklingError("the pickle is larger than that of any model")
                _check_names(BytesIO(archive.read(record)))
    return True


def _check_old_format(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(_OLD_PICKLES):
            _check_names(cast(IO[bytes], content))


def _check_names(stream: IO[bytes]) -> None:
    """Read one pickle without unpickling it. Raises UnpicklingError or ValueError where torch should not try."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == "GLOBAL" and len(str(argument)) > _LONGEST_NAME:
            raise pickle.UnpicklingError("the name of a class is too long")


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
