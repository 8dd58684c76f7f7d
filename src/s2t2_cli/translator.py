"""The whole way from recordings to results behind one class; the command line is a thin user of it.

Knows: how the stages join, what becomes of an input that fails. Does not know: how any stage does its work, files of
results, the terminal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from s2t2_cli.audio import SAMPLING_RATE, Audio, AudioInput, check_backend, stream_audio
from s2t2_cli.batching import in_order, length_batches, read_ahead
from s2t2_cli.checkpoint import Checkpoint, resolve_checkpoint
from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.checkpoint.published import language_of
from s2t2_cli.configuration import GenerationConfig
from s2t2_cli.devices import find_device_and_dtype
from s2t2_cli.errors import AudioTooLongError, InputError, TranslationError, UsageError
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.generation import Fusion
from s2t2_cli.generation.hypotheses import Hypothesis
from s2t2_cli.inputs import STDIN, Source
from s2t2_cli.language_model import USUAL_WEIGHT, load_fusion
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.records import Alternative, TranslationResult
from s2t2_cli.text import Detokenizer
from s2t2_cli.tokenization import Speech2Text2Tokenizer

logger = logging.getLogger(__name__)

# Attention is quadratic in length and the models stop at 200 tokens: much less than this already loses text.
_LONGEST_SECONDS = 600

# Audio in one batch. On a CPU larger batches gain nothing in the encoder and cost padding; a GPU wants to be full.
_BATCH_SECONDS = {"cpu": 40.0, "mps": 120.0, "cuda": 600.0}


@dataclass(frozen=True)
class _Clip:
    """An input with its samples, on the way to the model."""

    source: Source
    audio: Audio


class Translator:
    """Translates English speech with one checkpoint.

        translator = Translator.from_pretrained("facebook/s2t-wav2vec2-large-en-de")
        for result in translator.translate(["a.flac", waveform]):
            print(result.text)

    `name` is the checkpoint as it was asked for, `lang` the target language that detokenising follows (None: the
    text stays as the checkpoint writes it, apart from markers), `fusion` the language model that takes part in the
    search, if any, with its weight and the seconds it took.
    """

    def __init__(
        self,
        model: SpeechEncoderDecoderModel,
        feature_extractor: Wav2Vec2FeatureExtractor,
        tokenizer: Speech2Text2Tokenizer,
        *,
        name: str,
        lang: str | None = None,
        audio_backend: str = "av",
        fusion: Fusion | None = None,
    ) -> None:
        self.model = model
        self.feature_extractor = feature_extractor
        self.tokenizer = tokenizer
        self.name = name
        self.lang = lang
        self.fusion = fusion
        self._audio_backend = audio_backend

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | Checkpoint,
        *,
        lang: str | None = None,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        audio_backend: str = "av",
        lm: str | os.PathLike[str] | Checkpoint | None = None,
        lm_weight: float = USUAL_WEIGHT,
    ) -> Self:
        """Load a checkpoint from a folder, a hub id, or as `resolve_checkpoint` found it.

        `lang` is de, tr, ca or ar, by default what the name ends in (`…-en-de`). `device` is auto, cpu, cuda[:N] or
        mps; `dtype` auto, float32, float16, bfloat16 or, on the CPU, int8 (auto is float32, which gives the reference's
        tokens); `threads` limits torch, process-wide. `lm` is a language model over the same sub-words
        (`s2t2 train-lm`), whose log-probability times `lm_weight` is added in every step of the search; scores include
        it. Raises ModelError, or UsageError for a device that is not there.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        place, numbers = find_device_and_dtype(device, dtype)
        check_backend(audio_backend)
        if isinstance(model, str):
            model = bundled_name(model, lang)
        checkpoint = resolve_checkpoint(
            model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only
        )
        fusion = None
        if lm is not None:
            fusion = load_fusion(
                lm,
                lm_weight,
                beside=checkpoint,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                dtype=torch.float32 if numbers == torch.int8 else numbers,
                device=place,
            )
        network = SpeechEncoderDecoderModel.from_pretrained(checkpoint, dtype=numbers).to(place)
        return cls(
            network,
            Wav2Vec2FeatureExtractor.from_pretrained(checkpoint.folder),
            Speech2Text2Tokenizer.from_pretrained(checkpoint.folder),
            name=checkpoint.name,
            lang=lang or language_of(checkpoint.name),
            audio_backend=audio_backend,
            fusion=fusion,
        )

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.model.dtype

    def translate(
        self,
        inputs: AudioInput | Source | Iterable[AudioInput | Source],
        *,
        sampling_rate: int | None = None,
        n_best: int = 1,
        detokenize: bool = True,
        batch_seconds: float | None = None,
        ordered: bool = True,
        **search: Any,
    ) -> Iterator[TranslationResult]:
        """Translate one input or many, lazily: results come as soon as they, and those before them, are ready.

        An input is a path, a URL, bytes, a binary file, a mono array or tensor with its rate in Hz given by
        `sampling_rate` (or as `{"array" or "raw": …, "sampling_rate": …}`), or a Source. `n_best` hypotheses are
        returned, the others as `alternatives`. `batch_seconds` bounds the audio in one batch, padding included.
        `ordered=False` gives results as soon as each is ready. `search` are fields of GenerationConfig
        (`num_beams`, `length_penalty`, `max_new_tokens`, `no_repeat_ngram_size` …); None leaves the checkpoint's.

        An input that fails gives a result with `status == "error"` and its exception in `error`; the others go on.
        Raises ConfigurationError for settings that cannot be honoured and UsageError for a bad budget, both at once.
        """
        settings = self.model.generation_config.replace(**search)
        if n_best > settings.num_beams:
            raise UsageError(
                f"{n_best} best translations were asked for, but {settings.num_beams} beams keep at most "
                f"{settings.num_beams}; raise the number of beams"
            )
        settings = settings.replace(num_return_sequences=n_best)
        budget = batch_seconds if batch_seconds is not None else _BATCH_SECONDS.get(self.device.type, 40.0)
        if not budget > 0:
            raise UsageError(f"a batch of {budget} seconds holds no audio; batch_seconds must be above 0")
        results = self._results(_as_sources(inputs), sampling_rate, settings, budget, detokenize)
        return in_order(results) if ordered else (result for _, result in results)

    def _results(
        self, sources: Iterator[Source], sampling_rate: int | None, settings: GenerationConfig, budget: float,
        detokenize: bool,
    ) -> Iterator[tuple[int, TranslationResult]]:  # fmt: skip
        """Results with their positions, as they become ready."""
        detokenizer = Detokenizer(self.lang) if detokenize else None
        loaded = enumerate(self._load(source, sampling_rate) for source in sources)
        # Whatever needs no model is ready now, and must not wait for a batch to fill.
        ready: list[tuple[int, TranslationResult]] = []

        def clips(items: Iterable[tuple[int, _Clip | TranslationResult]]) -> Iterator[tuple[int, _Clip]]:
            for position, item in items:
                if isinstance(item, TranslationResult):
                    ready.append((position, item))
                else:
                    yield position, item

        def drain() -> Iterator[tuple[int, TranslationResult]]:
            while ready:
                yield ready.pop(0)

        with closing(read_ahead(loaded, lambda item: _seconds(item[1]), 2 * budget)) as ahead:
            batches = length_batches(
                clips(ahead),
                lambda clip: clip.audio.duration,
                budget,
                padding_is_neutral=self._padding_is_neutral,
            )
            for batch in batches:
                yield from drain()
                translated = self._translate_batch([clip for _, clip in batch], settings, detokenizer)
                yield from zip((position for position, _ in batch), translated, strict=True)
            yield from drain()

    @property
    def _padding_is_neutral(self) -> bool:
        """Whether a clip's translation is the same in any batch.

        A GroupNorm over time sees the padding, an adapter's convolution looks into it, and without a mask everything
        does; such models translate only clips of equal length together.
        """
        encoder = self.model.config.encoder
        masked = self.feature_extractor.return_attention_mask
        return masked and encoder.feat_extract_norm == "layer" and not encoder.add_adapter

    def _load(self, source: Source, sampling_rate: int | None) -> _Clip | TranslationResult:
        """The input's samples, or the result that says why there is nothing to translate."""
        if source.error is not None:
            return _failed(source, source.error)
        try:
            audio = self._read(source, sampling_rate)
        except (InputError, MemoryError) as error:
            return _failed(source, _input_error(error))
        if "silent" in audio.warnings:
            return self._result(source, audio, [], None)
        return _Clip(source, audio)

    def _read(self, source: Source, sampling_rate: int | None) -> Audio:
        """The whole recording; one that goes on for too long is given up before it fills the memory."""
        name = "standard input" if source.name == STDIN else source.name
        blocks: list[NDArray[np.float32]] = []
        samples = 0
        stream = stream_audio(source.media, sampling_rate=sampling_rate, backend=self._audio_backend, name=name)
        with closing(stream):
            for block in stream:
                blocks.append(block)
                samples += len(block)
                if samples > _LONGEST_SECONDS * SAMPLING_RATE:
                    raise AudioTooLongError(
                        f"{stream.name} is longer than {_LONGEST_SECONDS // 60} minutes; the model reads sentences, "
                        "so cut the recording into pieces first"
                    )
        return Audio(np.concatenate(blocks), stream.warnings)

    def _translate_batch(
        self, clips: list[_Clip], settings: GenerationConfig, detokenizer: Detokenizer | None
    ) -> list[TranslationResult]:
        try:
            hypotheses = self._search(clips, settings)
        except (RuntimeError, MemoryError, InputError) as error:
            if len(clips) == 1:
                return [_failed(clips[0].source, _input_error(error), clips[0].audio.duration)]
            # Out of memory, mostly: halves may fit, and a clip that fails by itself must not take others with it.
            logger.warning("a batch of %d clips failed (%s); trying it in halves", len(clips), _first_line(error))
            half = len(clips) // 2
            parts = (clips[:half], clips[half:])
            return [result for part in parts for result in self._translate_batch(part, settings, detokenizer)]
        return [
            self._result(clip.source, clip.audio, best, detokenizer)
            for clip, best in zip(clips, hypotheses, strict=True)
        ]

    def _search(self, clips: list[_Clip], settings: GenerationConfig) -> list[list[Hypothesis]]:
        features = self.feature_extractor(
            [clip.audio.samples for clip in clips],
            sampling_rate=SAMPLING_RATE,
            padding=True,
            return_tensors="pt",
        )
        mask = features.get("attention_mask")
        output = self.model.generate(
            features["input_values"].to(self.device, self.dtype),
            attention_mask=None if mask is None else mask.to(self.device),
            generation_config=settings,
            fusion=self.fusion,
            return_dict_in_generate=True,
        )
        assert not isinstance(output, torch.Tensor)  # a dictionary was asked for
        return output.hypotheses

    def _result(
        self,
        source: Source,
        audio: Audio,
        hypotheses: list[Hypothesis],
        detokenizer: Detokenizer | None,
    ) -> TranslationResult:
        found = [self._alternative(one, detokenizer) for one in hypotheses]
        best = found[0] if found else Alternative("", "", float("nan"))
        return TranslationResult(
            audio_filepath=source.name,
            lang=self.lang,
            model=self.name,
            duration=audio.duration,
            text=best.text,
            raw_text=best.raw_text,
            score=best.score if found else None,
            tokens=best.tokens,
            alternatives=tuple(found[1:]),
            warnings=_warnings(audio, hypotheses),
            fields=source.fields,
        )

    def _alternative(self, hypothesis: Hypothesis, detokenizer: Detokenizer | None) -> Alternative:
        raw_text = self.tokenizer.decode(list(hypothesis.tokens), skip_special_tokens=True)
        text = raw_text if detokenizer is None else detokenizer(raw_text)
        return Alternative(text, raw_text, hypothesis.score, hypothesis.tokens)


def _as_sources(inputs: AudioInput | Source | Iterable[AudioInput | Source]) -> Iterator[Source]:
    """One input or many, as named sources."""
    single = isinstance(inputs, str | bytes | bytearray | os.PathLike | Mapping | Source)
    if single or hasattr(inputs, "read") or hasattr(inputs, "shape"):
        inputs = chain([inputs])  # type: ignore[list-item]
    return (_as_source(one, number) for number, one in enumerate(inputs))  # type: ignore[arg-type]


def _as_source(one: Any, number: int) -> Source:
    if isinstance(one, Source):
        return one
    if isinstance(one, str | os.PathLike):
        return Source(os.fsdecode(one), one)  # type: ignore[arg-type]
    name = one.get("path") if isinstance(one, Mapping) else getattr(one, "name", None)
    return Source(name if isinstance(name, str) else f"input-{number}", one)


def _seconds(item: _Clip | TranslationResult) -> float:
    return item.audio.duration if isinstance(item, _Clip) else 0.0


def _warnings(audio: Audio, hypotheses: list[Hypothesis]) -> tuple[str, ...]:
    """What the user should know of a result: about the recording, and whether the length limit cut the text off."""
    found = ["no_speech" if one == "silent" else one for one in audio.warnings]
    if hypotheses and hypotheses[0].end is None:
        found.append("length_limit")
    return tuple(found)


def _failed(source: Source, error: InputError, duration: float | None = None) -> TranslationResult:
    return TranslationResult(source.name, "error", duration=duration, error=error, fields=source.fields)


def _input_error(error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "memory" in str(error):
        return TranslationError("there is not enough memory to translate this recording; cut it into shorter pieces")
    return TranslationError(f"the model failed on this recording: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
