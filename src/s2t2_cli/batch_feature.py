"""What feature extractor, tokenizer and processor hand to a model, and the padding they share.

Knows: rows of different lengths, padding strategies, numpy and torch. Does not know: audio, tokens, models.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from s2t2_cli.errors import UsageError

PADDING_STRATEGIES = ("longest", "max_length", "do_not_pad")


class BatchFeature(UserDict[str, Any]):
    """A dictionary of model inputs whose values are attributes too: `batch["input_values"]`, `batch.input_values`.

    It can be unpacked into a model call (`model(**batch)`) and moved to a device. It stands for both the
    `BatchFeature` and the `BatchEncoding` of the reference.
    """

    def __getattr__(self, name: str) -> Any:
        # `data` itself is asked for here while an instance is being unpickled or copied, before it has any.
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def to(self, device: Any = None, *, dtype: Any = None) -> Self:
        """Move the torch tensors, in place, and return this object.

        `device` is whatever `torch.Tensor.to` takes, a dtype too. A dtype reaches floating-point tensors only, so
        that masks and ids stay whole numbers.
        """
        import torch

        if isinstance(device, torch.dtype):
            device, dtype = None, device
        for name, value in self.data.items():
            if isinstance(value, torch.Tensor):
                self.data[name] = value.to(device, dtype if value.is_floating_point() else None)
        return self

    def convert_to_tensors(self, tensor_type: str | None) -> Self:
        """Make numpy arrays ("np") or torch tensors ("pt") of all values, in place; None leaves them as they are.

        Raises UsageError where rows differ in length, and for another tensor type.
        """
        if tensor_type not in (None, "np", "pt"):
            raise UsageError(f"return_tensors={tensor_type!r} is not supported; choose 'pt', 'np' or None")
        if tensor_type is not None:
            for name, value in self.data.items():
                self.data[name] = _array(name, value)
        if tensor_type == "pt":
            import torch

            # Copied where numpy does not own the memory: torch must not write to what it cannot see is shared.
            self.data |= {name: torch.from_numpy(np.require(row, requirements="W")) for name, row in self.data.items()}
        return self


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray([_numpy(row) for row in value] if isinstance(value, list | tuple) else _numpy(value))
    except ValueError:
        raise UsageError(f"the rows of {name} differ in length and make no tensor; pad or truncate them") from None
    # Of rows without a single number numpy makes floats; only ids come as lists of numbers.
    return array.astype(np.int64) if not array.size and not _is_array(value) else array


def _is_array(value: Any) -> bool:
    """Whether numbers lie in an array or tensor, or in a list of those."""
    return tensor_type(value) is not None


def _numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def tensor_type(value: Any) -> str | None:
    """The `return_tensors` that gives back what `value` is, or its rows are; None for plain numbers."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    if hasattr(value, "detach"):  # a torch tensor; asking torch itself would import it
        return "pt"
    return "np" if isinstance(value, np.ndarray) else None


def as_lists(value: Any) -> Any:
    """Arrays and tensors, in a list too, as plain nested lists; a single number stays one."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [as_lists(one) for one in value] if isinstance(value, list | tuple) else value


def as_columns(rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of samples as one dictionary of lists; a dictionary stays as it is. Raises UsageError for other things."""
    if isinstance(rows, Mapping):
        return dict(rows)
    if not rows or not all(isinstance(row, Mapping) and row.keys() == rows[0].keys() for row in rows):
        raise UsageError("pad needs a dictionary of model inputs, or a list of such dictionaries with the same keys")
    return {name: [row[name] for row in rows] for name in rows[0]}


def padding_strategy(padding: bool | str) -> str:
    """The strategy that a `padding` argument means. Raises UsageError for an unknown one."""
    if isinstance(padding, bool):
        return "longest" if padding else "do_not_pad"
    if padding not in PADDING_STRATEGIES:
        raise UsageError(f"padding={padding!r} is not supported; choose True, False, {', '.join(PADDING_STRATEGIES)}")
    return padding


def padded_length(lengths: Iterable[int], strategy: str, max_length: int | None, multiple: int | None) -> int:
    """The length that shorter rows are filled up to; longer ones stay as they are. Raises UsageError."""
    if strategy == "do_not_pad":
        return 0
    if strategy == "longest":
        return round_up(max(lengths, default=0), multiple)
    if max_length is None:
        raise UsageError("padding='max_length' needs max_length")
    return round_up(max_length, multiple)


def round_up(length: int, multiple: int | None) -> int:
    """The next multiple that is not below `length`; without one, `length`."""
    return -(-length // multiple) * multiple if multiple else length
