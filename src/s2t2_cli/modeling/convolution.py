"""The convolutional front of wav2vec 2.0: waveform in, one vector every 20 ms out.

Knows: how to lay a batch of waveforms out so that each layer is one or two matrix products.
Does not know: the Transformer behind it, masks, sampling rates.

Activations are channels-last, (positions, channels), so that a window of consecutive positions is one contiguous
row of memory: a strided convolution is then a matrix product on a strided view, with no copy of the windows, and
the layer norm runs along the contiguous axis. The utterances of a batch lie end to end in one long signal, each
starting at a multiple of the total stride, so every layer treats the batch as one signal; the few positions whose
windows reach over an utterance's end are computed and never read.
"""

from __future__ import annotations

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

    def forward(self, signal: Tensor, starts: list[int], length: int) -> Tensor:
        """(positions, channels in) -> (positions out, channels out).

        `starts` and `length` say where the utterances' own outputs lie, for the one norm that looks along time.
        """
        states = self._convolve(signal)
        if isinstance(self.layer_norm, nn.GroupNorm):
            rows = torch.cat([states[start : start + length] for start in starts]).view(len(starts), length, -1)
            rows = self.layer_norm(rows.transpose(1, 2)).transpose(1, 2)
            states = states.clone()
            for start, row in zip(starts, rows, strict=True):
                states[start : start + length] = row
        else:
            states = self.layer_norm(states)
        return self.activation(states)

    def _convolve(self, signal: Tensor) -> Tensor:
        positions, channels = signal.shape
        outputs = (positions - self.kernel) // self.stride + 1
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
            result = F.linear(windows, piece, self.conv.bias) if result is None else result.addmm_(windows, piece.t())
        assert result is not None  # a kernel has at least one piece
        return result


class FeatureEncoder(nn.Module):
    """The stack of convolutions (`feature_extractor` in the checkpoints)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.config = config
        self.conv_layers = nn.ModuleList(ConvLayer(config, index) for index in range(len(config.conv_dim)))

    def forward(self, input_values: Tensor) -> Tensor:
        """(batch, samples) -> (batch, frames, channels); frames = `config.frames(samples)`, which must be above 0."""
        batch, samples = input_values.shape
        pitch = -(-samples // self.config.hop_samples) * self.config.hop_samples
        states = F.pad(input_values, (0, pitch - samples)).reshape(-1, 1)
        geometry = zip(self.conv_layers, self.config.conv_kernel, self.config.conv_stride, strict=True)
        for layer, kernel, stride in geometry:
            samples = (samples - kernel) // stride + 1
            pitch //= stride
            states = layer(states, [one * pitch for one in range(batch)], samples)
        return torch.stack([states[one * pitch : one * pitch + samples] for one in range(batch)])
