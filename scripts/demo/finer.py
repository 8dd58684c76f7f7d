"""Shorter frames for a trained wav2vec 2.0 encoder, without training: `python scripts/demo/finer.py CHECKPOINT`.

A frame of 40 ms is cheap to train, but what is understood then depends on where within a frame a clip begins: of clips
that lose 20 ms at the front one in nine became another sentence. With `--halvings 2` the strided convolutions take
steps a quarter as long, from the last one up, and the layers behind keep their reach: the old frames are all there,
with three new ones after each, and attention hears the sound at four phases instead of one. BLEU stays what it was.

`--undo` gives back the long frames, which learn eight times faster: what `scripts/recipe.py` starts from.

Knows: the published layout. Does not know: how the weights were trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from network import encoder_config
from safetensors.torch import load_file
from torch import Tensor

from s2t2_cli.checkpoint.safetensor_files import write_safetensors
from s2t2_cli.configuration.base import read_json_object, write_json_object

WEIGHTS, CONFIG = "model.safetensors", "config.json"
CONVOLUTION = "encoder.feature_extractor.conv_layers.{}.conv.weight"
POSITIONS = "encoder.encoder.pos_conv_embed.conv"
STRETCHED = ("num_conv_pos_embeddings", "mask_time_length")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a folder in the published layout; it is changed")
    parser.add_argument("--halvings", type=int, default=2, help="how often a frame's length is halved")
    parser.add_argument("--undo", action="store_true", help="as often doubled instead, back to what was trained")
    options = parser.parse_args()
    change = coarser if options.undo else finer
    config = read_json_object(options.checkpoint / CONFIG)
    weights, encoder = change(load_file(options.checkpoint / WEIGHTS), config["encoder"], options.halvings)
    write_safetensors(weights, options.checkpoint / WEIGHTS)
    write_json_object(options.checkpoint / CONFIG, config | {"encoder": encoder})


def finer(
    weights: Mapping[str, Tensor], encoder: Mapping[str, Any], halvings: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and encoder configuration with frames of half the length, `halvings` times over.

    Raises ValueError where the strides hold fewer factors of two.
    """
    weights, kernels = dict(weights), list(encoder["conv_kernel"])
    strides, factor = _shorter(encoder["conv_stride"], halvings), 2**halvings
    spread = 1
    for layer, (before, after) in enumerate(zip(encoder["conv_stride"], strides, strict=True)):
        name = CONVOLUTION.format(layer)
        weights[name] = _spread(weights[name], spread)
        kernels[layer] = weights[name].shape[-1]
        spread *= before // after
    length, direction = f"{POSITIONS}.weight_g", f"{POSITIONS}.weight_v"
    wide = _kernel(weights[length], weights[direction]).repeat_interleave(factor, dim=2) / factor
    weights[length], weights[direction] = _normalised(wide, weights[length].dtype)
    changed = {"conv_stride": strides, "conv_kernel": kernels, **{name: encoder[name] * factor for name in STRETCHED}}
    return weights, {**encoder, **changed}


def coarser(
    weights: Mapping[str, Tensor], encoder: Mapping[str, Any], doublings: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `finer` was given, from what it gave.

    Raises ValueError where the frames of a network of ours were not halved so often.
    """
    strides = list(encoder_config().conv_stride)
    if _shorter(strides, doublings) != list(encoder["conv_stride"]):
        raise ValueError(f"frames with the strides {encoder['conv_stride']} have not been halved {doublings} times")
    weights, kernels, factor = dict(weights), list(encoder["conv_kernel"]), 2**doublings
    spread = 1
    for layer, (before, after) in enumerate(zip(strides, encoder["conv_stride"], strict=True)):
        name = CONVOLUTION.format(layer)
        weights[name] = weights[name][..., ::spread].contiguous()
        kernels[layer] = weights[name].shape[-1]
        spread *= before // after
    length, direction = f"{POSITIONS}.weight_g", f"{POSITIONS}.weight_v"
    wide = _kernel(weights[length], weights[direction])
    weights[length], weights[direction] = _normalised(wide[..., ::factor] * factor, weights[length].dtype)
    changed = {"conv_stride": strides, "conv_kernel": kernels, **{name: encoder[name] // factor for name in STRETCHED}}
    return weights, {**encoder, **changed}


def _shorter(strides: list[int], halvings: int) -> list[int]:
    """The strides with so many factors of two less, taken from the last ones."""
    shorter = list(strides)
    for layer in reversed(range(len(shorter))):
        while halvings and shorter[layer] % 2 == 0:
            shorter[layer] //= 2
            halvings -= 1
    if halvings:
        raise ValueError(f"the strides {strides} cannot be halved so often")
    return shorter


def _spread(kernel: Tensor, by: int) -> Tensor:
    """(out, in, taps) with zeros between, so that the taps lie `by` times as far apart."""
    spread = torch.zeros(*kernel.shape[:-1], (kernel.shape[-1] - 1) * by + 1, dtype=kernel.dtype)
    spread[..., ::by] = kernel
    return spread


def _kernel(length: Tensor, direction: Tensor) -> Tensor:
    """The positional convolution, weight-normalised over its places (dim 2)."""
    return length.float() * direction.float() / direction.float().norm(dim=(0, 1), keepdim=True)


def _normalised(kernel: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Length and direction of a kernel."""
    return kernel.norm(dim=(0, 1), keepdim=True).to(dtype), kernel.to(dtype).contiguous()


if __name__ == "__main__":
    main()
