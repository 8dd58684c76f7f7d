"""Translations of clips to the results of the recordings they came from.

Knows: what is complete, what comes of a recording whose clips fared differently. Does not know: how anything was read
or translated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from s2t2_cli.clips import Clip, End
from s2t2_cli.inputs import Source
from s2t2_cli.records import Alternative, Segment, TranslationResult
from s2t2_cli.segmentation.spans import Span
from s2t2_cli.translating import Translation

OnSegment = Callable[[Source, Segment], None]


@dataclass
class _Part:
    """A clip's translation and its place; the samples are gone."""

    span: Span
    translation: Translation

    def segment(self) -> Segment:
        best = self.translation.hypotheses[0] if self.translation.hypotheses else Alternative("", "", float("nan"))
        score = best.score if self.translation.hypotheses else None
        return Segment(self.span.start, self.span.end, best.text, best.raw_text, score)


@dataclass
class _Recording:
    parts: dict[int, _Part] = field(default_factory=dict)
    told: int = 0
    end: End | None = None


class Assembly:
    """Takes clips with their translations, and ends, in any order; gives (position, result) of what is complete.

    `on_segment` is told of every segment of a recording that was cut, in order of time within each recording, as soon
    as it and those before it are translated.
    """

    def __init__(self, *, lang: str | None, model: str, on_segment: OnSegment | None = None) -> None:
        self._lang = lang
        self._model = model
        self._on_segment = on_segment
        self._open: dict[int, _Recording] = {}

    def add(self, clip: Clip, translation: Translation) -> Iterator[tuple[int, TranslationResult]]:
        """One more clip is translated."""
        recording = self._open.setdefault(clip.position, _Recording())
        recording.parts[clip.number] = _Part(clip.piece.span, translation)
        while self._on_segment is not None and clip.is_segment and recording.told in recording.parts:
            part = recording.parts[recording.told]
            recording.told += 1
            if part.translation.error is None:
                self._on_segment(clip.source, part.segment())
        yield from self._if_complete(clip.position)

    def end(self, end: End) -> Iterator[tuple[int, TranslationResult]]:
        """An input gives no more clips."""
        self._open.setdefault(end.position, _Recording()).end = end
        yield from self._if_complete(end.position)

    def _if_complete(self, position: int) -> Iterator[tuple[int, TranslationResult]]:
        recording = self._open[position]
        if recording.end is not None and len(recording.parts) == recording.end.clips:
            del self._open[position]
            yield position, self._result(recording.end, [recording.parts[n] for n in range(recording.end.clips)])

    def _result(self, end: End, parts: list[_Part]) -> TranslationResult:
        name, fields = end.source.name, end.source.fields
        translated = [part for part in parts if part.translation.error is None]
        error = end.error if translated or not parts else parts[0].translation.error
        if error is not None:
            duration = end.duration if parts else None
            return TranslationResult(name, "error", duration=duration, error=error, fields=fields)
        hypotheses = _joined([part.translation.hypotheses for part in translated if part.translation.hypotheses])
        best = hypotheses[0] if hypotheses else Alternative("", "", float("nan"))
        warnings = [*end.warnings, *(one for part in translated for one in part.translation.warnings)]
        if not hypotheses:
            warnings.append("no_speech")
        if len(translated) < len(parts):
            warnings.append("failed_segments")
        return TranslationResult(
            audio_filepath=name,
            lang=self._lang,
            model=self._model,
            duration=end.duration,
            text=best.text,
            raw_text=best.raw_text,
            score=best.score if hypotheses else None,
            tokens=best.tokens,
            alternatives=tuple(hypotheses[1:]),
            segments=tuple(part.segment() for part in translated) if end.was_cut else (),
            warnings=tuple(dict.fromkeys(warnings)),
            fields=fields,
        )


def _joined(found: list[tuple[Alternative, ...]]) -> list[Alternative]:
    """The best hypotheses of all clips as one, then the second best, and so on.

    The score is the mean of the clips' scores, weighted by their tokens with the one that ends each.
    """
    if len(found) == 1:
        return list(found[0])
    return [_join(ranked) for ranked in zip(*found, strict=False)]


def _join(ranked: tuple[Alternative, ...]) -> Alternative:
    weights = [len(one.tokens) + 1 for one in ranked]
    return Alternative(
        " ".join(one.text for one in ranked if one.text),
        " ".join(one.raw_text for one in ranked if one.raw_text),
        sum(one.score * weight for one, weight in zip(ranked, weights, strict=True)) / sum(weights),
        tuple(token for one in ranked for token in one.tokens),
    )
