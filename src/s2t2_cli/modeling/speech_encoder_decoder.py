"""Encoder, bridge and decoder as one model: waveforms in, logits or generated ids out.

Knows: how the parts join, labels, loading and saving the published layout.
Does not know: audio files, text, hypotheses (generation).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from s2t2_cli.checkpoint import Checkpoint, load_weights, read_tensors, resolve_checkpoint, save_weights
from s2t2_cli.configuration import GenerationConfig, SpeechEncoderDecoderConfig
from s2t2_cli.errors import ConfigurationError
from s2t2_cli.generation import Fusion, GenerationOutput, generate
from s2t2_cli.modeling.cache import DecoderCache
from s2t2_cli.modeling.common import ModelOutput, initialise_linear
from s2t2_cli.modeling.quantized import (
    pack_quantized_linears,
    read_quantized,
    use_bfloat16_between,
    use_quantized_linears,
)
from s2t2_cli.modeling.speech2text2 import Speech2Text2ForCausalLM, fill_in_tied, token_loss
from s2t2_cli.modeling.wav2vec2 import Wav2Vec2Model


@dataclass
class Seq2SeqLMOutput(ModelOutput):
    """`loss` scalar, if labels were given; `logits` (rows, length, vocabulary); `past_key_values`, if asked for;
    `encoder_last_hidden_state` (batch, frames, d_model), after the bridge (reference behaviour);
    `encoder_attention_mask` (batch, frames) bool, None where every frame is real."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: DecoderCache | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_attention_mask: Tensor | None = None


@dataclass
class EncoderOutput(ModelOutput):
    """What the decoder attends to: states after the bridge (batch, frames, d_model), and which frames are real."""

    last_hidden_state: Tensor
    attention_mask: Tensor | None = None


class SpeechEncoderDecoderModel(nn.Module):
    """A wav2vec 2.0 encoder, a linear bridge where the widths differ, and a Speech2Text2 decoder."""

    config_class = SpeechEncoderDecoderConfig

    # The position table is a formula; old files hold it, others need not. The mask embedding serves training only.
    tensors_optional = (r"decoder\.model\.decoder\.embed_positions\.weights", r"encoder\.masked_spec_embed")
    tensors_ignored = (r"encoder\.masked_spec_embed", r"decoder\.model\.decoder\.version")

    def __init__(
        self,
        config: SpeechEncoderDecoderConfig | None = None,
        *,
        encoder: Wav2Vec2Model | None = None,
        decoder: Speech2Text2ForCausalLM | None = None,
        generation_config: GenerationConfig | None = None,
    ) -> None:
        """From a configuration (random weights), or from two models. Raises ConfigurationError without either."""
        super().__init__()
        if config is None:
            if encoder is None or decoder is None:
                raise ConfigurationError("SpeechEncoderDecoderModel needs a config, or both an encoder and a decoder")
            config = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder.config)
        self.config = config
        self.generation_config = generation_config or GenerationConfig.from_model_config(config)
        self.encoder = encoder or Wav2Vec2Model(config.encoder)
        self.decoder = decoder or Speech2Text2ForCausalLM(config.decoder)
        self.enc_to_dec_proj: nn.Linear | None = None
        if config.has_bridge:
            self.enc_to_dec_proj = nn.Linear(config.encoder.width, config.decoder.d_model)
            initialise_linear(self.enc_to_dec_proj, config.encoder.initializer_range)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | Checkpoint,
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        dtype: torch.dtype | None = None,
        config: SpeechEncoderDecoderConfig | None = None,
    ) -> Self:
        """Load a folder, a hub id or a resolved checkpoint, in evaluation mode, on the CPU, weights memory-mapped.

        `dtype` converts the weights; None keeps what the file holds; int8 quantises the large linear layers, once (the
        integers are kept in the cache), and computes the rest in floating point, on the CPU alone. `config` stands in
        for the checkpoint's own, as training needs it that masks and drops otherwise. Where a file holds both the
        output layer and the input embedding both are loaded, whatever `tie_word_embeddings` says: the published models
        are untied although the decoder's configuration claims otherwise. Raises ModelError.
        """
        checkpoint = resolve_checkpoint(
            model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only
        )
        config = config or SpeechEncoderDecoderConfig.from_pretrained(checkpoint.folder)
        settings = checkpoint.read_json("generation_config.json")
        with torch.device("meta"):
            network = cls(config)
        if settings is not None:
            network.generation_config = GenerationConfig.from_dict(settings)

        def read() -> dict[str, Tensor]:
            return fill_in_tied(read_tensors(checkpoint), config.decoder, "decoder.")

        if dtype == torch.int8:
            use_quantized_linears(network)
            load_weights(network, read_quantized(checkpoint, read), source=checkpoint.name)
            use_bfloat16_between(network.encoder)
            pack_quantized_linears(network.encoder, network.decoder)
        else:
            load_weights(network, read(), source=checkpoint.name, dtype=dtype)
        network._fill_in_what_files_may_lack()
        return network.eval()

    def _fill_in_what_files_may_lack(self) -> None:
        positions = self.decoder.model.decoder.embed_positions
        positions.weights = positions.weights.to(self.dtype)
        self.encoder.fill_in_mask_embedding()

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `config.json`, `generation_config.json` and `model.safetensors`, which the reference can load too."""
        self.config.save_pretrained(folder)
        self.generation_config.save_pretrained(folder)
        save_weights(self, Path(folder))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.decoder.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.decoder.dtype

    def encode(self, input_values: Tensor, attention_mask: Tensor | None = None) -> EncoderOutput:
        """Waveforms (batch, samples), mask (batch, samples) -> states after the bridge and the reduced mask.

        Raises AudioTooShortError for an utterance of less than one frame (400 samples).
        """
        return self.bridge(self.encoder(input_values, attention_mask).last_hidden_state, attention_mask)

    def bridge(self, states: Tensor, attention_mask: Tensor | None = None) -> EncoderOutput:
        """What the encoder returned (batch, frames, width), with the mask it was given (batch, samples), made into
        what the decoder attends to."""
        mask = self.encoder.reduced_attention_mask(attention_mask, states.shape[1])
        if self.enc_to_dec_proj is not None:
            states = self.enc_to_dec_proj(states)
        return EncoderOutput(states, mask)

    def forward(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: EncoderOutput | None = None,
        past_key_values: DecoderCache | Sequence[tuple[Tensor, ...]] | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        *,
        input_values: Tensor | None = None,
    ) -> Seq2SeqLMOutput:
        """Score target tokens against audio.

        `inputs` (also under the name `input_values`) (batch, samples) and `attention_mask` (batch, samples), or the
        `encoder_outputs` of `encode`; `decoder_input_ids` (rows, length), or `labels` (rows, length) from which they
        are made by shifting right. Raises ConfigurationError where labels are given and the configuration names no
        start or padding token, ValueError where there is nothing to score.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encode(_one_of(inputs, input_values), attention_mask)
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("forward needs decoder_input_ids or labels")
            decoder_input_ids = self.shift_right(labels)
        decoded = self.decoder(
            decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=encoder_outputs.last_hidden_state,
            encoder_attention_mask=encoder_outputs.attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        loss = None if labels is None else token_loss(decoded.logits, labels)
        states, mask = encoder_outputs.last_hidden_state, encoder_outputs.attention_mask
        return Seq2SeqLMOutput(loss, decoded.logits, decoded.past_key_values, states, mask)

    def shift_right(self, labels: Tensor) -> Tensor:
        """Decoder input for `labels`: the start token first, each label one later, -100 replaced by padding.

        The ids are the top-level configuration's, else the decoder's (the published files leave the start token there).
        """
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        start = self.config.decoder.decoder_start_token_id if start is None else start
        pad = self.config.decoder.pad_token_id if pad is None else pad
        if start is None:
            raise ConfigurationError("set config.decoder_start_token_id: labels are shifted right behind that token")
        shifted = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == -100, pad)

    @torch.inference_mode()
    def generate(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        input_values: Tensor | None = None,
        encoder_outputs: EncoderOutput | None = None,
        generation_config: GenerationConfig | None = None,
        fusion: Fusion | None = None,
        return_dict_in_generate: bool = False,
        **settings: Any,
    ) -> Tensor | GenerationOutput:
        """Search for the best output, with the reference's semantics.

        `inputs` (also `input_values`) (batch, samples), `attention_mask` (batch, samples). `settings` are fields of
        GenerationConfig that win over `generation_config`, which is by default the checkpoint's. `fusion` is a language
        model that takes part in the search; scores then include it. Returns ids (batch * num_return_sequences, length),
        start token first, padded at the end; with `return_dict_in_generate` a GenerationOutput, with scores. Raises
        ConfigurationError for settings that are unknown or not supported.
        """
        search = (generation_config or self.generation_config).replace(**settings)
        if encoder_outputs is None:
            encoder_outputs = self.encode(_one_of(inputs, input_values), attention_mask)
        states, mask = encoder_outputs.last_hidden_state, encoder_outputs.attention_mask
        output = generate(self.decoder, states, mask, search, fusion)
        return output if return_dict_in_generate else output.sequences


def _one_of(inputs: Tensor | None, input_values: Tensor | None) -> Tensor:
    if (inputs is None) == (input_values is None):
        raise ValueError("give the waveforms once, as `inputs` or as `input_values`")
    chosen = inputs if inputs is not None else input_values
    assert chosen is not None
    return chosen
