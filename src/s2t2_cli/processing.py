"""Feature extractor and tokenizer as one object, the way recipes for the reference use them.

Knows: which of the two an argument is for. Does not know: what either does with it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from s2t2_cli.batch_feature import BatchFeature
from s2t2_cli.errors import UsageError
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor as Wav2Vec2FeatureExtractor
from s2t2_cli.pretrained import pretrained_folder
from s2t2_cli.tokenization import Speech2Text2Tokenizer as Speech2Text2Tokenizer


class Speech2Text2Processor:
    """A `Wav2Vec2FeatureExtractor` for audio and a `Speech2Text2Tokenizer` for text."""

    attributes: ClassVar[list[str]] = ["feature_extractor", "tokenizer"]

    def __init__(self, feature_extractor: Wav2Vec2FeatureExtractor, tokenizer: Speech2Text2Tokenizer) -> None:
        self.feature_extractor = feature_extractor
        self.tokenizer = tokenizer
        self._takes_targets = False

    @property
    def model_input_names(self) -> list[str]:
        """What a call with audio returns."""
        return self.feature_extractor.model_input_names

    def __call__(
        self,
        audio: Any = None,
        *,
        text: str | Sequence[str] | None = None,
        sampling_rate: int | None = None,
        **options: Any,
    ) -> BatchFeature:
        """Audio to `input_values` and `attention_mask`; text to `input_ids`; both to the former with `labels`.

        `sampling_rate` in hertz is the rate `audio` was recorded at, see `Wav2Vec2FeatureExtractor`. All other
        options go to whichever of the two is called; with both given, `max_length` counts samples for one and
        tokens for the other, so process them one by one where that matters.

        Raises InvalidAudioError, TokenizerError, or UsageError where neither audio nor text is given.
        """
        if self._takes_targets:
            audio, text = None, audio if text is None else text
        if audio is None and text is None:
            raise UsageError("there is nothing to process; pass audio or text")
        if audio is None:
            return self.tokenizer(text, **options)
        inputs = self.feature_extractor(audio, sampling_rate=sampling_rate, **options)
        if text is not None:
            inputs["labels"] = self.tokenizer(text, **options)["input_ids"]
        return inputs

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """`Speech2Text2Tokenizer.decode`."""
        return self.tokenizer.decode(*args, **kwargs)

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """`Speech2Text2Tokenizer.batch_decode`."""
        return self.tokenizer.batch_decode(*args, **kwargs)

    @contextmanager
    def as_target_processor(self) -> Iterator[None]:
        """Deprecated, as in the reference: inside it, calls take text. Pass `text=` instead."""
        warnings.warn("as_target_processor is deprecated; pass text= to the call", FutureWarning, stacklevel=3)
        self._takes_targets = True
        try:
            yield
        finally:
            self._takes_targets = False

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Read both from a local folder or a hub id.

        Raises ModelNotFoundError, HubUnreachableError, ConfigurationError, TokenizerError.
        """
        folder = pretrained_folder(model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
        return cls(Wav2Vec2FeatureExtractor.from_pretrained(folder), Speech2Text2Tokenizer.from_pretrained(folder))

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> list[str]:
        """Write the files of both in the published layout; the folder is made. Raises OutputError."""
        return [
            *self.feature_extractor.save_pretrained(save_directory),
            *self.tokenizer.save_pretrained(save_directory),
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.feature_extractor}, {self.tokenizer})"
