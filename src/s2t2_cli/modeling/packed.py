"""Linear layers for a handful of rows, which is what a decoder step multiplies with every weight.

Knows: the block layout that oneDNN computes with, in which a product of five rows takes half the time it takes with
the weights as they lie in a checkpoint. Does not know: what the layers are for.

The layout is reached through operators that torch keeps for its own compiler. Where a build of torch has none of
them, and wherever there are gradients, many rows, another device or another precision, the plain product is taken.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2t2_cli.modeling.common import DerivedWeight

# From here on the plain product is as fast; the packed weights were laid out for fewer rows.
_FEW_ROWS = 128


class PackedProduct:
    """`F.linear` with one weight, whose packed form is kept for when the rows are few."""

    def __init__(self) -> None:
        self._packed = DerivedWeight(_pack)

    def __call__(self, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(..., width in), (width out, width in), (width out,) -> (..., width out)."""
        if torch.is_grad_enabled():
            self._packed.forget()
        if _PRODUCT is None or not _is_small_inference(states):
            return F.linear(states, weight, bias)
        product: Tensor = _PRODUCT(states, self._packed(weight), bias, "none", [], "")
        return product


class PackedLinear(nn.Linear):
    """`nn.Linear`, faster for few rows on a CPU; the same parameters under the same names."""

    def __init__(self, width_in: int, width_out: int, *, bias: bool = True) -> None:
        super().__init__(width_in, width_out, bias=bias)
        self._product = PackedProduct()

    def forward(self, states: Tensor) -> Tensor:
        """(..., width in) -> (..., width out)."""
        return self._product(states, self.weight, self.bias)


def _is_small_inference(states: Tensor) -> bool:
    return (
        states.dtype == torch.float32
        and states.device.type == "cpu"
        and not torch.is_grad_enabled()
        and states.numel() <= _FEW_ROWS * states.shape[-1]
        and not torch.is_autocast_enabled("cpu")
    )


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, 5)
    return packed


def _find_product() -> Any:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    known = all(hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight"))
    return torch.ops.mkldnn._linear_pointwise.default if known else None


_PRODUCT = _find_product()
