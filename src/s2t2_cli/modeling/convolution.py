"""The convolutional front of wav2vec 2.0: waveform in, one vector every 20 ms out.

Knows: how to lay a batch of waveforms out so that each layer is one or two matrix products.
Does not know: the Transformer behind it, masks, sampling rates.

Activations are channels-last, (positions, channels), so that a window of consecutive positions is one contiguous
row of memory: a strided convolution is then a matrix product on a strided view, with no copy of the windows, and
the layer norm runs along the contiguous axis. The utterances of a batch lie end to end in one long signal, without
their padding, each starting at a multiple of the total stride, so every layer treats the batch as one signal; the few
positions whose windows reach over an utterance's end are computed and never read. The signal goes through in stretches:
each frame depends on 25 ms only, a stretch's activations fit the processor's cache, and memory does not grow with the
audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2t2_cli.configuration import Wav2Vec2Config
from s2t2_cli.modeling.common import ACTIVATION_FUNCTIONS, DerivedWeight


class ConvLayer(nn.Module):
    """One convolution with its norm and activation. Parameters: `conv.*`, and `layer_norm.*` where it has a norm."""

    def __init__(self, config: Wav2Vec2Config, index: int) -> None:
        super().__init__()
        width_in = config.conv_dim[index - 1] if index else 1
        width_out = config.conv_dim[index]
        self.kernel, self.stride = config.conv_kernel[index], config.conv_stride[index]
        self.conv = nn.Conv1d(width_in, width_out, self.kernel, self.stride, bias=config.conv_bias)
        if config.feat_extract_norm == "layer":
            self.layer_norm: nn.Module = nn.LayerNorm(width_out)
        elif index == 0:
            self.layer_norm = nn.GroupNorm(width_out, width_out)
        else:
            self.layer_norm = nn.Identity()
        self.activation = ACTIVATION_FUNCTIONS[config.feat_extract_activation]
        # (out, in, kernel) -> (out, kernel * in): the order in which a window's values lie in memory
        self._taps = DerivedWeight(lambda weight: weight.permute(0, 2, 1).reshape(weight.shape[0], -1).contiguous())

    def forward(self, signal: Tensor) -> Tensor:
        """(positions, channels in) -> (positions out, channels out), normalised position by position."""
        return self.activation(self.layer_norm(self.convolve(signal)))

    def output_length(self, length: int) -> int:
        """Positions that come of `length` positions."""
        return (length - self.kernel) // self.stride + 1

    def convolve(self, signal: Tensor) -> Tensor:
        """(positions, channels in) -> (positions out, channels out), the convolution alone."""
        positions, channels = signal.shape
        outputs = self.output_length(positions)
        weight = self._taps(self.conv.weight)
        if channels == 1:
            # Windows of a few samples: copying them is cheaper than products with five columns.
            return F.linear(signal.view(-1).unfold(0, self.kernel, self.stride), weight, self.conv.bias)
        # A product wants rows that do not overlap, so the kernel is cut into pieces of at most one stride.
        result: Tensor | None = None
        for first in range(0, self.kernel, self.stride):
            taps = min(self.stride, self.kernel - first)
            windows = signal.as_strided(
                (outputs, taps * channels),
                (self.stride * channels, 1),
                signal.storage_offset() + first * channels,
            )
            piece = weight[:, first * channels : (first + taps) * channels]
            if result is None:
                result = F.linear(windows, piece, self.conv.bias)
            elif torch.is_autocast_enabled(signal.device.type):  # which converts nothing for what is done in place
                result = result.addmm(windows, piece.t())
            else:
                result = result.addmm_(windows, piece.t())
        assert result is not None  # a kernel has at least one piece
        return result


# Frames that go through all layers together: 1.3 s of audio, 8 MiB of activations at the first layer.
_STRETCH_FRAMES = 64


class FeatureEncoder(nn.Module):
    """The stack of convolutions (`feature_extractor` in the checkpoints)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.config = config
        self.conv_layers = nn.ModuleList(ConvLayer(config, index) for index in range(len(config.conv_dim)))

    def forward(self, input_values: Tensor, lengths: Sequence[int]) -> Tensor:
        """(batch, samples), of which `lengths[i]` count in row i -> (frames of all rows, channels), row after row.

        A row gives `config.frames(lengths[i])` frames, which must be above 0. Computed in the precision of the weights.
        """
        input_values = input_values.to(cast("ConvLayer", self.conv_layers[0]).conv.weight.dtype)
        counts = [self.config.frames(length) for length in lengths]
        if self.config.feat_extract_norm == "group":
            states = self._normalised_over_time(input_values)
            return torch.cat([one[:count] for one, count in zip(states, counts, strict=True)])
        hop = self.config.hop_samples
        pitches = [-(-length // hop) for length in lengths]  # frames from an utterance's start to the next one's
        signal = torch.cat(
            [
                F.pad(row[:length], (0, pitch * hop - length))
                for row, length, pitch in zip(input_values, lengths, pitches, strict=True)
            ]
        )
        states = self._in_stretches(signal[:, None])
        starts = accumulate(pitches[:-1], initial=0)
        return torch.cat([states[start : start + count] for start, count in zip(starts, counts, strict=True)])

    def _in_stretches(self, signal: Tensor) -> Tensor:
        hop, field = self.config.hop_samples, self.config.minimum_samples
        total = self.config.frames(signal.shape[0])
        stretches = []
        for first in range(0, total, _STRETCH_FRAMES):
            last = min(first + _STRETCH_FRAMES, total) - 1
            states = signal[first * hop : last * hop + field]
            for layer in self.conv_layers:
                states = layer(states)
            stretches.append(states)
        return torch.cat(stretches)

    def _normalised_over_time(self, input_values: Tensor) -> Tensor:
        """All at once: the GroupNorm of the first layer looks at the whole of each row, its padding included.

        (batch, samples) -> (batch, frames, channels).
        """
        batch, samples = input_values.shape
        hop = self.config.hop_samples
        frames, pitch = self.config.frames(samples), -(-samples // hop)
        signal = F.pad(input_values, (0, pitch * hop - samples)).reshape(-1, 1)
        first, *others = cast("list[ConvLayer]", list(self.conv_layers))
        length, step = first.output_length(samples), pitch * hop // first.stride
        states = first.convolve(signal)
        rows = torch.stack([states[one * step : one * step + length] for one in range(batch)])
        rows = first.layer_norm(rows.transpose(1, 2)).transpose(1, 2)
        # What lies between the utterances is never read, but the next ones' starts must stay where they are.
        states = first.activation(F.pad(rows, (0, 0, 0, step - length)).reshape(batch * step, -1))
        for layer in others:
            states = layer(states)
        return torch.stack([states[one * pitch : one * pitch + frames] for one in range(batch)])
