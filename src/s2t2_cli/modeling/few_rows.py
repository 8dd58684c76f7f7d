"""Linear layers for a handful of rows, which is what a decoder step multiplies with every weight.

Knows: two ways in which a product of five rows takes half the time of the plain one. Turned round, the weights are the
left factor and the rows are what is narrow, which the matrix libraries are quicker at on processors without AVX-512; it
costs no memory. The block layout of oneDNN is a copy of the weights, and pays where the output is wide, for more rows
than that. Does not know: what the layers are for.

The block layout is reached through operators that torch keeps for its own compiler. Where a build of torch has none of
them, and wherever there are gradients, many rows, another device or another precision, the plain product is taken.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2t2_cli.modeling.common import DerivedWeight

# From these numbers of rows on the plain product is as fast.
_FEW_TURNED, _FEW_PACKED = 64, 128
# With AVX-512 the plain product of five rows is the faster one: 63 µs against 203 for 2048 x 256 (Xeon of 2023); with
# AVX2 it takes twice the time of the turned one (EPYC of 2021).
_TURNS = torch.backends.cpu.get_cpu_capability() != "AVX512"


class TurnedLinear(nn.Linear):
    """`nn.Linear`, faster for few rows on a CPU without AVX-512."""

    def forward(self, states: Tensor) -> Tensor:
        """(..., width in) -> (..., width out)."""
        return turned_product(states, self.weight, self.bias)


class PackedLinear(nn.Linear):
    """`nn.Linear`, faster for few rows on a CPU, where the output is wide; keeps a copy of its weights."""

    def __init__(self, width_in: int, width_out: int, *, bias: bool = True) -> None:
        super().__init__(width_in, width_out, bias=bias)
        self._packed = DerivedWeight(_pack)

    def forward(self, states: Tensor) -> Tensor:
        """(..., width in) -> (..., width out)."""
        if torch.is_grad_enabled():
            self._packed.forget()
        if _PRODUCT is None or not _are_few(states, _FEW_PACKED):
            return F.linear(states, self.weight, self.bias)
        product: Tensor = _PRODUCT(states, self._packed(self.weight), self.bias, "none", [], "")
        return product


def turned_product(states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`F.linear`: (..., width in), (width out, width in), (width out,) -> (..., width out)."""
    if not (_TURNS and _are_few(states, _FEW_TURNED)):
        return F.linear(states, weight, bias)
    columns = torch.mm(weight, states.reshape(-1, states.shape[-1]).t())
    product = states.new_empty(columns.shape[::-1])
    torch.add(columns.t(), bias, out=product)  # turns back and adds in one pass over the memory
    return product.view(*states.shape[:-1], -1)


def _are_few(states: Tensor, most: int) -> bool:
    return (
        states.dtype == torch.float32
        and states.device.type == "cpu"
        and not torch.is_grad_enabled()
        and states.numel() <= most * states.shape[-1]
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
