"""Speech2Text2 speech translation: English recordings to German, Turkish, Catalan or Arabic text.

The public names live in the modules below and are imported when first used, so that `import s2t2_cli` is free.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2t2_cli.configuration import (
        GenerationConfig as GenerationConfig,
    )
    from s2t2_cli.configuration import (
        Speech2Text2Config as Speech2Text2Config,
    )
    from s2t2_cli.configuration import (
        SpeechEncoderDecoderConfig as SpeechEncoderDecoderConfig,
    )
    from s2t2_cli.configuration import (
        Wav2Vec2Config as Wav2Vec2Config,
    )
    from s2t2_cli.errors import S2T2Error as S2T2Error
    from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor as Wav2Vec2FeatureExtractor
    from s2t2_cli.modeling.speech2text2 import Speech2Text2ForCausalLM as Speech2Text2ForCausalLM
    from s2t2_cli.modeling.speech_encoder_decoder import (
        SpeechEncoderDecoderModel as SpeechEncoderDecoderModel,
    )
    from s2t2_cli.modeling.wav2vec2 import Wav2Vec2Model as Wav2Vec2Model
    from s2t2_cli.processing import Speech2Text2Processor as Speech2Text2Processor
    from s2t2_cli.records import TranslationResult as TranslationResult
    from s2t2_cli.tokenization import Speech2Text2Tokenizer as Speech2Text2Tokenizer
    from s2t2_cli.translator import Translator as Translator

_HOME = {
    "GenerationConfig": "configuration",
    "S2T2Error": "errors",
    "Speech2Text2Config": "configuration",
    "Speech2Text2ForCausalLM": "modeling.speech2text2",
    "Speech2Text2Processor": "processing",
    "Speech2Text2Tokenizer": "tokenization",
    "SpeechEncoderDecoderConfig": "configuration",
    "SpeechEncoderDecoderModel": "modeling.speech_encoder_decoder",
    "TranslationResult": "records",
    "Translator": "translator",
    "Wav2Vec2Config": "configuration",
    "Wav2Vec2FeatureExtractor": "feature_extraction",
    "Wav2Vec2Model": "modeling.wav2vec2",
}

__version__ = "0.1.0"
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
