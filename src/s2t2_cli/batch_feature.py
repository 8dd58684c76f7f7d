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
TENSOR_TYPES = ("pt", "np")


class BatchFeature(UserDict[str, Any]):
    """A dictionary of model inputs that also answers as attributes: `batch["input_values"]`, `batch.input_values`.

    It can be unpacked into a model call (`model(**batch)`) and moved to a device. It stands for both `BatchFeature`
    and `BatchEncoding` of the reference.
    """

    def __getattr__(self, name: str) -> Any:
        # `data` is looked up before it exists while an instance is being unpickled or copied.
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def to(self, device: Any = None, *, dtype: Any = None) -> Self:
        """Move the torch tensors, in place, and return this object.

        `device` is whatever `torch.Tensor.to` takes, a dtype too; a dtype reaches floating-point tensors only, so
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
        """Make arrays ("np") or tensors ("pt") of all values, in place; None leaves them as they are.

        Raises UsageError where rows differ in length, or for another tensor type.
        """
        if tensor_type is None:
            return self
        if tensor_type not in TENSOR_TYPES:
            raise UsageError(f"return_tensors={tensor_type!r} is not supported; choose 'pt', 'np' or None")
        for name, value in self.data.items():
            if hasattr(value, "detach"):  # a torch tensor already; asking torch itself would import it
                value = value.detach().cpu().numpy()
            try:
                array = np.asarray(value)
            except ValueError:
                raise UsageError(
                    f"the rows of {name} differ in length and make no tensor; pass padding=True or truncate them"
                ) from None
            if array.size == 0 and array.dtype == np.float64:
                array = array.astype(np.int64)  # no ids at all: numpy would guess float
            if tensor_type == "pt":
                import torch

                # numpy may hand out read-only memory, which torch warns about
                self.data[name] = torch.from_numpy(array if array.flags.writeable else array.copy())
            else:
                self.data[name] = array
        return self


def padding_strategy(padding: bool | str) -> str:
    """The strategy a `padding` argument means. Raises UsageError for an unknown one."""
    if isinstance(padding, bool):
        return "longest" if padding else "do_not_pad"
    if padding in PADDING_STRATEGIES:
        return padding
    raise UsageError(
        f"padding={padding!r} is not supported; choose True, False, {', '.join(PADDING_STRATEGIES)}"
    )


def padded_length(
    lengths: Iterable[int], strategy: str, max_length: int | None, pad_to_multiple_of: int | None
) -> int:
    """The length shorter rows are filled up to; longer ones stay as they are."""
    if strategy == "do_not_pad":
        return 0
    target = max(lengths, default=0) if strategy == "longest" else max_length or 0
    return round_up(target, pad_to_multiple_of)


def round_up(length: int, multiple: int | None) -> int:
    """`length`, or the next multiple above it."""
    return length if not multiple else -(-length // multiple) * multiple


def as_columns(rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of samples as one dictionary of lists; a dictionary stays as it is. Raises UsageError for neither."""
    if isinstance(rows, Mapping):
        return dict(rows)
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise UsageError("pad needs a dictionary of model inputs or a list of such dictionaries")
    return {name: [row[name] for row in rows] for name in rows[0]}


def as_lists(value: Any) -> Any:
    """Arrays and tensors, also inside a list, as plain (nested) lists; a single number stays one."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [as_lists(one) for one in value] if isinstance(value, list | tuple) else value


def tensor_type(value: Any) -> str | None:
    """The `return_tensors` that gives back what `value` is, or what its rows are; None for plain numbers."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    if hasattr(value, "detach"):  # a torch tensor; asking torch itself would import it
        return "pt"
    return "np" if isinstance(value, np.ndarray) else None
