"""What a checkpoint is, without loading it: sizes, vocabulary, parameters, search defaults, files.

Knows: configuration, file sizes, the headers of the weights. Does not know: how it is shown (cli).
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from s2t2_cli.checkpoint.conversion import already_converted
from s2t2_cli.checkpoint.layout import SIDE_FILES, weight_files
from s2t2_cli.checkpoint.resolution import Checkpoint, resolve_checkpoint
from s2t2_cli.checkpoint.safetensor_files import read_header
from s2t2_cli.configuration import (
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    GenerationConfig,
    SpeechEncoderDecoderConfig,
    read_json_object,
)
from s2t2_cli.errors import CheckpointError

_ENCODER_FIELDS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
_DECODER_FIELDS = ("decoder_layers", "d_model", "decoder_attention_heads", "decoder_ffn_dim")
_SEARCH_FIELDS = (
    "num_beams", "max_length", "min_length", "length_penalty", "early_stopping", "no_repeat_ngram_size",
)  # fmt: skip


@dataclass(frozen=True)
class Description:
    """A checkpoint in figures."""

    model: str
    folder: str
    revision: str | None
    encoder: dict[str, int]
    decoder: dict[str, int]
    vocab_size: int
    can_encode: bool
    """Whether the tokenizer can turn text into ids, which takes `merges.txt`."""
    generation: dict[str, Any]
    parameters: int | None
    """Elements of all stored tensors; None where the weights are not on this machine."""
    dtypes: tuple[str, ...]
    files: dict[str, int]
    """Sizes in bytes, by name."""

    def to_dict(self) -> dict[str, Any]:
        """The fields in order, ready for JSON."""
        return asdict(self)


def describe(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Description:
    """Read the configuration and, where the weights are on this machine, their headers.

    Of a hub id only small files are downloaded. Raises what `resolve_checkpoint` raises, ConfigurationError,
    CheckpointError.
    """
    checkpoint = resolve_checkpoint(
        model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only, weights=False
    )
    with contextlib.suppress(CheckpointError):  # shards that are not here yet: then as if there were none
        checkpoint = replace(checkpoint, weights=weight_files(checkpoint.folder))
    config = SpeechEncoderDecoderConfig.from_dict(read_json_object(checkpoint.folder / CONFIG_NAME))
    settings = checkpoint.read_json(GENERATION_CONFIG_NAME)
    search = GenerationConfig.from_model_config(config) if settings is None else GenerationConfig.from_dict(settings)
    stored = _stored(checkpoint)
    paths = [path for name in SIDE_FILES if (path := checkpoint.path(name)) is not None]
    return Description(
        model=checkpoint.name,
        folder=str(checkpoint.folder),
        revision=checkpoint.revision,
        encoder={name: getattr(config.encoder, name) for name in _ENCODER_FIELDS},
        decoder={name: getattr(config.decoder, name) for name in _DECODER_FIELDS},
        vocab_size=config.decoder.vocab_size,
        can_encode=checkpoint.path("merges.txt") is not None,
        generation={name: getattr(search, name) for name in _SEARCH_FIELDS},
        parameters=sum(math.prod(shape) for _, shape in stored) if checkpoint.weights else None,
        dtypes=tuple(sorted({dtype for dtype, _ in stored})),
        files={path.name: path.stat().st_size for path in (*paths, *checkpoint.weights)},
    )


def _stored(checkpoint: Checkpoint) -> list[tuple[str, tuple[int, ...]]]:
    """Type and shape of every stored tensor."""
    stored: list[tuple[str, tuple[int, ...]]] = []
    for path in checkpoint.weights:
        readable = path if path.suffix == ".safetensors" else already_converted(path)
        if readable is not None:
            stored += read_header(readable).values()
        else:
            from s2t2_cli.checkpoint.pickled import read_pickled  # torch, which a header does not need

            tensors = read_pickled(path).values()
            stored += [(str(one.dtype).removeprefix("torch."), tuple(one.shape)) for one in tensors]
    return stored
