"""The Speech2Text2 decoder (arXiv 2104.06678, section 3.2): a post-norm Transformer over sub-word ids.

Knows: token ids in, logits out; with or without encoder states; several hypotheses of one utterance share its states;
loading and saving it alone, as a language model. Does not know: text, audio, how the next token is chosen.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2t2_cli.checkpoint import Checkpoint, load_weights, read_tensors, resolve_checkpoint, save_weights
from s2t2_cli.configuration import CONFIG_NAME, Speech2Text2Config, read_json_object, write_json_object
from s2t2_cli.errors import ConfigurationError
from s2t2_cli.modeling.cache import DecoderCache
from s2t2_cli.modeling.common import (
    ACTIVATION_FUNCTIONS,
    DerivedWeight,
    ModelOutput,
    initialise_linear,
    merge_heads,
    split_heads,
)
from s2t2_cli.modeling.few_rows import PackedLinear, TurnedLinear, turned_product


@dataclass
class CausalLMOutput(ModelOutput):
    """`loss` scalar, if labels were given; `logits` (rows, length, vocabulary); `past_key_values`, if asked for;
    `hidden_states`, one (rows, length, d_model) before the first and after each layer, if asked for."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: DecoderCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class SinusoidalPositions(nn.Module):
    """Fixed positions, [sines | cosines]; row `padding_idx` is zero and the first token stands in the row after it."""

    weights: Tensor

    def __init__(self, positions: int, width: int, padding_idx: int) -> None:
        super().__init__()
        self.width, self.padding_idx = width, padding_idx
        self.register_buffer("weights", self.table(positions + padding_idx + 1))

    def table(self, rows: int) -> Tensor:
        """(rows, width); wavelengths grow geometrically, the divisor of the exponent is half the width less one."""
        half = self.width // 2
        # On the CPU even where the rest is being built on the meta device: nothing else holds these values.
        steps = torch.arange(max(half, rows), dtype=torch.float32, device="cpu")
        frequencies = torch.exp(steps[:half] * -(math.log(10_000) / (half - 1)))
        angles = steps[:rows, None] * frequencies[None, :]
        weights = torch.cat([angles.sin(), angles.cos()], dim=1)
        weights[self.padding_idx] = 0
        return weights

    def forward(self, input_ids: Tensor, past_length: int) -> Tensor:
        """(rows, length) ids -> (rows, length, width). Pads stand in the zero row and are not counted."""
        real = input_ids.ne(self.padding_idx)
        index = (real.cumsum(1) + past_length) * real + self.padding_idx
        needed = self.padding_idx + 1 + past_length + input_ids.shape[1]
        if needed > self.weights.shape[0]:
            self.weights = self.table(needed).to(self.weights)
        positions: Tensor = self.weights[index]
        return positions


class DecoderAttention(nn.Module):
    """Multi-head attention, biases on all projections."""

    def __init__(self, config: Speech2Text2Config) -> None:
        super().__init__()
        width = config.d_model
        self.heads, self.dropout = config.decoder_attention_heads, config.attention_dropout
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (TurnedLinear(width, width) for _ in range(4))
        self._joined_weight, self._joined_bias = DerivedWeight(_joined), DerivedWeight(_joined)

    def queries(self, states: Tensor) -> Tensor:
        """(batch, length, d_model) -> queries (batch, heads, length, head_dim)."""
        return split_heads(self.q_proj(states), self.heads)

    def keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, length, d_model) -> keys and values (batch, heads, length, head_dim)."""
        return split_heads(self.k_proj(states), self.heads), split_heads(self.v_proj(states), self.heads)

    def queries_keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (rows, heads, length, head_dim), and keys and values (2, rows, heads, length, head_dim), of the same
        states by one product: a decoder step is made of small ones."""
        weight = self._joined_weight(self.q_proj.weight, self.k_proj.weight, self.v_proj.weight)
        bias = self._joined_bias(self.q_proj.bias, self.k_proj.bias, self.v_proj.bias)
        rows, length, _ = states.shape
        joined = turned_product(states, weight, bias).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return joined[0], joined[1:]

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, causal: bool = False
    ) -> Tensor:
        """Queries (batch, heads, length, head_dim) -> (batch, length, d_model); `mask` bool, True where attention may
        look."""
        dropout = self.dropout if self.training else 0.0
        context = F.scaled_dot_product_attention(query, keys, values, mask, dropout, is_causal=causal)
        attended: Tensor = self.out_proj(merge_heads(context))
        return attended


def _joined(*parts: Tensor) -> Tensor:
    return torch.cat(parts)


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder if there is one, feed-forward; a LayerNorm behind each residual."""

    def __init__(self, config: Speech2Text2Config) -> None:
        super().__init__()
        width = config.d_model
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout
        self.activation = ACTIVATION_FUNCTIONS[config.activation_function]
        self.self_attn = DecoderAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn: DecoderAttention | None = None
        if config.add_cross_attention:
            self.encoder_attn = DecoderAttention(config)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = PackedLinear(width, config.decoder_ffn_dim)
        self.fc2 = TurnedLinear(config.decoder_ffn_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(
        self,
        states: Tensor,
        index: int,
        cache: DecoderCache | None,
        memory: EncoderMemory | None,
        mask: Tensor | None,
    ) -> Tensor:
        """(rows, length, d_model) -> the same shape. `mask` None means causal among the new positions."""
        rows, length, width = states.shape
        query, new = self.self_attn.queries_keys_values(states)
        keys, values = (new if cache is None else cache.append(index, new)).unbind()
        causal = mask is None and length > 1
        states = self._add(states, self.self_attn.attend(query, keys, values, mask, causal=causal))
        states = self.self_attn_layer_norm(states)
        if memory is not None and self.encoder_attn is not None:
            keys, values = memory.keys_values(index, self.encoder_attn, cache)
            # All hypotheses of an utterance are so many queries to the same keys: nothing is repeated for them.
            queries = self.encoder_attn.queries(states.reshape(keys.shape[0], -1, width))
            context = self.encoder_attn.attend(queries, keys, values, memory.mask).view(rows, length, width)
            states = self.encoder_attn_layer_norm(self._add(states, context))
        inner = self.activation(self.fc1(states))
        if self.training:
            inner = F.dropout(inner, self.activation_dropout)
        normalised: Tensor = self.final_layer_norm(self._add(states, self.fc2(inner)))
        return normalised

    def _add(self, states: Tensor, change: Tensor) -> Tensor:
        return states + (F.dropout(change, self.dropout) if self.training else change)


@dataclass(frozen=True)
class EncoderMemory:
    """What the decoder attends to: `states` (utterances, frames, d_model), None where a cache already holds their
    keys and values; `mask` (utterances, 1, 1, frames) bool or None."""

    states: Tensor | None
    mask: Tensor | None

    def keys_values(self, layer: int, attention: DecoderAttention, cache: DecoderCache | None) -> tuple[Tensor, Tensor]:
        """This layer's keys and values, computed once for all steps."""
        stored = cache.cross(layer) if cache is not None else None
        if stored is not None:
            return stored
        if self.states is None:
            raise ValueError("encoder states are needed: the cache holds no keys and values of them")
        keys, values = attention.keys_values(self.states)
        if cache is not None:
            cache.store_cross(keys, values)
        return keys, values


class Speech2Text2Decoder(nn.Module):
    """Embeddings, positions and layers; no LayerNorm at the end (post-norm layers end in one)."""

    def __init__(self, config: Speech2Text2Config) -> None:
        super().__init__()
        self.config = config
        self.scale = config.d_model**0.5 if config.scale_embedding else 1.0
        # Given its tensor it is not initialised twice, which on the meta device costs a second of imports.
        tokens = torch.empty(config.vocab_size, config.d_model)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id, _weight=tokens)
        self.embed_positions = SinusoidalPositions(config.max_target_positions, config.d_model, config.pad_token_id)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        memory: EncoderMemory | None,
        cache: DecoderCache | None,
    ) -> list[Tensor]:
        """(rows, length) ids -> states (rows, length, d_model) before the first and after each layer."""
        past_length = cache.length if cache is not None else 0
        states = self.embed_tokens(input_ids) * self.scale + self.embed_positions(input_ids, past_length)
        states = self.dropout(states)
        mask = self_attention_mask(attention_mask, input_ids.shape[1], past_length, input_ids.device)
        history = [states]
        for index, layer in enumerate(self.layers):
            if not (self.training and torch.rand(()) < self.config.decoder_layerdrop):
                states = layer(states, index, cache, memory, mask)
            history.append(states)
        if cache is not None:
            cache.advance(input_ids.shape[1])
        return history


def self_attention_mask(
    attention_mask: Tensor | None, length: int, past_length: int, device: torch.device
) -> Tensor | None:
    """Which positions a new position may see, (rows or 1, 1, length, past + length) bool; None: causal, no padding."""
    if attention_mask is None or bool(attention_mask.all()):
        if length == 1 or past_length == 0:
            return None
        attention_mask = torch.ones((1, past_length + length), device=device)
    causal = torch.ones((length, past_length + length), dtype=torch.bool, device=device).tril(past_length)
    return causal[None, None] & attention_mask.bool()[:, None, None, :]


class Speech2Text2Model(nn.Module):
    """The wrapper whose only use is the published parameter names (`model.decoder.*`)."""

    def __init__(self, config: Speech2Text2Config) -> None:
        super().__init__()
        self.decoder = Speech2Text2Decoder(config)


class Speech2Text2ForCausalLM(nn.Module):
    """The decoder with its output layer; alone it is a causal language model."""

    config_class = Speech2Text2Config

    # The position table is a formula. The reference gives every decoder cross-attention, a language model's too.
    tensors_optional = (r"model\.decoder\.embed_positions\.weights",)
    tensors_ignored: tuple[str, ...] = (r"model\.decoder\.version",)

    def __init__(self, config: Speech2Text2Config) -> None:
        super().__init__()
        self.config = config
        if not config.add_cross_attention:
            self.tensors_ignored = (*self.tensors_ignored, r"model\.decoder\.layers\.\d+\.encoder_attn.*")
        self.model = Speech2Text2Model(config)
        self.lm_head = PackedLinear(config.d_model, config.vocab_size, bias=False)
        self.apply(lambda module: initialise_linear(module, config.init_std))

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | Checkpoint,
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Load a language model from a folder, a hub id or a resolved checkpoint, in evaluation mode, on the CPU.

        `dtype` converts the weights; None keeps what the file holds. Raises ModelError; a whole translation
        checkpoint is refused.
        """
        checkpoint = resolve_checkpoint(
            model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only
        )
        config = language_model_config(checkpoint)
        with torch.device("meta"):
            network = cls(config)
        tensors = fill_in_tied(read_tensors(checkpoint), config)
        load_weights(network, tensors, source=checkpoint.name, dtype=dtype)
        positions = network.model.decoder.embed_positions
        positions.weights = positions.weights.to(network.dtype)
        return network.eval()

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `config.json` and `model.safetensors`, which the reference can load too. Raises OutputError."""
        # Both matrices are in the file, and the reference would let one overwrite the other if they were called tied.
        about = {"architectures": [type(self).__name__], "is_decoder": True, "tie_word_embeddings": False}
        write_json_object(Path(folder) / CONFIG_NAME, {**self.config.to_dict(), **about})
        save_weights(self, folder)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.model.decoder.embed_tokens.weight.dtype

    def new_cache(self) -> DecoderCache:
        """An empty cache, to be passed as `past_key_values`."""
        return DecoderCache(self.config.decoder_layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: DecoderCache | Sequence[tuple[Tensor, ...]] | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool = False,
    ) -> CausalLMOutput:
        """Score every next token.

        `input_ids` (rows, length); `attention_mask` (rows, past + length), 0 for padding; `encoder_hidden_states`
        (utterances, frames, d_model) with `encoder_attention_mask` (utterances, frames), where rows is a multiple of
        utterances and the rows of an utterance are neighbours; `past_key_values` of an earlier call (a DecoderCache
        is extended in place); `labels` (rows, length), -100 ignored, compared with the logits position by position,
        not shifted (reference behaviour). Cross-attention is skipped where there are no encoder states; ValueError
        where there are some and the model was built without it.
        """
        if encoder_hidden_states is not None and not self.config.add_cross_attention:
            raise ValueError("encoder states were given to a decoder without cross-attention (a language model)")
        cache = past_key_values
        if cache is not None and not isinstance(cache, DecoderCache):
            cache = DecoderCache.from_tuples(cache)
        if use_cache is None:
            # A cache is written in place, which would spoil what the backward pass needs.
            use_cache = self.config.use_cache and not torch.is_grad_enabled()
        if cache is None and use_cache:
            cache = self.new_cache()
        memory = None
        if encoder_hidden_states is not None or (cache is not None and cache.cross(0) is not None):
            mask = encoder_attention_mask
            memory = EncoderMemory(encoder_hidden_states, None if mask is None else mask.bool()[:, None, None, :])
        history = self.model.decoder(input_ids, attention_mask, memory, cache)
        logits = self.lm_head(history[-1])
        loss = None if labels is None else token_loss(logits, labels)
        return CausalLMOutput(loss, logits, cache, tuple(history) if output_hidden_states else None)


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of (rows, length, vocabulary) logits against (rows, length) labels, -100 ignored."""
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def language_model_config(checkpoint: Checkpoint) -> Speech2Text2Config:
    """The configuration of a decoder that stands alone. Raises ConfigurationError where it is something else."""
    values: dict[str, Any] = read_json_object(checkpoint.folder / CONFIG_NAME)
    name, found = checkpoint.name, values.get("model_type")
    if "encoder" in values:
        raise ConfigurationError(f"{name} translates speech and is no language model: s2t2 train-lm makes one")
    if found != Speech2Text2Config.model_type:
        raise ConfigurationError(
            f"{name} is no Speech2Text2 language model (its model_type is {found!r}): s2t2 train-lm makes one"
        )
    return Speech2Text2Config.from_dict(values)


def fill_in_tied(tensors: Mapping[str, Tensor], config: Speech2Text2Config, prefix: str = "") -> dict[str, Tensor]:
    """The tensors, and of a tied pair of which one is there the other too; where both are, both stay.

    `prefix` is where the decoder's names start.
    """
    filled = dict(tensors)
    pair = (f"{prefix}lm_head.weight", f"{prefix}model.decoder.embed_tokens.weight")
    if config.tie_word_embeddings:
        for missing, twin in (pair, pair[::-1]):
            if missing not in filled and twin in filled:
                filled[missing] = filled[twin]
    return filled
