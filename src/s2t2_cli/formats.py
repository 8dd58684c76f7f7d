"""The formats of results: text, JSON lines, TSV, subtitles.

Knows: the layout of a result in each. Does not know: where the lines go (writers).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from s2t2_cli.errors import UsageError
from s2t2_cli.escaping import escape_cell, one_line
from s2t2_cli.records import Alternative, Segment, TranslationResult, dump_json_line
from s2t2_cli.subtitles import SubtitleName, SubtitleStream, lay_out, write_subtitles

# Between warnings in one cell.
WARNING_SEPARATOR = "; "

FormatName = Literal["text", "jsonl", "tsv", "srt", "vtt", "parquet"]


class Parts(ABC):
    """How a single recording becomes lines while it lasts."""

    @abstractmethod
    def add(self, name: str, segment: Segment) -> str:
        """What can be written now that there is one more segment of the recording called `name`."""

    @abstractmethod
    def finish(self, result: TranslationResult) -> str:
        """What is left to be written when `result` is there, whose segments were all added."""


class Format(ABC):
    """How a result becomes lines."""

    ending: str
    """Ending of a file of this format, with its dot."""
    header: str = ""
    """What stands once at the top."""
    holds_several: bool = True
    """Whether results can follow one another in one file."""

    @abstractmethod
    def render(self, result: TranslationResult) -> str:
        """The lines for `result`, each with its end; empty where the format has none for it."""

    def by_segments(self) -> Parts | None:
        """For one recording whose segments are written as they come; None where a result is written whole."""
        return None


@dataclass(frozen=True)
class TextFormat(Format):
    """The translation, behind the file name if asked for; a failed input has no line.

    With `n_best`, a line a hypothesis, best first, its score in front of it. Columns are separated by tabs.
    """

    with_filename: bool = False
    n_best: bool = False
    ending = ".txt"

    def render(self, result: TranslationResult) -> str:
        if result.error is not None:
            return ""
        start = f"{one_line(result.audio_filepath)}\t" if self.with_filename else ""
        if not self.n_best:
            return f"{start}{one_line(result.text)}\n"
        return "".join(f"{start}{_score(one.score)}\t{one_line(one.text)}\n" for one in _hypotheses(result))

    def by_segments(self) -> Parts | None:
        return None if self.n_best else _TextParts(self)


class _TextParts(Parts):
    """A line a segment."""

    def __init__(self, layout: TextFormat) -> None:
        self._layout = layout

    def add(self, name: str, segment: Segment) -> str:
        return self._layout.render(TranslationResult(name, text=segment.text, raw_text=segment.raw_text))

    def finish(self, result: TranslationResult) -> str:
        return ""


@dataclass(frozen=True)
class JsonlFormat(Format):
    """The whole record as one line of JSON; failed inputs too."""

    tokens: bool = False
    ending = ".jsonl"

    def render(self, result: TranslationResult) -> str:
        return result.to_json(tokens=self.tokens) + "\n"


class ParquetFormat(JsonlFormat):
    """Records for a table, which is made of their JSON lines."""

    ending = ".parquet"


class TsvFormat(Format):
    """A header row and a row a result, failed ones too, escaped as linear TSV.

    `n_best` adds the column `rank` and gives every hypothesis its row; `tokens` adds the ids, separated by
    spaces; `fields` adds what the manifest said, as JSON.
    """

    ending = ".tsv"

    def __init__(self, *, n_best: bool = False, tokens: bool = False, fields: bool = False) -> None:
        self._n_best, self._tokens, self._fields = n_best, tokens, fields
        columns = ["audio_filepath", "status", "lang", "duration"]
        columns += ["rank"] if n_best else []
        columns += ["score", "text", "raw_text"]
        columns += ["tokens"] if tokens else []
        columns += ["warnings", "error"]
        columns += ["fields"] if fields else []
        self.header = "\t".join(columns) + "\n"

    def render(self, result: TranslationResult) -> str:
        hypotheses = _hypotheses(result) if self._n_best else [result]
        return "".join(self._row(result, rank, one) for rank, one in enumerate(hypotheses, 1))

    def _row(self, result: TranslationResult, rank: int, one: TranslationResult | Alternative) -> str:
        duration = "" if result.duration is None else f"{result.duration:.3f}"
        cells = [result.audio_filepath, result.status, result.lang or "", duration]
        cells += ["" if result.error else str(rank)] if self._n_best else []
        cells += [_score(one.score), one.text, one.raw_text]
        cells += [" ".join(map(str, one.tokens))] if self._tokens else []
        cells += [WARNING_SEPARATOR.join(result.warnings), str(result.error or "")]
        cells += [dump_json_line(result.fields)] if self._fields else []
        return "\t".join(map(escape_cell, cells)) + "\n"


class SubtitleFormat(Format):
    """A recording's segments as subtitles, its whole text where it was not cut; a failed input has none.

    Times begin with each recording, so each needs a file of its own. One where nothing is said is a file without cues.
    """

    holds_several = False

    def __init__(self, name: SubtitleName) -> None:
        self._name = name
        self.ending = f".{name}"

    def render(self, result: TranslationResult) -> str:
        if result.error is not None:
            return ""
        whole = Segment(0.0, result.duration or 0.0, result.text, result.raw_text, result.score)
        return write_subtitles(lay_out(result.segments or [whole], result.duration), self._name)

    def by_segments(self) -> Parts:
        return _SubtitleParts(self._name)


class _SubtitleParts(Parts):
    """A segment's cues as soon as the next segment is there, for how long they stay depends on it."""

    def __init__(self, name: SubtitleName) -> None:
        self._stream = SubtitleStream(name)

    def add(self, name: str, segment: Segment) -> str:
        return self._stream.add(segment)

    def finish(self, result: TranslationResult) -> str:
        return self._stream.finish(result.duration)


def make_format(
    name: FormatName,
    *,
    with_filename: bool = False,
    n_best: bool = False,
    tokens: bool = False,
    fields: bool = False,
) -> Format:
    """The format called `name`, with what of the rest concerns it. Raises UsageError for `n_best` subtitles."""
    if name in ("srt", "vtt"):
        if n_best:
            raise UsageError(f"{name} holds one translation; leave out --n-best, or use --format jsonl")
        return SubtitleFormat(name)
    if name == "jsonl":
        return JsonlFormat(tokens)
    if name == "parquet":
        return ParquetFormat(tokens)
    if name == "tsv":
        return TsvFormat(n_best=n_best, tokens=tokens, fields=fields)
    return TextFormat(with_filename, n_best)


def _hypotheses(result: TranslationResult) -> list[TranslationResult | Alternative]:
    """Best first; a result is its own best hypothesis."""
    return [result, *result.alternatives]


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.6f}"
