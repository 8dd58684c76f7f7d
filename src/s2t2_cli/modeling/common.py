"""What the encoder and the decoder share: activations, attention over heads, derived weights, outputs.

Knows: tensors. Does not know: audio, tokens, checkpoints.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

T = TypeVar("T")
Activation = Callable[[Tensor], Tensor]


def _in_place(change: Callable[[Tensor], Tensor], change_in_place: Callable[[Tensor], Tensor]) -> Activation:
    """Without gradients the result takes the argument's place: half the memory, and none of it new, which costs the
    system more time to clear than the function takes. The argument is a product that nobody else holds."""
    return lambda states: change(states) if torch.is_grad_enabled() else change_in_place(states)


ACTIVATION_FUNCTIONS: dict[str, Activation] = {
    "gelu": _in_place(F.gelu, torch.ops.aten.gelu_.default),  # exact, by the error function
    "gelu_new": _in_place(
        partial(F.gelu, approximate="tanh"), partial(torch.ops.aten.gelu_.default, approximate="tanh")
    ),
    "relu": _in_place(F.relu, F.relu_),
    "silu": _in_place(F.silu, partial(F.silu, inplace=True)),
    "swish": _in_place(F.silu, partial(F.silu, inplace=True)),
}


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(batch, length, width) -> (batch, heads, length, width / heads), without copying."""
    batch, length, width = states.shape
    return states.view(batch, length, heads, width // heads).transpose(1, 2)


def merge_heads(states: Tensor) -> Tensor:
    """(batch, heads, length, head_dim) -> (batch, length, heads * head_dim)."""
    batch, heads, length, head_dim = states.shape
    return states.transpose(1, 2).reshape(batch, length, heads * head_dim)


class DerivedWeight(Generic[T]):
    """A tensor, or another form of one, computed from parameters, kept as long as they do not change.

    Inference asks for it once a forward pass, training changes its sources at every step: the sources' version
    counters, which in-place writes advance, tell the two apart. While gradients are recorded it is always computed
    anew, so that they reach the sources; and what was kept is dropped, for torch's fused optimisers write to the
    sources without advancing a counter.
    """

    def __init__(self, compute: Callable[..., T]) -> None:
        self._compute = compute
        self._key: list[object] | None = None
        self._value: T | None = None

    def __call__(self, *sources: Tensor) -> T:
        if torch.is_grad_enabled() and any(source.requires_grad for source in sources):
            self.forget()
            return self._compute(*sources)
        key: list[object] = [sources[0].device, sources[0].dtype]  # the sources' own, which move together
        for one in sources:  # a step of the search comes by here a hundred times
            key += (one.data_ptr(), 0 if one.is_inference() else one._version)
        if self._value is None or key != self._key:
            self._value, self._key = self._compute(*sources), key
        return self._value

    def forget(self) -> None:
        """Drop what was kept: to be called, too, where the sources are used as they are while they learn."""
        self._value = self._key = None

    def __deepcopy__(self, memo: dict[int, Any]) -> DerivedWeight[T]:
        return DerivedWeight(self._compute)

    def __reduce__(self) -> tuple[Any, ...]:
        return DerivedWeight, (self._compute,)


@dataclass
class ModelOutput:
    """Named tensors, also reachable by name (`output["logits"]`) or, None left out, by position (`output[0]`)."""

    def __getitem__(self, key: str | int) -> Any:
        return getattr(self, key) if isinstance(key, str) else self.to_tuple()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_tuple())

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are not None, in order."""
        values = (getattr(self, one.name) for one in dataclasses.fields(self))
        return tuple(value for value in values if value is not None)


def initialise_linear(module: nn.Module, std: float) -> None:
    """The reference's start values for linear layers and embeddings: normal with `std`, biases zero.

    A module on the meta device is left alone: its weights come from a file.
    """
    if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
        return
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=std)
        if module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
