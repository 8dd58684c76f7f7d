"""Clips to translations: a batch through the model, again in halves where it does not fit, again where words ran away.

Knows: features, the search, text. Does not know: where clips come from, what they are parts of, records.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from s2t2_cli.audio import SAMPLING_RATE
from s2t2_cli.clips import Clip, as_input_error, first_line, has_sound
from s2t2_cli.configuration import GenerationConfig
from s2t2_cli.errors import InputError
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.generation import Fusion
from s2t2_cli.generation.hypotheses import Hypothesis
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.records import Alternative
from s2t2_cli.runaway import RETRY_NO_REPEAT_NGRAM_SIZE, better_of, is_runaway
from s2t2_cli.text import Detokenizer
from s2t2_cli.tokenization import Speech2Text2Tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Translation:
    """What became of one clip: the hypotheses, best first (none where there is nothing to hear), or an error."""

    hypotheses: tuple[Alternative, ...] = ()
    warnings: tuple[str, ...] = ()
    error: InputError | None = None


class ClipTranslator:
    """Translates batches of clips, each with the same settings."""

    def __init__(
        self,
        model: SpeechEncoderDecoderModel,
        feature_extractor: Wav2Vec2FeatureExtractor,
        tokenizer: Speech2Text2Tokenizer,
        settings: GenerationConfig,
        detokenizer: Detokenizer | None,
        fusion: Fusion | None,
    ) -> None:
        self._model = model
        self._feature_extractor = feature_extractor
        self._tokenizer = tokenizer
        self._settings = settings
        self._detokenizer = detokenizer
        self._fusion = fusion

    def __call__(self, clips: list[Clip]) -> list[Translation]:
        """One translation a clip, in order. A clip that fails by itself has its error, and the others go on."""
        audible = [clip for clip in clips if has_sound(clip.piece.samples)]
        found = iter(self._translate(audible))
        return [next(found) if has_sound(clip.piece.samples) else Translation() for clip in clips]

    def _translate(self, clips: list[Clip]) -> list[Translation]:
        if not clips:
            return []
        try:
            hypotheses = self._search(clips, self._settings)
            return self._translations(clips, hypotheses)
        except (RuntimeError, MemoryError, InputError) as error:
            if len(clips) == 1:
                return [Translation(error=as_input_error(error))]
            # Out of memory, mostly: halves may fit, and a clip that fails by itself must not take others with it.
            logger.warning("a batch of %d clips failed (%s); trying it in halves", len(clips), first_line(error))
            half = len(clips) // 2
            return self._translate(clips[:half]) + self._translate(clips[half:])

    def _translations(self, clips: list[Clip], hypotheses: list[list[Hypothesis]]) -> list[Translation]:
        reasons = [is_runaway(found[0].tokens, clip.seconds) for clip, found in zip(clips, hypotheses, strict=True)]
        # A short recording keeps the words that the reference has for it, and is marked only.
        again = [number for number, clip in enumerate(clips) if clip.is_segment and reasons[number] is not None]
        if again and not self._settings.no_repeat_ngram_size:
            settings = self._settings.replace(no_repeat_ngram_size=RETRY_NO_REPEAT_NGRAM_SIZE)
            for number, second in zip(again, self._search([clips[one] for one in again], settings), strict=True):
                if better_of(hypotheses[number][0], second[0], clips[number].seconds) is second[0]:
                    hypotheses[number] = second
        return [self._translation(*one) for one in zip(hypotheses, reasons, strict=True)]

    def _translation(self, hypotheses: list[Hypothesis], runaway: str | None) -> Translation:
        warnings = ["length_limit"] if hypotheses[0].end is None else []
        warnings += [] if runaway is None else [runaway]
        return Translation(tuple(map(self._alternative, hypotheses)), tuple(warnings))

    def _search(self, clips: list[Clip], settings: GenerationConfig) -> list[list[Hypothesis]]:
        features = self._feature_extractor(
            [clip.piece.samples for clip in clips], sampling_rate=SAMPLING_RATE, padding=True, return_tensors="pt"
        )
        mask = features.get("attention_mask")
        output = self._model.generate(
            features["input_values"].to(self._model.device, self._model.dtype),
            attention_mask=None if mask is None else mask.to(self._model.device),
            generation_config=settings,
            fusion=self._fusion,
            return_dict_in_generate=True,
        )
        assert not isinstance(output, torch.Tensor)  # a dictionary was asked for
        return output.hypotheses

    def _alternative(self, hypothesis: Hypothesis) -> Alternative:
        raw_text = self._tokenizer.decode(list(hypothesis.tokens), skip_special_tokens=True)
        text = raw_text if self._detokenizer is None else self._detokenizer(raw_text)
        return Alternative(text, raw_text, hypothesis.score, hypothesis.tokens)
