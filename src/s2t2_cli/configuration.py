"""Typed configurations that read the published JSON and write it back without loss.

Knows: every field the model and the search use, its default in the reference, which values this package honours.
Does not know: tensors, files other than `config.json` and `generation_config.json`.

A key we do not use (the checkpoints carry many: `conv_channels`, `encoder_layers`, `id2label` …) is kept in `extra`
and written back. A value we could not honour is refused by name rather than ignored.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from s2t2_cli.errors import ConfigurationError, ModelNotFoundError

CONFIG_NAME = "config.json"
GENERATION_CONFIG_NAME = "generation_config.json"

ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "swish")


@dataclass(kw_only=True)
class _Config:
    """A flat JSON object: known fields are attributes, the rest lies in `extra`."""

    model_type: ClassVar[str] = ""

    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from a JSON object; `overrides` win over it. Unknown keys go to `extra`.

        Raises ConfigurationError for a value of the wrong type or one that cannot be honoured.
        """
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"{cls.__name__}: expected a JSON object, found {type(values).__name__}")
        known = {one.name: one for one in dataclasses.fields(cls) if one.name != "extra"}
        given = {**values, **overrides}
        given.pop("model_type", None)
        arguments = {name: _checked(cls, known[name], given.pop(name)) for name in list(given) if name in known}
        return cls(**arguments, extra=given)

    def to_dict(self) -> dict[str, Any]:
        """All fields and the left-over keys, ready for JSON."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "extra"}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        if self.model_type:
            values["model_type"] = self.model_type
        return {**self.extra, **values}

    def _refuse(self, name: str, reason: str) -> ConfigurationError:
        return ConfigurationError(f"{type(self).__name__}: {name}={getattr(self, name)!r} {reason}")

    def _require_positive(self, *names: str) -> None:
        for name in names:
            values = getattr(self, name)
            for value in values if isinstance(values, list | tuple) else (values,):
                if value < 1:
                    raise self._refuse(name, "must be at least 1")

    def _require_activation(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) not in ACTIVATIONS:
                raise self._refuse(name, f"is not supported; known activations: {', '.join(ACTIVATIONS)}")


@dataclass(kw_only=True)
class Wav2Vec2Config(_Config):
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
        self._require_positive(
            "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "conv_dim", "conv_stride", "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups",
            "adapter_kernel_size", "adapter_stride", "num_adapter_layers",
        )  # fmt: skip
        self._require_activation("hidden_act", "feat_extract_activation")
        if self.feat_extract_norm not in ("layer", "group"):
            raise self._refuse("feat_extract_norm", "must be 'layer' or 'group'")
        if self.hidden_size % self.num_attention_heads:
            raise self._refuse("hidden_size", f"is not a multiple of num_attention_heads={self.num_attention_heads}")
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            groups = self.num_conv_pos_embedding_groups
            raise self._refuse("hidden_size", f"is not a multiple of num_conv_pos_embedding_groups={groups}")
        if not len(self.conv_dim) == len(self.conv_stride) == len(self.conv_kernel) > 0:
            raise self._refuse("conv_dim", "conv_stride and conv_kernel must have one value for each layer")
        if any(kernel < stride for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True)):
            raise self._refuse("conv_kernel", "is smaller than its conv_stride, which would skip samples")
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
class Speech2Text2Config(_Config):
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
    max_target_positions: int = 1024
    use_cache: bool = True
    bos_token_id: int = 0
    pad_token_id: int = 1
    eos_token_id: int | tuple[int, ...] | None = 2
    decoder_start_token_id: int | None = 2
    tie_word_embeddings: bool = True
    """Honoured only where a checkpoint holds one of the two matrices; where both exist, both are loaded."""

    def __post_init__(self) -> None:
        self._require_positive(
            "vocab_size", "d_model", "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim",
            "max_target_positions",
        )  # fmt: skip
        self._require_activation("activation_function")
        if self.d_model % self.decoder_attention_heads:
            raise self._refuse(
                "d_model", f"is not a multiple of decoder_attention_heads={self.decoder_attention_heads}"
            )
        if self.d_model % 2 or self.d_model < 4:
            raise self._refuse("d_model", "must be even and at least 4: half of it holds sines, half cosines")
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise self._refuse("pad_token_id", f"lies outside the vocabulary of {self.vocab_size}")
        cross_width = self.extra.get("cross_attention_hidden_size")
        if cross_width is not None and cross_width != self.d_model:
            raise ConfigurationError(
                f"Speech2Text2Config: cross_attention_hidden_size={cross_width!r} differs from d_model={self.d_model}; "
                "the decoder attends to states of its own width only"
            )


@dataclass(kw_only=True)
class SpeechEncoderDecoderConfig(_Config):
    """Encoder and decoder together, as in the published `config.json`."""

    model_type: ClassVar[str] = "speech-encoder-decoder"

    encoder: Wav2Vec2Config
    decoder: Speech2Text2Config
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None

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
        values["decoder"] = {**self.decoder.to_dict(), "is_decoder": True, "add_cross_attention": True}
        values.setdefault("architectures", ["SpeechEncoderDecoderModel"])
        values.setdefault("is_encoder_decoder", True)
        values.setdefault("tie_word_embeddings", False)
        return {name: value for name, value in values.items() if value is not None or name in self.extra}

    @property
    def has_bridge(self) -> bool:
        """Whether `enc_to_dec_proj` exists: only where the two widths differ."""
        return self.encoder.width != self.decoder.d_model


# What the reference could do and this package does not: refused unless it has its neutral value.
_NOT_SUPPORTED: dict[str, Any] = {
    "do_sample": False,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "penalty_alpha": None,
    "force_words_ids": None,
    "constraints": None,
    "sequence_bias": None,
    "guidance_scale": None,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "exponential_decay_length_penalty": None,
    "max_time": None,
    "forced_decoder_ids": None,
    "assistant_model": None,
}


@dataclass(kw_only=True)
class GenerationConfig(_Config):
    """How to search; the names, defaults and meanings are the reference's `GenerationConfig`."""

    max_length: int = 20
    """Longest output in tokens, start token included. `max_new_tokens`, which excludes it, wins over it."""
    max_new_tokens: int | None = None
    min_length: int = 0
    """Shortest output in tokens, start token included, before an end token may come. `min_new_tokens` wins over it."""
    min_new_tokens: int | None = None
    num_beams: int = 1
    early_stopping: bool | str = False
    """True: stop at `num_beams` finished hypotheses. False: when no running one is likely to beat them, judged by
    the present length. "never": judged by the best length the penalty allows."""
    length_penalty: float = 1.0
    """Scores are divided by length to this power: above 0 favours longer output."""
    num_return_sequences: int = 1
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    bad_words_ids: tuple[tuple[int, ...], ...] | None = None
    suppress_tokens: tuple[int, ...] | None = None
    begin_suppress_tokens: tuple[int, ...] | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | tuple[int, ...] | None = None
    remove_invalid_values: bool = False
    renormalize_logits: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        self._require_positive("num_beams", "num_return_sequences", "max_length")
        if self.max_new_tokens is not None:
            self._require_positive("max_new_tokens")
        for name in ("min_length", "no_repeat_ngram_size"):
            if getattr(self, name) < 0:
                raise self._refuse(name, "must not be negative")
        if self.early_stopping not in (True, False, "never"):
            raise self._refuse("early_stopping", "must be true, false or 'never'")
        if self.repetition_penalty <= 0:
            raise self._refuse("repetition_penalty", "must be above 0")
        if not math.isfinite(self.length_penalty):
            raise self._refuse("length_penalty", "must be a finite number")
        if self.num_return_sequences > self.num_beams:
            raise self._refuse(
                "num_return_sequences",
                f"is more than num_beams={self.num_beams}: a beam keeps one hypothesis each",
            )
        for name, neutral in _NOT_SUPPORTED.items():
            value = self.extra.get(name, neutral)
            if value is not None and value != neutral:
                raise ConfigurationError(f"GenerationConfig: {name}={value!r} is not supported")

    @classmethod
    def from_model_config(cls, config: SpeechEncoderDecoderConfig) -> Self:
        """The settings that old checkpoints keep in `config.json` itself.

        Top-level values first; what is at its default there is taken from the decoder (reference behaviour).
        """
        names = {one.name for one in dataclasses.fields(cls)} - {"extra"}
        defaults = cls()
        top = {name: value for name, value in config.to_dict().items() if name in names}
        decoder = {name: value for name, value in config.decoder.to_dict().items() if name in names}
        for name, value in decoder.items():
            if top.get(name, getattr(defaults, name)) == getattr(defaults, name):
                top[name] = value
        return cls.from_dict({name: value for name, value in top.items() if value is not None})

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Read `generation_config.json` of a local folder. Raises ModelNotFoundError, ConfigurationError."""
        return cls.from_dict(read_json_object(Path(folder) / GENERATION_CONFIG_NAME))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `generation_config.json` into `folder`: what differs from the defaults, as the reference does."""
        defaults = GenerationConfig().to_dict()
        values = {
            name: value for name, value in self.to_dict().items() if name not in defaults or value != defaults[name]
        }
        write_json_object(Path(folder) / GENERATION_CONFIG_NAME, values)

    def replace(self, **overrides: Any) -> GenerationConfig:
        """A copy with some values changed; None leaves a value. Raises ConfigurationError for unknown names."""
        known = {one.name for one in dataclasses.fields(self)} - {"extra"}
        for name, value in overrides.items():
            if name not in known and not (name in _NOT_SUPPORTED and value in (None, _NOT_SUPPORTED[name])):
                raise ConfigurationError(f"GenerationConfig: {name!r} is not a setting of the search")
        given = {name: value for name, value in overrides.items() if value is not None and name in known}
        return GenerationConfig.from_dict(self.to_dict(), **given)

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """The tokens that end a hypothesis; the first of them closes the output."""
        return as_ids(self.eos_token_id)

    @property
    def output_limit(self) -> int:
        """Longest output in tokens, start token included."""
        return self.max_length if self.max_new_tokens is None else self.max_new_tokens + 1


def as_ids(value: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """One id, several or none, as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ModelNotFoundError or ConfigurationError, naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ModelNotFoundError(f"there is no {path.name} in {path.parent}: not a checkpoint folder") from None
    except OSError as error:
        raise ModelNotFoundError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


def write_json_object(path: Path, values: Mapping[str, Any]) -> None:
    """Write the object as the reference does: indented by two, keys sorted, final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _checked(cls: type[_Config], spec: dataclasses.Field[Any], value: Any) -> Any:
    """`value` in the form of the field's annotation, or ConfigurationError."""
    annotation = str(spec.type)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (value is None and "None" in annotation) or isinstance(value, _Config):
        return value
    if "tuple" in annotation and isinstance(value, list | tuple):
        value = tuple(tuple(item) if isinstance(item, list | tuple) else item for item in value)
        flat = [one for item in value for one in (item if isinstance(item, tuple) else (item,))]
        if all(isinstance(one, int) and not isinstance(one, bool) for one in flat):
            return value
    if "bool" in annotation and (isinstance(value, bool) or (is_number and value in (0, 1))):
        return bool(value)
    if ("str" in annotation and isinstance(value, str)) or (
        "int" in annotation and isinstance(value, int) and is_number
    ):
        return value
    if annotation == "float" and is_number:
        return float(value)
    raise ConfigurationError(f"{cls.__name__}: {spec.name}={value!r} should be {annotation}")
