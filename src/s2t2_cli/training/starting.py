"""The model that fine-tuning starts from: a translation checkpoint, a pretrained wav2vec 2.0, or a configuration.

Knows: the three kinds, which heads of a wav2vec 2.0 are dropped, what a new decoder looks like.
Does not know: how weights are read (checkpoint), training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from s2t2_cli.checkpoint import Checkpoint, load_weights, read_tensors, resolve_checkpoint
from s2t2_cli.checkpoint.layout import weight_files
from s2t2_cli.configuration import (
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    GenerationConfig,
    Speech2Text2Config,
    SpeechEncoderDecoderConfig,
    Wav2Vec2Config,
    read_json_object,
)
from s2t2_cli.errors import ConfigurationError, UsageError
from s2t2_cli.feature_extraction import PREPROCESSOR_CONFIG_NAME, Wav2Vec2FeatureExtractor
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.modeling.wav2vec2 import Wav2Vec2Model
from s2t2_cli.tokenization import MERGES_NAME, VOCAB_NAME, Speech2Text2Tokenizer
from s2t2_cli.tokenizer_files import read_vocab
from s2t2_cli.training.randomness import seed_everything

Kind = Literal["translation", "encoder"]

# Parts of the published wav2vec 2.0 files that are not the encoder (pretraining, CTC, classification); and
# after them, what a translation checkpoint has apart from its encoder.
_OTHER_PARTS = re.compile(
    r"(quantizer|project_q|project_hid|lm_head|projector|classifier|decoder|enc_to_dec_proj)\.|layer_weights$"
)

# The published decoder (arXiv 2104.06678, section 3.2) beside the defaults of the class.
_PUBLISHED_DECODER = {"decoder_layers": 7}
_PUBLISHED_SEARCH = {"num_beams": 5, "max_length": 200, "early_stopping": True}


@dataclass(frozen=True)
class Start:
    """What is there to start from."""

    kind: Kind
    name: str
    folder: Path
    config: dict[str, Any]
    checkpoint: Checkpoint | None
    """None where there are no weights: everything starts from random numbers."""


def find_start(name: str, *, revision: str | None, cache_dir: Path | None, offline: bool) -> Start:
    """What `name` stands for: a configuration file, a folder with or without weights, or a hub id.

    Raises ModelError for what is none of these, or a model of another kind.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return _start(name, path.parent, read_json_object(path), None)
    has_weights = not path.is_dir() or bool(weight_files(path))
    checkpoint = resolve_checkpoint(
        name, revision=revision, cache_dir=cache_dir, local_files_only=offline, weights=has_weights
    )
    config = read_json_object(checkpoint.folder / CONFIG_NAME)
    return _start(checkpoint.name, checkpoint.folder, config, checkpoint if checkpoint.weights else None)


def _start(name: str, folder: Path, config: dict[str, Any], checkpoint: Checkpoint | None) -> Start:
    if "encoder" in config and "decoder" in config:
        return Start("translation", name, folder, config, checkpoint)
    if config.get("model_type") == Wav2Vec2Config.model_type:
        return Start("encoder", name, folder, config, checkpoint)
    raise ConfigurationError(
        f"{name} is neither a Speech2Text2 checkpoint nor a wav2vec 2.0 (its model_type is"
        f" {config.get('model_type')!r}): training cannot start from it"
    )


def find_tokenizer(start: Start, folder: Path | None) -> Speech2Text2Tokenizer:
    """The tokenizer of `folder`, or the one beside the start.

    Raises UsageError where there is none, or none that can encode; TokenizerError.
    """
    if folder is None and (start.kind != "translation" or not (start.folder / VOCAB_NAME).is_file()):
        raise UsageError(
            f"{start.name} brings no sub-words of the target language: name a folder with --tokenizer,"
            " which s2t2 learn-bpe makes"
        )
    place = start.folder if folder is None else folder
    tokenizer = Speech2Text2Tokenizer.from_pretrained(place)
    if tokenizer.bpe is None:
        raise UsageError(f"the tokenizer in {place} cannot encode text: there is no {MERGES_NAME} beside it")
    return tokenizer


def find_extractor(start: Start, config: Wav2Vec2Config) -> Wav2Vec2FeatureExtractor:
    """The start's feature extractor; without one, that of its kind: masks for all but models with a GroupNorm."""
    if (start.folder / PREPROCESSOR_CONFIG_NAME).is_file():
        return Wav2Vec2FeatureExtractor.from_pretrained(start.folder)
    return Wav2Vec2FeatureExtractor(return_attention_mask=config.feat_extract_norm == "layer")


def build_model(
    start: Start,
    tokenizer: Speech2Text2Tokenizer,
    *,
    encoder: Mapping[str, Any],
    decoder: Mapping[str, Any] | None,
    new_decoder: bool,
    seed: int,
) -> tuple[SpeechEncoderDecoderModel, list[str]]:
    """The model in float32 on the CPU, and sentences about what it was made of.

    `encoder` are fields of its configuration that win (masking, layer drop). `decoder` are fields for a new decoder;
    the rest of it is as published, its vocabulary the tokenizer's. A translation checkpoint keeps its own decoder
    unless `new_decoder`. Raises UsageError where tokenizer and decoder do not belong together, ModelError.
    """
    seed_everything(seed, "weights")
    if start.kind == "translation" and not new_decoder:
        if decoder is not None:
            raise UsageError(f"{start.name} has a decoder; --decoder describes a new one, which needs --new-decoder")
        model = _translation_model(start, tokenizer, encoder)
        return _in_memory(model), _about_weights(start)
    own = start.config if start.kind == "encoder" else start.config["encoder"]
    encoder_config = _with(Wav2Vec2Config.from_dict(own), encoder)
    decoder_config = _new_decoder(decoder or {}, tokenizer)
    search = GenerationConfig.from_dict(_PUBLISHED_SEARCH | _special_ids(tokenizer))
    loaded, dropped = (None, "") if start.checkpoint is None else _load_encoder(start.checkpoint, encoder_config)
    config = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(encoder_config, decoder_config)
    model = SpeechEncoderDecoderModel(config, encoder=loaded, generation_config=search)
    size = f"{decoder_config.decoder_layers} layers, {decoder_config.vocab_size:,} sub-words"
    return _in_memory(model), [*_about_weights(start), *([dropped] if dropped else []), f"the decoder is new: {size}"]


def _about_weights(start: Start) -> list[str]:
    return [] if start.checkpoint else [f"{start.name} has no weights: training starts from random numbers"]


def _translation_model(
    start: Start, tokenizer: Speech2Text2Tokenizer, encoder: Mapping[str, Any]
) -> SpeechEncoderDecoderModel:
    config = SpeechEncoderDecoderConfig.from_dict(start.config)
    _check_vocabulary(start, config.decoder, tokenizer)
    config.encoder = _with(config.encoder, encoder)
    if start.checkpoint is not None:
        model = SpeechEncoderDecoderModel.from_pretrained(start.checkpoint, dtype=torch.float32, config=config)
    else:
        settings = start.folder / GENERATION_CONFIG_NAME
        search = GenerationConfig.from_pretrained(start.folder) if settings.is_file() else None
        model = SpeechEncoderDecoderModel(config, generation_config=search)
    # Two matrices are trained and saved, whatever the start called them.
    config.decoder.tie_word_embeddings = False
    return model


def _load_encoder(checkpoint: Checkpoint, config: Wav2Vec2Config) -> tuple[Wav2Vec2Model, str]:
    """The encoder in a wav2vec 2.0 or translation checkpoint, and a sentence about what else was in the file."""
    tensors = read_tensors(checkpoint)
    prefix = next((one for one in ("encoder.", "wav2vec2.") if _has_prefix(tensors, one)), "")
    encoder: dict[str, Tensor] = {}
    dropped: set[str] = set()
    for name, tensor in tensors.items():
        if _OTHER_PARTS.match(name):
            dropped.add(name.partition(".")[0])
        else:
            encoder[name.removeprefix(prefix)] = tensor
    with torch.device("meta"):
        model = Wav2Vec2Model(config)
    load_weights(model, encoder, source=checkpoint.name, dtype=torch.float32)
    model.fill_in_mask_embedding()
    return model, f"left out of {checkpoint.name}: {', '.join(sorted(dropped))}" if dropped else ""


def _has_prefix(tensors: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether the encoder lies below `prefix`; its own Transformer is called `encoder`, too."""
    return f"{prefix}feature_projection.projection.weight" in tensors


def _new_decoder(values: Mapping[str, Any], tokenizer: Speech2Text2Tokenizer) -> Speech2Text2Config:
    given = {**_PUBLISHED_DECODER, "vocab_size": len(tokenizer), **values, **_special_ids(tokenizer)}
    config = Speech2Text2Config.from_dict(given, tie_word_embeddings=False, add_cross_attention=True)
    if config.vocab_size < len(tokenizer):
        raise UsageError(
            f"the decoder is to have vocab_size {config.vocab_size}, and the tokenizer has {len(tokenizer)} sub-words:"
            " leave vocab_size out"
        )
    return config


def _special_ids(tokenizer: Speech2Text2Tokenizer) -> dict[str, int]:
    """The ids of special tokens; output starts with the end token, as in the published models."""
    start, pad, end = (
        tokenizer.convert_tokens_to_ids(token)
        for token in (tokenizer.bos_token, tokenizer.pad_token, tokenizer.eos_token)
    )
    return {"bos_token_id": start, "pad_token_id": pad, "eos_token_id": end, "decoder_start_token_id": end}


def _check_vocabulary(start: Start, config: Speech2Text2Config, tokenizer: Speech2Text2Tokenizer) -> None:
    own = start.folder / VOCAB_NAME
    differs = own.is_file() and read_vocab(own) != tokenizer.encoder
    if differs or len(tokenizer) > config.vocab_size:
        raise UsageError(
            f"the decoder of {start.name} ({config.vocab_size:,} sub-words) was made for another tokenizer"
            f" ({len(tokenizer):,} sub-words): use its own, or --new-decoder to keep the encoder alone"
        )


_Config = TypeVar("_Config", Wav2Vec2Config, Speech2Text2Config)


def _with(config: _Config, values: Mapping[str, Any]) -> _Config:
    """A copy with other values; None leaves a value."""
    return type(config).from_dict(
        config.to_dict(), **{name: value for name, value in values.items() if value is not None}
    )


def _in_memory(model: SpeechEncoderDecoderModel) -> SpeechEncoderDecoderModel:
    """With weights that are no longer views of the file they came from, which may be replaced meanwhile."""
    model.config.extra["torch_dtype"] = "float32"
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model.requires_grad_(True)
