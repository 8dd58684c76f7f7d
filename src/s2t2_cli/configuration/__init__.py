"""Typed configurations that read the published JSON and write it back without loss.

Knows: every field the model and the search use, its default in the reference, which values this package honours.
Does not know: tensors, files other than `config.json` and `generation_config.json`.

A key we do not use (the checkpoints carry many: `conv_channels`, `encoder_layers`, `id2label` …) is kept in `extra`
and written back. A value we could not honour is refused by name rather than ignored.
"""

from s2t2_cli.configuration.base import read_json_object, write_json_object
from s2t2_cli.configuration.networks import CONFIG_NAME, Speech2Text2Config, SpeechEncoderDecoderConfig, Wav2Vec2Config
from s2t2_cli.configuration.search import GENERATION_CONFIG_NAME, GenerationConfig, as_ids

__all__ = [
    "CONFIG_NAME",
    "GENERATION_CONFIG_NAME",
    "GenerationConfig",
    "Speech2Text2Config",
    "SpeechEncoderDecoderConfig",
    "Wav2Vec2Config",
    "as_ids",
    "read_json_object",
    "write_json_object",
]
