"""A model in 8-bit integers, for the CPU.

Knows: which layers become integers, how a weight does with a scale for each output, torch's products of such weights
with activations that are quantised as they come, and what is computed in bfloat16 beside them. Does not know: how a
model uses its layers, where the cache lies (checkpoint).

Weights are symmetric in [-127, 127]. Activations get their 8 bits where the processor adds products in 32 bits
(VNNI), else 7: without it pairs of products are added in 16 bits, which 8 would overflow. What is no large linear layer
stays in floating point; of that the encoder's convolutions and attention, half of the time that is left, are bfloat16
where the processor multiplies that in tiles (AMX): it adds a twentieth to the error that the integers make. So what is
said may differ by a word from one kind of processor to another.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from s2t2_cli.checkpoint import Checkpoint
from s2t2_cli.checkpoint.copies import kept_copy
from s2t2_cli.checkpoint.safetensor_files import read_safetensors
from s2t2_cli.modeling.common import DerivedWeight
from s2t2_cli.modeling.wav2vec2 import EncoderLayer, Wav2Vec2Model

# The layers that hold 95 % of the weights of a full-size model.
_QUANTIZED = re.compile(
    r"encoder\.encoder\.layers\.\d+\.(attention\.(q|k|v|out)_proj|feed_forward\.(intermediate|output)_dense)"
    r"|decoder\.model\.decoder\.layers\.\d+\.fc[12]|decoder\.lm_head"
)
_SCALE = "weight_scale"
_HAS_VNNI = bool(torch.cpu._is_vnni_supported())
_HAS_AMX = bool(torch.cpu._is_amx_tile_supported())
# oneDNN takes half of FBGEMM's time for the encoder where it finds VNNI or AMX. For the few rows of a decoder step
# FBGEMM, torch's own choice (None), takes two thirds of oneDNN's, and where there is neither it is faster everywhere.
_LIBRARY_FOR_MANY_ROWS = "onednn" if _HAS_VNNI and "onednn" in torch.backends.quantized.supported_engines else None
_WARNINGS = threading.Lock()  # the filters are the process's


class QuantizedLinear(nn.Module):
    """`nn.Linear` with `weight` (out, in) int8 and `weight_scale` (out,): the weight is their product, row by row."""

    def __init__(self, width_in: int, width_out: int, *, bias: bool) -> None:
        super().__init__()
        self.weight: Tensor
        self.weight_scale: Tensor
        self.register_buffer("weight", torch.empty((width_out, width_in), dtype=torch.int8))
        self.register_buffer("weight_scale", torch.empty(width_out))
        self.bias: nn.Parameter | None
        self.register_parameter("bias", nn.Parameter(torch.empty(width_out)) if bias else None)
        self._packed = DerivedWeight(_pack)

    def forward(self, states: Tensor) -> Tensor:
        """(..., width in) float32 -> (..., width out) float32."""
        product: Tensor = torch.ops.quantized.linear_dynamic(states, self.pack(), reduce_range=not _HAS_VNNI)
        return product

    @torch.no_grad()
    def pack(self) -> object:
        """The weights in the order in which the product reads them, kept from the first call on."""
        return self._packed(self.weight, self.weight_scale, *(() if self.bias is None else (self.bias,)))


def use_quantized_linears(network: nn.Module) -> None:
    """Put a QuantizedLinear in the place of each linear layer that is to be one; weights are loaded afterwards."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear) and _QUANTIZED.fullmatch(name):
            owner, _, last = name.rpartition(".")
            with torch.device(module.weight.device):
                layer = QuantizedLinear(module.in_features, module.out_features, bias=module.bias is not None)
            setattr(network.get_submodule(owner), last, layer)


def use_bfloat16_between(encoder: Wav2Vec2Model) -> None:
    """Convert what stands between the linear layers, where the processor is faster at it; after weights were loaded."""
    if _HAS_AMX:
        encoder.feature_extractor.bfloat16()
        encoder.encoder.pos_conv_embed.bfloat16()
        for layer in encoder.encoder.layers:
            cast("EncoderLayer", layer).attention.precision = torch.bfloat16


def pack_quantized_linears(encoder: nn.Module, decoder: nn.Module) -> None:
    """Pack all layers now, several at once: torch packs a layer in one thread, which takes as long as to use it for
    seconds of audio."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for part, library in ((encoder, _LIBRARY_FOR_MANY_ROWS), (decoder, None)):
            layers = [module for module in part.modules() if isinstance(module, QuantizedLinear)]
            with packing_for(library):
                for _ in pool.map(QuantizedLinear.pack, layers):
                    pass


@contextmanager
def packing_for(library: str | None) -> Iterator[None]:
    """What is packed meanwhile is for this one of torch's libraries, None: for the one that torch would take."""
    usual = torch.backends.quantized.engine
    torch.backends.quantized.engine = library or usual
    try:
        yield
    finally:
        torch.backends.quantized.engine = usual


def read_quantized(checkpoint: Checkpoint, read: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors that `read` returns for the checkpoint, quantised; from the cache, where they are there already."""
    copy = kept_copy("int8", checkpoint.weights, lambda: quantize_tensors(read()))
    return quantize_tensors(read()) if copy is None else read_safetensors(copy)


def quantize_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, those of layers that are to be quantised as integers and scales.

    Scales are the greatest magnitude of each output's weights, divided by 127; all else becomes float32.
    """
    quantized: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and _QUANTIZED.fullmatch(layer):
            weight = tensor.float()
            scale = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / 127
            quantized[name] = (weight / scale[:, None]).round().to(torch.int8)
            quantized[f"{layer}.{_SCALE}"] = scale
        else:
            quantized[name] = tensor.float() if tensor.is_floating_point() else tensor
    return quantized


def _pack(weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> object:
    zero = torch.zeros(len(scale), dtype=torch.int64)
    with _WARNINGS, warnings.catch_warnings():  # torch means to give up its quantised tensors, and says so at each use
        warnings.simplefilter("ignore")
        joined = torch._make_per_channel_quantized_tensor(weight, scale.double(), zero, 0)
    return torch.ops.quantized.linear_prepack(joined, None if bias is None else bias.detach())
