"""The demo models while they are trained: one encoder, one stack of decoder layers, the tables of four languages.

Knows: the sizes, how the front is set to a filter bank, how each language's Speech2Text2 checkpoint is cut out.
Does not know: data, losses.

The four published-layout checkpoints share what hears and what composes; a language has its own input embedding and
output layer only. Training them together costs little more than one, and what is heard for four is heard better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from s2t2_cli.configuration import GenerationConfig, Speech2Text2Config, SpeechEncoderDecoderConfig, Wav2Vec2Config
from s2t2_cli.modeling.speech2text2 import EncoderMemory, Speech2Text2ForCausalLM
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.modeling.wav2vec2 import Wav2Vec2Model

PAD, START = 1, 2
SAMPLING_RATE = 16_000


def encoder_config() -> Wav2Vec2Config:
    """25 frames a second, which is enough for the sub-words of short sentences and half the work of 50."""
    return Wav2Vec2Config(
        hidden_size=192,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=768,
        hidden_dropout=0.1,
        activation_dropout=0.0,
        attention_dropout=0.0,  # torch's fast attention has none
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        feat_extract_norm="layer",
        conv_bias=True,
        conv_dim=(64, 96, 128, 160, 192),
        conv_kernel=(64, 8, 4, 4, 4),
        conv_stride=(10, 4, 4, 2, 2),
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=16,
        do_stable_layer_norm=True,
        mask_time_prob=0.05,
        mask_time_length=4,
        mask_time_min_masks=0,
        mask_feature_prob=0.02,
        mask_feature_length=12,
    )


def decoder_config(vocabulary: int) -> Speech2Text2Config:
    return Speech2Text2Config(
        vocab_size=vocabulary,
        d_model=192,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=768,
        dropout=0.2,  # there are more sentences to be said than the corpus has; it must not be learnt by heart
        attention_dropout=0.0,
        activation_dropout=0.0,
        max_target_positions=256,
        tie_word_embeddings=False,
    )


class SharedTranslator(nn.Module):
    """`vocabularies` are the numbers of sub-words; a language's ids are shifted by the sizes before it."""

    def __init__(self, vocabularies: Sequence[int], ctc_units: int) -> None:
        super().__init__()
        self.vocabularies = tuple(vocabularies)
        self.encoder = Wav2Vec2Model(encoder_config())
        self.decoder = Speech2Text2ForCausalLM(decoder_config(sum(vocabularies)))
        self.ctc_head = nn.Linear(self.encoder.config.width, ctc_units)
        set_to_filter_bank(self.encoder)

    def shift(self, language: int) -> int:
        """What is added to the language's ids; padding keeps its id."""
        return sum(self.vocabularies[:language])

    def encode(self, input_values: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """(batch, samples), mask -> states (batch, frames, width), and which frames are real, None for all."""
        states = self.encoder(input_values, attention_mask).last_hidden_state
        return states, self.encoder.reduced_attention_mask(attention_mask, states.shape[1])

    def decode(self, input_ids: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
        """Shifted ids (batch * languages, length), an utterance's rows neighbours -> states for the output layer."""
        memory = EncoderMemory(states, None if mask is None else mask[:, None, None, :])
        history: list[Tensor] = self.model.decoder(input_ids, None, memory, None)
        return history[-1]

    @property
    def model(self) -> nn.Module:
        return self.decoder.model

    def output_layer(self, language: int) -> Tensor:
        """(vocabulary, width): the language's part of the output layer."""
        first = self.shift(language)
        return self.decoder.lm_head.weight[first : first + self.vocabularies[language]]

    @torch.no_grad()
    def checkpoint(self, language: int) -> SpeechEncoderDecoderModel:
        """The language's model in the published layout; it shares memory with this one."""
        size, first = self.vocabularies[language], self.shift(language)
        decoder = Speech2Text2ForCausalLM(decoder_config(size))
        decoder.model.decoder.layers = self.decoder.model.decoder.layers
        embedding = self.decoder.model.decoder.embed_tokens.weight[first : first + size].clone()
        # Padding has one row for all languages while training.
        embedding[PAD] = self.decoder.model.decoder.embed_tokens.weight[PAD]
        decoder.model.decoder.embed_tokens.weight = nn.Parameter(embedding)
        decoder.lm_head.weight = nn.Parameter(self.output_layer(language).clone())
        config = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(
            self.encoder.config, decoder.config, decoder_start_token_id=START, pad_token_id=PAD
        )
        search = GenerationConfig.from_model_config(config).replace(num_beams=5, max_length=100, early_stopping=True)
        return SpeechEncoderDecoderModel(config, encoder=self.encoder, decoder=decoder, generation_config=search).eval()


@torch.no_grad()
def set_to_filter_bank(encoder: Wav2Vec2Model, lowest: float = 80.0, highest: float = 7600.0) -> None:
    """The first convolution becomes Gabor filters at mel-spaced frequencies and is frozen.

    With GELU as rectifier and the second convolution as smoother it starts out as a mel spectrum; frozen, its graph
    is never recorded, which saves the activations of 1,600 positions a second.
    """
    first = encoder.feature_extractor.conv_layers[0]
    count, _, kernel = first.conv.weight.shape
    mels = torch.linspace(_mel(lowest), _mel(highest), count)
    frequencies = 700 * (10 ** (mels / 2595) - 1)
    time = (torch.arange(kernel) - (kernel - 1) / 2) / SAMPLING_RATE
    phases = torch.arange(count) % 4 * (math.pi / 2)
    filters = torch.cos(2 * math.pi * frequencies[:, None] * time + phases[:, None])
    filters *= torch.hamming_window(kernel, periodic=False)
    first.conv.weight.copy_((filters / filters.norm(dim=1, keepdim=True))[:, None, :])
    first.conv.bias.zero_()
    first.requires_grad_(False)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
