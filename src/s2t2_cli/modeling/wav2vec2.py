"""The wav2vec 2.0 encoder (arXiv 2006.11477): normalised waveform in, contextual states out.

Knows: layer-norm and group-norm fronts, pre-norm ("stable") and post-norm layers, the optional adapter, padding,
and what training hides (which spans: masking). Does not know: how audio was decoded or normalised, the decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2t2_cli.configuration import Wav2Vec2Config
from s2t2_cli.errors import AudioTooShortError
from s2t2_cli.modeling.common import (
    ACTIVATION_FUNCTIONS,
    DerivedWeight,
    ModelOutput,
    initialise_linear,
    merge_heads,
    split_heads,
)
from s2t2_cli.modeling.convolution import FeatureEncoder
from s2t2_cli.modeling.layout import Layout, even, ragged
from s2t2_cli.modeling.masking import span_mask


@dataclass
class Wav2Vec2Output(ModelOutput):
    """`last_hidden_state` (batch, frames, width); `extract_features` (batch, conv frames, conv channels), normalised;
    `hidden_states`, one (batch, conv frames, hidden) before the first and after each layer, if asked for."""

    last_hidden_state: Tensor
    extract_features: Tensor
    hidden_states: tuple[Tensor, ...] | None = None


class FeatureProjection(nn.Module):
    """Convolution channels to the width of the Transformer: LayerNorm, then Linear."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.conv_dim[-1], eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = nn.Dropout(config.feat_proj_dropout)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(frames, channels) -> projected (frames, hidden), and the normalised features."""
        normalised = self.layer_norm(features.to(self.layer_norm.weight.dtype))
        return self.dropout(self.projection(normalised)), normalised


# Of narrower groups oneDNN 3.12 makes nonsense in bfloat16, on processors with AMX (seen with 4, 8 and 12 channels).
_NARROWEST_GROUP = 16


class WeightNormConv1d(nn.Module):
    """A convolution with weight = g * v / ||v||, the norm taken for each kernel position (dimension 2).

    Parameters carry the published names `weight_g` (1, 1, kernel) and `weight_v` (out, in / groups, kernel).
    """

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups, self.padding = groups, kernel // 2
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight_v = nn.Parameter(torch.empty(width, width // groups, kernel))
        self.weight_g = nn.Parameter(torch.empty(1, 1, kernel))
        self._scale = DerivedWeight(_scale_by_position)

    def reset_parameters(self) -> None:
        """The reference's start: normal with variance 4 / (kernel * width), g = ||v||."""
        width, _, kernel = self.weight_v.shape
        nn.init.normal_(self.weight_v, std=2 / (kernel * width) ** 0.5)
        nn.init.zeros_(self.bias)
        with torch.no_grad():
            self.weight_g.copy_(_norm_by_position(self.weight_v))

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """(frames, width) -> the same shape; an even kernel's last frame is dropped."""
        scale = self._scale(self.weight_v, self.weight_g)
        # A few groups at a time: all of the scaled weight would be another 33 MB for as long as the model lives.
        pieces = math.gcd(self.groups, 4)
        parts = zip(states.chunk(pieces, dim=1), self.weight_v.chunk(pieces), self.bias.chunk(pieces), strict=True)
        convolved = [
            layout.along_utterances(partial(self._convolve, weight_v * scale, bias, self.groups // pieces), part)
            for part, weight_v, bias in parts
        ]
        return torch.cat(convolved, dim=1)

    def _convolve(self, weight: Tensor, bias: Tensor, groups: int, states: Tensor) -> Tensor:
        """(batch, frames, width) -> the same shape."""
        if states.dtype == torch.bfloat16 and states.device.type == "cpu" and weight.shape[1] < _NARROWEST_GROUP:
            return self._convolve(weight.float(), bias.float(), groups, states.float()).to(states.dtype)
        convolved = F.conv1d(states.transpose(1, 2), weight, bias, padding=self.padding, groups=groups)
        return convolved[:, :, : states.shape[1]].transpose(1, 2)


def _norm_by_position(weight_v: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(weight_v, dim=(0, 1), keepdim=True)
    return norm


def _scale_by_position(weight_v: Tensor, weight_g: Tensor) -> Tensor:
    return weight_g / _norm_by_position(weight_v)


class PositionalConvEmbedding(nn.Module):
    """Relative positions by a wide grouped convolution."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.conv = WeightNormConv1d(
            config.hidden_size, config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
        )
        self.activation = ACTIVATION_FUNCTIONS[config.feat_extract_activation]

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """(frames, hidden) -> the same shape, to be added to the states; computed in the precision of the weights."""
        return self.activation(self.conv(states.to(self.conv.weight_v.dtype), layout)).to(states.dtype)


class EncoderAttention(nn.Module):
    """Multi-head self-attention, biases on all projections."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads, self.dropout = config.num_attention_heads, config.attention_dropout
        self.precision: torch.dtype | None = None  # of the attention itself; None: of what is projected
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(width, width)

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """(frames, hidden) -> the same; frames of one utterance attend to each other."""
        queries, keys, values = self.q_proj(states), self.k_proj(states), self.v_proj(states)

        def attend(*utterances: Tensor) -> Tensor:
            given = utterances[0].dtype
            query, key, value = (split_heads(one.to(self.precision or given), self.heads) for one in utterances)
            dropout = self.dropout if self.training else 0.0
            return merge_heads(F.scaled_dot_product_attention(query, key, value, layout.mask, dropout)).to(given)

        attended: Tensor = self.out_proj(layout.along_utterances(attend, queries, keys, values))
        return attended


class FeedForward(nn.Module):
    """Linear, activation, Linear."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.intermediate_dropout = nn.Dropout(config.activation_dropout)
        self.output_dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, states: Tensor) -> Tensor:
        """(frames, hidden) -> the same shape."""
        inner = self.intermediate_dropout(self.activation(self.intermediate_dense(states)))
        outer: Tensor = self.output_dropout(self.output_dense(inner))
        return outer


class EncoderLayer(nn.Module):
    """One Transformer layer; `stable` puts the norms before the sub-layers instead of behind their residuals."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.stable = config.do_stable_layer_norm
        self.attention = EncoderAttention(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """(frames, hidden) -> the same."""
        if self.stable:
            states = states + self.dropout(self.attention(self.layer_norm(states), layout))
            states = states + self.feed_forward(self.final_layer_norm(states))
        else:
            states = self.layer_norm(states + self.dropout(self.attention(states, layout)))
            states = self.final_layer_norm(states + self.feed_forward(states))
        return states


class TransformerEncoder(nn.Module):
    """Positions, layers, and the LayerNorm that comes last (stable) or first (post-norm)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.config = config
        self.pos_conv_embed = PositionalConvEmbedding(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, states: Tensor, layout: Layout, history: list[Tensor] | None = None) -> Tensor:
        """(frames, hidden) -> the same; `history` gets the states before the first and after each layer, as asked for:
        the large model's take 300 MB for a minute of speech."""
        if layout.mask is not None:
            states = states * layout.mask.flatten()[:, None]
        states = states + self.pos_conv_embed(states, layout)
        if not self.config.do_stable_layer_norm:
            states = self.layer_norm(states)
        states = self.dropout(states)
        for layer in self.layers:
            if history is not None:
                history.append(states)
            if not (self.training and torch.rand(()) < self.config.layerdrop):
                states = layer(states, layout)
        if self.config.do_stable_layer_norm:
            states = self.layer_norm(states)
        if history is not None:
            history.append(states)
        return states


class AdapterLayer(nn.Module):
    """A strided convolution with a gated linear unit: the sequence gets shorter by its stride."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        width = config.width
        self.conv = nn.Conv1d(width, 2 * width, config.adapter_kernel_size, config.adapter_stride, padding=1)

    def forward(self, states: Tensor) -> Tensor:
        """(batch, width, frames) -> (batch, width, fewer frames)."""
        return F.glu(self.conv(states), dim=1)


class Adapter(nn.Module):
    """What XLS-R-like checkpoints put behind the encoder: a projection where widths differ, then strided layers."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.layerdrop = config.layerdrop
        self.proj: nn.Module | None = None
        self.proj_layer_norm: nn.Module | None = None
        if config.width != config.hidden_size:
            self.proj = nn.Linear(config.hidden_size, config.width)
            self.proj_layer_norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(AdapterLayer(config) for _ in range(config.num_adapter_layers))

    def forward(self, states: Tensor) -> Tensor:
        """(batch, frames, hidden) -> (batch, fewer frames, width). Padding is not masked here (reference behaviour)."""
        if self.proj is not None and self.proj_layer_norm is not None:
            states = self.proj_layer_norm(self.proj(states))
        states = states.transpose(1, 2)
        for layer in self.layers:
            if not (self.training and torch.rand(()) < self.layerdrop):
                states = layer(states)
        return states.transpose(1, 2)


class Wav2Vec2Model(nn.Module):
    """The whole encoder, with the published parameter names."""

    config_class = Wav2Vec2Config

    # Serves training only, and is there only where the configuration masks.
    tensors_optional = (r"masked_spec_embed",)
    tensors_ignored = (r"masked_spec_embed",)

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FeatureEncoder(config)
        self.feature_projection = FeatureProjection(config)
        if config.mask_time_prob > 0 or config.mask_feature_prob > 0:
            mask = torch.empty(config.hidden_size)
            self.masked_spec_embed = nn.Parameter(mask if mask.is_meta else mask.uniform_())
        self.encoder = TransformerEncoder(config)
        self.adapter = Adapter(config) if config.add_adapter else None
        self.apply(self._initialise)

    def fill_in_mask_embedding(self) -> None:
        """Random values for what hides masked frames, where the files a model was loaded from have none."""
        mask = getattr(self, "masked_spec_embed", None)
        if mask is not None and mask.is_meta:
            self.masked_spec_embed = nn.Parameter(torch.rand(mask.shape, dtype=self.encoder.layer_norm.weight.dtype))

    def _initialise(self, module: nn.Module) -> None:
        initialise_linear(module, self.config.initializer_range)
        if isinstance(module, nn.Conv1d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, WeightNormConv1d) and not module.weight_v.is_meta:
            module.reset_parameters()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Wav2Vec2Output:
        """Encode waveforms.

        `input_values` (batch, samples) float, normalised, 16 kHz; `attention_mask` (batch, samples), 1 for real
        samples, which must come first. Padding is not computed and comes out as zero (not so with an adapter).
        Raises AudioTooShortError for an utterance of less than one frame (the reference treats such an item as all
        padding's opposite, see `frame_mask`).
        """
        batch, samples = input_values.shape
        lengths = [samples] * batch if attention_mask is None else [int(one) for one in attention_mask.sum(-1).tolist()]
        if self.config.frames(min(lengths)) < 1:
            raise too_short(min(lengths), self.config)
        frames = self.config.frames(samples)
        layout = ragged([self.config.frames(length) for length in lengths])
        if self.adapter is not None and attention_mask is not None:
            # Its convolutions look into the padding (reference behaviour), which is then computed like speech.
            layout = even(batch, frames, frame_mask(list(layout.lengths), frames, attention_mask, self.config))
            lengths = [samples] * batch
        states, normalised = self.feature_projection(self.feature_extractor(input_values, lengths))
        if self.training and self.config.apply_spec_augment:
            states = self._with_spans_hidden(states, layout)
        history: list[Tensor] | None = [] if output_hidden_states else None
        last = layout.padded(self.encoder(states, layout, history), frames)
        if self.adapter is not None:
            last = self.adapter(last)
        all_states = None if history is None else tuple(layout.padded(one, frames) for one in history)
        return Wav2Vec2Output(last, layout.padded(normalised, frames), all_states)

    def _with_spans_hidden(self, states: Tensor, layout: Layout) -> Tensor:
        """Spans of frames replaced by the learned `masked_spec_embed`, then spans of channels by zero.

        (frames, hidden) -> the same shape. Padding is never counted or hidden.
        """
        lengths, width = layout.lengths, states.shape[1]
        if layout.mask is not None:
            lengths = tuple(layout.mask.sum(-1).flatten().tolist())
        config = self.config
        if config.mask_time_prob > 0:
            mask = span_mask(
                lengths, max(layout.lengths),
                prob=config.mask_time_prob, span=config.mask_time_length, least=config.mask_time_min_masks,
            )  # fmt: skip
            hidden = layout.packed(mask)[:, None].to(states.device)
            states = torch.where(hidden, self.masked_spec_embed.to(states.dtype), states)
        if config.mask_feature_prob > 0:
            mask = span_mask(
                [width] * len(lengths), width,
                prob=config.mask_feature_prob, span=config.mask_feature_length, least=config.mask_feature_min_masks,
            )  # fmt: skip
            rows = torch.tensor(layout.lengths)
            states = states.masked_fill(mask.repeat_interleave(rows, dim=0).to(states.device), 0)
        return states

    def reduced_attention_mask(self, attention_mask: Tensor | None, frames: int) -> Tensor | None:
        """The mask of the encoder's output: (batch, samples) -> (batch, frames) bool, or None if all is real.

        The count of real samples goes through the length formula of the convolutions and the adapter.
        """
        if attention_mask is None:
            return None
        counts = [self.config.output_frames(int(samples)) for samples in attention_mask.sum(-1).tolist()]
        return frame_mask(counts, frames, attention_mask, self.config)


def frame_mask(counts: list[int], frames: int, attention_mask: Tensor, config: Wav2Vec2Config) -> Tensor | None:
    """(batch, frames) bool with the first `counts[i]` of row i true; None when every frame is real.

    Raises AudioTooShortError for a row without a frame. The reference sets index -1 there, which makes all of the
    row's padding count as speech.
    """
    if min(counts) < 1:
        raise too_short(int(attention_mask.sum(-1).min()), config)
    if min(counts) >= frames:
        return None
    limits = torch.tensor(counts, device=attention_mask.device)
    return torch.arange(frames, device=attention_mask.device)[None, :] < limits[:, None]


def too_short(samples: int, config: Wav2Vec2Config) -> AudioTooShortError:
    """The error for an utterance below the receptive field."""
    return AudioTooShortError(
        f"the audio has {samples} samples; the encoder needs at least {config.minimum_samples} for one frame"
    )
