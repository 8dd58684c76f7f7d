"""What kind of thing an input is, and its opening.

Knows: paths, addresses, bytes, file objects, arrays, tensors, and dictionaries of them; how samples of each type are
scaled. Does not know: decoding, resampling.
"""

from __future__ import annotations

import io
import operator
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from s2t2_cli.audio.fetching import fetch
from s2t2_cli.audio.reading import Reader, open_reader
from s2t2_cli.audio.resampling import MAX_RATE, MIN_RATE, SAMPLING_RATE
from s2t2_cli.errors import InputNotFoundError, InputReadError, InvalidAudioError
from s2t2_cli.escaping import one_line
from s2t2_cli.inputs import is_url

if TYPE_CHECKING:
    import torch

AudioInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | torch.Tensor"
    " | Mapping[str, Any]"
)
"""A path, an http(s) URL, the bytes of a file, a binary file object, an array or tensor of samples, or a dictionary.

A dictionary has `array` or `raw` (samples) and `sampling_rate`; or, without these, `bytes` or `path` (a file), as
rows of an audio data set do.
"""

# Full scale, as WAV has it and `scipy.io.wavfile` reads it.
_INTEGERS = {np.dtype(np.uint8): (128, 128), np.dtype(np.int16): (0, 2**15), np.dtype(np.int32): (0, 2**31)}


@dataclass(frozen=True)
class Waveform:
    """Samples as they were given: float32, shape (n,), mono."""

    samples: NDArray[np.float32]
    sampling_rate: int


def name_of(source: AudioInput) -> str:
    """What messages call `source` where the caller has no name for it."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    if isinstance(source, Mapping):
        return name_of(source["path"]) if isinstance(source.get("path"), str) else "the dictionary"
    if _is_file_object(source):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "the stream"
    return "the input" if isinstance(source, (bytes, bytearray, memoryview)) else "the array"


@contextmanager
def open_source(source: AudioInput, sampling_rate: int | None, name: str) -> Iterator[Waveform | Reader]:
    """`source` as samples or as bytes to decode; what was opened here is closed afterwards.

    Raises `InputNotFoundError`, `InputReadError`, `DownloadError`, and `InvalidAudioError` for what is no audio
    input at all.
    """
    if isinstance(source, Mapping):
        source, sampling_rate = _from_mapping(source, name)
    if isinstance(source, np.ndarray):
        yield _waveform(source, sampling_rate, name)
    elif (tensor := _as_tensor(source)) is not None:
        yield _waveform(_to_numpy(tensor, name), sampling_rate, name)
    elif _is_file_object(source):
        with open_reader(source, name) as reader:
            yield reader
    else:
        with _open_file(source, name) as file, open_reader(file, name) as reader:
            yield reader


def _is_file_object(source: object) -> TypeGuard[IO[bytes]]:
    return hasattr(source, "read")


def _open_file(source: Any, name: str) -> IO[bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if isinstance(source, str) and is_url(source):
        return fetch(source, name=name)
    if not isinstance(source, (str, os.PathLike)):
        raise InvalidAudioError(
            f"cannot take audio from an object of type {type(source).__name__}; give a path, an address, bytes,"
            " a binary file object, a numpy array or a torch tensor"
        )
    try:
        return io.FileIO(source)  # unbuffered: from a named pipe, a read returns what is there
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise InputNotFoundError(_no_such_file(source, name)) from problem
    except PermissionError as problem:
        raise InputReadError(f"no permission to read {name}") from problem
    except IsADirectoryError as problem:
        raise InputReadError(f"{name} is a folder, not a recording") from problem
    except OSError as problem:
        raise InputReadError(f"cannot read {name} ({problem.strerror})") from problem
    except ValueError as problem:  # a null byte in the name
        raise InputNotFoundError(f"no file can be called {name} ({problem})") from problem


def _no_such_file(source: str | os.PathLike[str], name: str) -> str:
    if not os.fspath(source):
        return "the name of an input is empty; name a file"
    if "://" in name:
        return f"{name} cannot be fetched; only http:// and https:// addresses and files can"
    return f"there is no file {name}"


def _from_mapping(mapping: Mapping[str, Any], name: str) -> tuple[Any, int | None]:
    samples = mapping.get("raw", mapping.get("array"))
    if samples is not None:
        if (rate := mapping.get("sampling_rate")) is None:
            raise InvalidAudioError(f"{name} has samples but no sampling_rate; add it, in samples per second")
        return samples if hasattr(samples, "shape") else _from_sequence(samples, name), rate
    for key in ("bytes", "path"):
        if mapping.get(key) is not None:
            return mapping[key], None
    raise InvalidAudioError(
        f'{name} has the keys {sorted(map(str, mapping))}; give "array" or "raw" and "sampling_rate"'
    )


def _from_sequence(samples: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(samples)
    except ValueError as problem:  # rows of different lengths
        raise InvalidAudioError(f"{name} has samples that are not an array; give a flat list of numbers") from problem


def _waveform(array: NDArray[Any], sampling_rate: Any, name: str) -> Waveform:
    # One channel is one channel whichever way round; more are not mixed unasked (the reference refuses them too).
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise InvalidAudioError(
            f"{name} has the shape {array.shape}; one channel of shape (n,) is wanted: pick one, or average them"
        )
    return Waveform(_as_float32(array, name), _as_rate(sampling_rate, name))


def _as_float32(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is found as that
            return np.ascontiguousarray(array, dtype=np.float32)
    if (scale := _INTEGERS.get(array.dtype.newbyteorder("="))) is None:
        raise InvalidAudioError(
            f"{name} has samples of type {array.dtype}; floats with full scale at 1 are wanted, or uint8, int16, int32"
        )
    middle, full = scale
    return ((array.astype(np.float32) - middle) / full).astype(np.float32)


def _as_rate(rate: Any, name: str) -> int:
    if rate is None:
        return SAMPLING_RATE
    try:
        whole = int(rate) if isinstance(rate, (float, np.floating)) and rate.is_integer() else operator.index(rate)
    except TypeError:
        whole = 0
    if isinstance(rate, bool) or not MIN_RATE <= whole <= MAX_RATE:
        raise InvalidAudioError(
            f"{name} has the sampling rate {one_line(repr(rate))};"
            f" a whole number from {MIN_RATE} to {MAX_RATE} is wanted"
        )
    return whole


def _as_tensor(source: object) -> torch.Tensor | None:
    # Whoever has a tensor has imported torch already; for all others it is slow to load.
    loaded = sys.modules.get("torch")
    return source if loaded is not None and isinstance(source, loaded.Tensor) else None


def _to_numpy(tensor: torch.Tensor, name: str) -> NDArray[Any]:
    try:
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.float()  # numpy has no bfloat16
        array: NDArray[Any] = tensor.numpy()
    except (RuntimeError, TypeError) as problem:  # sparse, quantised, on the meta device
        raise InvalidAudioError(
            f"{name} is a {tensor.layout} tensor on {tensor.device} without plain samples"
        ) from problem
    return array
