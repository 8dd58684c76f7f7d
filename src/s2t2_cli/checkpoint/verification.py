"""Is a checkpoint whole and sound: one check after the other, each with a finding in words.

Knows: what must agree with what in a checkpoint. Does not know: how the findings are shown (cli).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from s2t2_cli.checkpoint.resolution import Checkpoint
from s2t2_cli.checkpoint.tensors import read_tensors
from s2t2_cli.checkpoint.weights import FLOATING_TYPES
from s2t2_cli.configuration import (
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    GenerationConfig,
    SpeechEncoderDecoderConfig,
    read_json_object,
)
from s2t2_cli.errors import CheckpointError, ConfigurationError, S2T2Error, TokenizerError

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check, in words."""

    check: str
    ok: bool
    detail: str


def verify_checkpoint(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Run all checks and yield each finding as soon as it is there; a failed one does not stop the others."""
    for name, check in _CHECKS.items():
        try:
            yield Finding(name, True, check(checkpoint))
        except (S2T2Error, OSError) as error:
            yield Finding(name, False, str(error))


def _check_configuration(checkpoint: Checkpoint) -> str:
    config = _config(checkpoint)
    settings = checkpoint.read_json(GENERATION_CONFIG_NAME)
    if settings is not None:
        GenerationConfig.from_dict(settings)
    layers = f"{config.encoder.num_hidden_layers} encoder and {config.decoder.decoder_layers} decoder layers"
    return layers if settings is not None else f"{layers}; no {GENERATION_CONFIG_NAME}, {CONFIG_NAME} serves"


def _check_checksums(checkpoint: Checkpoint) -> str:
    """In its cache the hub names files after their content: large ones by SHA-256, small ones as git does."""
    compared = 0
    for path in sorted(checkpoint.folder.iterdir()):
        blob = path.readlink() if path.is_symlink() else path
        digest = _digest(path, blob.name) if blob.parent.name == "blobs" else None
        if digest is None:
            continue
        compared += 1
        if digest != blob.name:
            raise CheckpointError(
                f"{path.name} is damaged (its checksum is {digest[:12]}…, not {blob.name[:12]}…): remove"
                f" {path.resolve()} and download again"
            )
    return f"{compared} files agree with the hub's checksums" if compared else "a folder without checksums"


def _digest(path: Path, expected: str) -> str | None:
    """The checksum of the file, of the kind `expected` is; None if it is of no known kind."""
    if len(expected) == 64:
        digest = hashlib.sha256()
    elif len(expected) == 40:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return None
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check_tensors(checkpoint: Checkpoint) -> str:
    """Loading is the check: it names everything that is missing, unexpected or wrongly shaped."""
    from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel

    model = SpeechEncoderDecoderModel.from_pretrained(checkpoint.folder)
    tensors = list(model.state_dict().values())
    return f"{len(tensors)} tensors with {sum(one.numel() for one in tensors):,} elements, as configured"


def _check_values(checkpoint: Checkpoint) -> str:
    for name, tensor in read_tensors(checkpoint).items():
        if tensor.dtype in FLOATING_TYPES and not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            raise CheckpointError(f"{name} holds {count} values that are infinite or not a number")
    return "all values are finite"


def _check_vocabulary(checkpoint: Checkpoint) -> str:
    size = _config(checkpoint).decoder.vocab_size
    vocabulary = checkpoint.read_json("vocab.json")
    if vocabulary is None:
        raise TokenizerError("there is no vocab.json")
    ids = {token for token in vocabulary.values() if isinstance(token, int)}
    if max(ids, default=0) >= size:
        raise TokenizerError(f"vocab.json goes up to id {max(ids)}, the model's vocabulary ends at {size - 1}")
    room = f"the model has room for {size - len(ids):,} more" if len(ids) < size else "as configured"
    return f"{len(ids):,} tokens, {room}"


def _check_tokenizer(checkpoint: Checkpoint) -> str:
    from s2t2_cli.tokenization import Speech2Text2Tokenizer

    Speech2Text2Tokenizer.from_pretrained(checkpoint.folder)
    if checkpoint.path("merges.txt") is None:
        return "decodes; cannot encode, for there is no merges.txt"
    return "encodes and decodes"


def _check_audio_features(checkpoint: Checkpoint) -> str:
    from s2t2_cli.audio import SAMPLING_RATE
    from s2t2_cli.processing import Wav2Vec2FeatureExtractor

    if checkpoint.path("preprocessor_config.json") is None:
        return f"no preprocessor_config.json: normalised, {SAMPLING_RATE} Hz"
    rate = Wav2Vec2FeatureExtractor.from_pretrained(checkpoint.folder).sampling_rate
    if rate != SAMPLING_RATE:
        raise ConfigurationError(f"preprocessor_config.json asks for {rate} Hz, only {SAMPLING_RATE} is supported")
    return f"{rate} Hz"


def _config(checkpoint: Checkpoint) -> SpeechEncoderDecoderConfig:
    return SpeechEncoderDecoderConfig.from_dict(read_json_object(checkpoint.folder / CONFIG_NAME))


_CHECKS: dict[str, Callable[[Checkpoint], str]] = {
    "configuration": _check_configuration,
    "checksums": _check_checksums,
    "tensors": _check_tensors,
    "values": _check_values,
    "vocabulary": _check_vocabulary,
    "tokenizer": _check_tokenizer,
    "audio features": _check_audio_features,
}
