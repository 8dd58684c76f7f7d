"""The whole way from recordings to results behind one class; the command line is a thin user of it.

Knows: how the stages join, what becomes of an input that fails. Does not know: how any stage does its work, files of
results, the terminal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any, Self

import torch

from s2t2_cli.assembling import Assembly, OnSegment
from s2t2_cli.audio import SAMPLING_RATE, AudioInput, check_backend
from s2t2_cli.audio.pcm import check_pcm_rate
from s2t2_cli.batching import LengthBatches, ReadAhead, in_order
from s2t2_cli.checkpoint import Checkpoint, resolve_checkpoint
from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.checkpoint.published import language_of
from s2t2_cli.clips import Clip, ClipReader, End
from s2t2_cli.devices import bound_kernel_cache, find_device_and_dtype
from s2t2_cli.errors import ConfigurationError, UsageError
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.generation import Fusion
from s2t2_cli.inputs import Source
from s2t2_cli.language_model import USUAL_WEIGHT, load_fusion
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.records import TranslationResult
from s2t2_cli.segmentation.settings import USUAL_SECONDS, Method, Segmentation
from s2t2_cli.segmentation.spans import Span
from s2t2_cli.text import Detokenizer
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.translating import ClipTranslator

# Audio in one batch. On a CPU larger batches gain nothing in the encoder and cost padding; a GPU wants to be full.
_BATCH_SECONDS = {"cpu": 40.0, "mps": 120.0, "cuda": 600.0}


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
        bound_kernel_cache()
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
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(checkpoint.folder)
        if extractor.sampling_rate != SAMPLING_RATE:
            raise ConfigurationError(
                f"{checkpoint.name} wants audio at {extractor.sampling_rate} Hz; only {SAMPLING_RATE} Hz is supported"
            )
        return cls(
            network,
            extractor,
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
        pcm_rate: int | None = None,
        segmentation: Method | None = None,
        max_segment_seconds: float = USUAL_SECONDS,
        segments: Mapping[str | None, Sequence[Span]] | None = None,
        on_segment: OnSegment | None = None,
        n_best: int = 1,
        detokenize: bool = True,
        batch_seconds: float | None = None,
        ordered: bool = True,
        **search: Any,
    ) -> Iterator[TranslationResult]:
        """Translate one input or many, lazily: results come as soon as they, and those before them, are ready.

        An input is a path, a URL, bytes, a binary file, a mono array or tensor with its rate in Hz given by
        `sampling_rate` (or as `{"array" or "raw": …, "sampling_rate": …}`), or a Source; with `pcm_rate`, files hold
        bare 16-bit samples of that rate. `n_best` hypotheses are returned, the others as `alternatives`.
        `batch_seconds` bounds the audio in one batch, padding included. `ordered=False` gives results as soon as each
        is ready. `search` are fields of GenerationConfig (`num_beams`, `length_penalty`, `max_new_tokens`,
        `no_repeat_ngram_size` …); None leaves the checkpoint's.

        A recording longer than `max_segment_seconds` is cut into segments of at most that length where nobody speaks:
        its result has `segments`, their texts joined by spaces, their tokens one after the other, and as score the
        mean of theirs weighted by tokens; the second best of all of them make the first alternative. `segmentation`
        "vad" looks for speech in short recordings, too, "fixed" cuts without looking for speech, "none" refuses what
        is longer than ten minutes. `segments` names the stretches to translate, for each recording or under None for
        all (`s2t2_cli.segment_files.read_segments`). `on_segment(source, segment)` is called for each segment of a
        recording that is cut once it and those before it are translated, from within the iteration, before the result
        of the whole recording. From a pipe, segments are translated as soon as they end.

        An input that fails gives a result with `status == "error"` and its exception in `error`; the others go on.
        Raises ConfigurationError for settings that cannot be honoured and UsageError for a bad budget, rate or length
        of segments, all at once.
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
        if pcm_rate is not None:
            check_pcm_rate(pcm_rate)
        reader = ClipReader(
            Segmentation(segmentation, max_segment_seconds, segments),
            sampling_rate=sampling_rate,
            pcm_rate=pcm_rate,
            backend=self._audio_backend,
        )
        translate_clips = ClipTranslator(
            self.model,
            self.feature_extractor,
            self.tokenizer,
            settings,
            Detokenizer(self.lang) if detokenize else None,
            self.fusion,
        )
        assembly = Assembly(lang=self.lang, model=self.name, on_segment=on_segment)
        results = self._results(_as_sources(inputs), reader, translate_clips, assembly, budget)
        return in_order(results) if ordered else (result for _, result in results)

    def _results(
        self,
        sources: Iterator[Source],
        reader: ClipReader,
        translate_clips: ClipTranslator,
        assembly: Assembly,
        budget: float,
    ) -> Iterator[tuple[int, TranslationResult]]:
        """Results with their positions, as they become ready."""
        read = chain.from_iterable(reader.read(position, source) for position, source in enumerate(sources))
        waiting = LengthBatches[Clip](lambda clip: clip.seconds, budget, padding_is_neutral=self._padding_is_neutral)

        def translated(batches: list[list[tuple[int, Clip]]]) -> Iterator[tuple[int, TranslationResult]]:
            for batch in batches:
                clips = [clip for _, clip in batch]
                for clip, translation in zip(clips, translate_clips(clips), strict=True):
                    yield from assembly.add(clip, translation)

        with closing(
            ReadAhead(read, lambda item: item.seconds if isinstance(item, Clip) else 0.0, 2 * budget)
        ) as ahead:
            for number, item in enumerate(ahead):
                # An end needs no model: what it completes must not wait for a batch to fill.
                if isinstance(item, End):
                    yield from assembly.end(item)
                else:
                    in_a_hurry = item.is_live and not ahead.has_more
                    yield from translated(waiting.add(number, item, cannot_wait=in_a_hurry))
            yield from translated(waiting.rest())

    @property
    def _padding_is_neutral(self) -> bool:
        """Whether a clip's translation is the same in any batch.

        A GroupNorm over time sees the padding, an adapter's convolution looks into it, and without a mask everything
        does; such models translate only clips of equal length together.
        """
        encoder = self.model.config.encoder
        masked = self.feature_extractor.return_attention_mask
        return masked and encoder.feat_extract_norm == "layer" and not encoder.add_adapter


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
