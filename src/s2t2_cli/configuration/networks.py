"""The configurations of the encoder, the decoder and both together.

Knows: fields, the reference's defaults, lengths in frames. Does not know: how the networks compute.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from s2t2_cli.configuration.base import JsonConfig, read_json_object, write_json_object
from s2t2_cli.errors import ConfigurationError

CONFIG_NAME = "config.json"

# Far above any model there is, far below what a machine can be made to choke on.
MAX_WIDTH = 2**16
MAX_LAYERS = 1_000
MAX_VOCABULARY = 2**24
MAX_POSITION_VALUES = 2**26


@dataclass(kw_only=True)
class Wav2Vec2Config(JsonConfig):
    """The encoder (wav2vec 2.0, arXiv 2006.11477); defaults are the reference's, which are the Base model's."""

    model_type: ClassVar[str] = "wav2vec2"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout: float = 0.1
    activation_dropout: float = 0.1
    attention_dropout: float = 0.1
    feat_proj_dropout: float = 0.0
    layerdrop: float = 0.1
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = "group"
    """`layer`: LayerNorm after each convolution (Large). `group`: one GroupNorm over time after the first (Base)."""
    feat_extract_activation: str = "gelu"
    conv_dim: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    do_stable_layer_norm: bool = False
    """True: LayerNorm before each sub-layer (Large). False: after (Base)."""
    apply_spec_augment: bool = True
    mask_time_prob: float = 0.05
    mask_time_length: int = 10
    mask_time_min_masks: int = 2
    mask_feature_prob: float = 0.0
    mask_feature_length: int = 10
    mask_feature_min_masks: int = 0
    add_adapter: bool = False
    adapter_kernel_size: int = 3
    adapter_stride: int = 2
    num_adapter_layers: int = 3
    output_hidden_size: int | None = None
    """Width after the adapter; None (and no adapter): `hidden_size`."""

    def __post_init__(self) -> None:
        self.conv_dim, self.conv_stride, self.conv_kernel = (
            tuple(values) for values in (self.conv_dim, self.conv_stride, self.conv_kernel)
        )
        self.require_positive(
            "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "conv_dim", "conv_stride", "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups",
            "adapter_kernel_size", "adapter_stride", "num_adapter_layers",
        )  # fmt: skip
        self.require_at_most(
            MAX_WIDTH, "hidden_size", "intermediate_size", "conv_dim", "conv_stride", "conv_kernel",
            "num_conv_pos_embeddings", "adapter_kernel_size", "adapter_stride", "output_hidden_size",
        )  # fmt: skip
        self.require_at_most(MAX_LAYERS, "num_hidden_layers", "num_adapter_layers")
        self.require_probability(
            "hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout", "layerdrop",
            "mask_time_prob", "mask_feature_prob",
        )  # fmt: skip
        self.require_activation("hidden_act", "feat_extract_activation")
        if self.feat_extract_norm not in ("layer", "group"):
            raise self.refuse("feat_extract_norm", "must be 'layer' or 'group'")
        if self.hidden_size % self.num_attention_heads:
            raise self.refuse("hidden_size", f"is not a multiple of num_attention_heads={self.num_attention_heads}")
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            groups = self.num_conv_pos_embedding_groups
            raise self.refuse("hidden_size", f"is not a multiple of num_conv_pos_embedding_groups={groups}")
        if not len(self.conv_dim) == len(self.conv_stride) == len(self.conv_kernel) > 0:
            raise self.refuse("conv_dim", "conv_stride and conv_kernel must have one value for each layer")
        if any(kernel < stride for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True)):
            raise self.refuse("conv_kernel", "is smaller than its conv_stride, which would skip samples")
        if self.extra.get("adapter_attn_dim") is not None:
            raise ConfigurationError(
                "Wav2Vec2Config: adapter_attn_dim (per-language attention adapters) is not supported"
            )

    @property
    def width(self) -> int:
        """Width of what the encoder returns."""
        return self.output_hidden_size or self.hidden_size

    @property
    def hop_samples(self) -> int:
        """Samples between two frames of the convolutions: 320, 20 ms at 16 kHz, in the published models."""
        return math.prod(self.conv_stride)

    def frames(self, samples: int) -> int:
        """Frames the convolutions make of `samples` samples: floor((n - kernel) / stride) + 1, layer by layer.

        0 for fewer samples than the receptive field (400, 25 ms, in the published models).
        """
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples = max(0, (samples - kernel) // stride + 1)
        return samples

    def output_frames(self, samples: int) -> int:
        """Frames the whole encoder returns for `samples` samples: `frames`, then the adapter's strides."""
        frames = self.frames(samples)
        for _ in range(self.num_adapter_layers if self.add_adapter else 0):
            frames = max(0, (frames - 1) // self.adapter_stride + 1)
        return frames

    @property
    def minimum_samples(self) -> int:
        """The receptive field: the fewest samples that give a frame."""
        samples = 1
        for kernel, stride in zip(reversed(self.conv_kernel), reversed(self.conv_stride), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples


@dataclass(kw_only=True)
class Speech2Text2Config(JsonConfig):
    """The decoder (arXiv 2104.06678, section 3.2); defaults are the reference's."""

    model_type: ClassVar[str] = "speech_to_text_2"

    vocab_size: int = 10_000
    d_model: int = 256
    decoder_layers: int = 6
    """The number of layers. A `num_hidden_layers` beside it in published files is a left-over and is not read."""
    decoder_attention_heads: int = 4
    decoder_ffn_dim: int = 2048
    decoder_layerdrop: float = 0.0
    activation_function: str = "relu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    scale_embedding: bool = True
    add_cross_attention: bool = True
    """Whether layers can attend to an encoder. A language model has no use for it; in a SpeechEncoderDecoderConfig it
    is always on, whatever the files say (reference behaviour)."""
    max_target_positions: int = 1024
    use_cache: bool = True
    bos_token_id: int = 0
    pad_token_id: int = 1
    eos_token_id: int | tuple[int, ...] | None = 2
    decoder_start_token_id: int | None = 2
    tie_word_embeddings: bool = True
    """Honoured only where a checkpoint holds one of the two matrices; where both exist, both are loaded."""

    def __post_init__(self) -> None:
        self.require_positive(
            "vocab_size", "d_model", "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim",
            "max_target_positions",
        )  # fmt: skip
        self.require_at_most(MAX_WIDTH, "d_model", "decoder_ffn_dim")
        self.require_at_most(MAX_LAYERS, "decoder_layers")
        self.require_at_most(MAX_VOCABULARY, "vocab_size")
        self.require_probability("decoder_layerdrop", "dropout", "attention_dropout", "activation_dropout")
        self.require_activation("activation_function")
        if self.d_model % self.decoder_attention_heads:
            raise self.refuse("d_model", f"is not a multiple of decoder_attention_heads={self.decoder_attention_heads}")
        if self.d_model % 2 or self.d_model < 4:
            raise self.refuse("d_model", "must be even and at least 4: half of it holds sines, half cosines")
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise self.refuse("pad_token_id", f"lies outside the vocabulary of {self.vocab_size}")
        if (self.max_target_positions + self.pad_token_id) * self.d_model > MAX_POSITION_VALUES:
            raise self.refuse("max_target_positions", f"and pad_token_id={self.pad_token_id} ask for too large a table")
        cross_width = self.extra.get("cross_attention_hidden_size")
        if cross_width is not None and cross_width != self.d_model:
            raise ConfigurationError(
                f"Speech2Text2Config: cross_attention_hidden_size={cross_width!r} differs from d_model={self.d_model}; "
                "the decoder attends to states of its own width only"
            )


@dataclass(kw_only=True)
class SpeechEncoderDecoderConfig(JsonConfig):
    """Encoder and decoder together, as in the published `config.json`."""

    model_type: ClassVar[str] = "speech-encoder-decoder"

    encoder: Wav2Vec2Config
    decoder: Speech2Text2Config
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        if not self.decoder.add_cross_attention:
            self.decoder = dataclasses.replace(self.decoder, add_cross_attention=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from the published JSON object.

        Raises ConfigurationError where `encoder` or `decoder` is missing or is another kind of model.
        """
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"{cls.__name__}: expected a JSON object, found {type(values).__name__}")
        given = {**values, **overrides}
        for part, kind in (("encoder", Wav2Vec2Config), ("decoder", Speech2Text2Config)):
            sub = given.get(part)
            if isinstance(sub, kind):
                continue
            if not isinstance(sub, Mapping):
                found = given.get("model_type")
                hint = f" (its model_type is {found!r})" if found else ""
                raise ConfigurationError(f"not a Speech2Text2 checkpoint: the configuration has no {part!r}{hint}")
            if sub.get("model_type", kind.model_type) != kind.model_type:
                raise ConfigurationError(
                    f"not a Speech2Text2 checkpoint: the {part} is a {sub['model_type']!r}, not a {kind.model_type!r}"
                )
            given[part] = kind.from_dict(sub)
        return super().from_dict(given)

    @classmethod
    def from_encoder_decoder_configs(cls, encoder: Wav2Vec2Config, decoder: Speech2Text2Config, **values: Any) -> Self:
        """Join two configurations, as the reference's method of this name does."""
        return cls.from_dict({"encoder": encoder, "decoder": decoder, **values})

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Read `config.json` of a local folder. Raises ModelNotFoundError, ConfigurationError."""
        return cls.from_dict(read_json_object(Path(folder) / CONFIG_NAME))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `config.json` into `folder`, which is made if need be."""
        write_json_object(Path(folder) / CONFIG_NAME, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        values["encoder"] = self.encoder.to_dict()
        values["decoder"] = {**self.decoder.to_dict(), "is_decoder": True}
        values.setdefault("architectures", ["SpeechEncoderDecoderModel"])
        values.setdefault("is_encoder_decoder", True)
        values.setdefault("tie_word_embeddings", False)
        return {name: value for name, value in values.items() if value is not None or name in self.extra}

    @property
    def has_bridge(self) -> bool:
        """Whether `enc_to_dec_proj` exists: only where the two widths differ."""
        return self.encoder.width != self.decoder.d_model
