"""The report: one page, in one file, that shows every utterance with its recording, texts and scores, worst first.

Knows: what stands on the page, where recordings are looked for. Does not know: how it looks (report.html, .css, .js),
how scores come about.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from s2t2_cli.errors import InputError, OutputError, UsageError
from s2t2_cli.escaping import readable
from s2t2_cli.evaluation.differences import Marked, mark_differences
from s2t2_cli.evaluation.evaluation import Evaluation
from s2t2_cli.evaluation.joining import Hypothesis, Utterance
from s2t2_cli.evaluation.scores import Score
from s2t2_cli.inputs import is_url
from s2t2_cli.manifests import PATH_FIELD
from s2t2_cli.text import language_code
from s2t2_cli.whole_files import write_whole

_BINS = 10
_WARNINGS = {
    "truncated": "the recording breaks off before its end",
    "decode_errors": "parts of the recording could not be decoded",
    "no_speech": "no speech was found in it",
    "segments_beyond_end": "some of the given segments start after its end",
    "failed_segments": "parts of it could not be translated",
    "repetition": "the translation fell into a loop",
    "too_long_for_duration": "the translation was longer than anybody speaks",
    "length_limit": "cut off at the length limit",
}


@dataclass(frozen=True, slots=True)
class _Said:
    """A system's hypothesis in one row."""

    text: Marked
    bleu: float
    chrf: float
    change: float | None
    """Of BLEU, to the first system."""
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    name: str
    transcript: str | None
    reference: Marked
    said: Sequence[_Said]
    seconds: float | None
    address: str | None
    silence: str | None
    """Why there is nothing to play."""


def check_place(path: Path) -> None:
    """Find out whether a report could be written there. Raises UsageError if not."""
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}, there is no folder {folder}; make it first: mkdir -p {folder}")
    if path.is_dir() or not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        raise UsageError(f"cannot write the report {path}; name a file in a folder that can be written to")


def write_report(
    path: Path,
    evaluation: Evaluation,
    *,
    audio_limit: int = 100_000_000,
    audio_dir: Path | None = None,
    show: Callable[[int], None] = lambda done: None,
) -> None:
    """Write the page; it appears whole or not at all.

    Recordings are put into it, worst utterances first, until `audio_limit` bytes are reached (0: none). They are
    looked for in `audio_dir`, beside the references, beside the hypotheses and in the current folder; none is
    fetched from the network. `show` is told how many utterances are done. Raises OutputError.
    """
    from jinja2 import Environment

    here = files("s2t2_cli.evaluation")
    style, script = (here.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    style += f"table {{ --columns: {len(evaluation.joined.systems) + 1}; }}\n"
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    template = environment.from_string(here.joinpath("report.html").read_text("utf-8"))
    page = template.stream(
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        lang=language_code(evaluation.normalization.lang or evaluation.joined.lang),
        evaluation=evaluation,
        systems=[_system(evaluation, number) for number in range(len(evaluation.joined.systems))],
        signatures=[(score.name, score.signature) for score in evaluation.scores[0]],
        scale=_scale(evaluation),
        test=_test(evaluation),
        problems=[(one, [_shown(name) for name in one.names]) for one in evaluation.joined.problems],
        rows=_Rows(evaluation, audio_limit, audio_dir, show),
    )
    page.enable_buffering(64)
    try:
        write_whole(path, (block.encode("utf-8", "backslashreplace") for block in page))
    except OSError as problem:
        raise OutputError(f"cannot write the report {path} ({problem.strerror})") from problem


class _Rows:
    """The rows, worst first, each made when its turn comes: their audio is never held all at once."""

    def __init__(
        self, evaluation: Evaluation, audio_limit: int, audio_dir: Path | None, show: Callable[[int], None]
    ) -> None:
        self._evaluation = evaluation
        self._room = audio_limit
        self._wants_audio = audio_limit > 0
        self._folders = [*([audio_dir] if audio_dir else []), *evaluation.joined.folders, Path()]
        self._show = show

    def __len__(self) -> int:
        return len(self._evaluation.joined.utterances)

    def __iter__(self) -> Iterator[_Row]:
        sentences = self._evaluation.sentences
        order = sorted(range(len(self)), key=lambda place: (*sentences[0][place], place))
        for done, place in enumerate(order, 1):
            yield self._row(self._evaluation.joined.utterances[place], [scores[place] for scores in sentences])
            self._show(done)

    def _row(self, one: Utterance, scores: Sequence[tuple[float, float]]) -> _Row:
        reference, texts = mark_differences(
            readable(one.reference), [readable(said.text) for said in one.hypotheses], self._same
        )
        address, seconds, silence = self._recording(one)
        transcript = one.fields.get("transcript")
        return _Row(
            one.number,
            _shown(one.name),
            readable(transcript) if isinstance(transcript, str) else None,
            reference,
            [
                _Said(
                    text,
                    bleu,
                    chrf,
                    bleu - scores[0][0] if position else None,
                    [readable(note) for note in _notes(said)],
                )
                for position, (text, said, (bleu, chrf)) in enumerate(zip(texts, one.hypotheses, scores, strict=True))
            ],
            seconds if seconds is not None else _duration(one),
            address,
            silence,
        )

    def _same(self, word: str) -> str:
        word = self._evaluation.normalization(word)
        return word.lower() if self._evaluation.settings.lowercase else word

    def _recording(self, one: Utterance) -> tuple[str | None, float | None, str | None]:
        """Its address, its seconds, and why there is none."""
        if not self._wants_audio:
            return None, None, None
        names = [name for name in _names(one) if not is_url(name)]
        path = next((found for name in names for folder in self._folders if _is_file(found := folder / name)), None)
        if path is None:
            why = "the recording was not found" if names else "an address; not fetched for the report"
            return None, None, why if next(_names(one), None) is not None else None
        if self._room <= 0:
            return None, None, "left out: --report-audio-limit is reached"
        from s2t2_cli.evaluation.clips import make_clip

        try:
            clip = make_clip(path)
        except InputError as error:
            return None, None, readable(str(error))
        self._room -= len(clip.address)
        return clip.address, clip.duration, None


def _system(evaluation: Evaluation, number: int) -> dict[str, Any]:
    counts = [0] * _BINS
    for _, chrf in evaluation.sentences[number]:
        counts[min(int(chrf * _BINS / 100), _BINS - 1)] += 1
    return {
        "name": _shown(evaluation.joined.systems[number]),
        "scores": evaluation.scores[number],
        "failed": evaluation.failed(number),
        "bins": counts,
        "highest": max(counts),
    }


def _scale(evaluation: Evaluation) -> list[tuple[float, float]]:
    """For BLEU and chrF2, the stretch that all intervals fit into."""
    scales = []
    for column in zip(*evaluation.scores, strict=True):
        ends = list(chain.from_iterable(map(_ends, column)))
        margin = max(1.0, (max(ends) - min(ends)) / 4)
        scales.append((max(0.0, min(ends) - margin), min(100.0, max(ends) + margin)))
    return scales


def _test(evaluation: Evaluation) -> str | None:
    """How further systems were tested against the first."""
    settings = evaluation.settings
    if all(score.p_value is None for scores in evaluation.scores for score in scores):
        return None
    return "paired bootstrap resampling" if settings.paired == "bootstrap" else "approximate randomisation"


def _ends(score: Score) -> tuple[float, ...]:
    if score.interval is None:
        return (score.value,)
    return (
        score.value,
        score.interval.mean - score.interval.half_width,
        score.interval.mean + score.interval.half_width,
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have, a folder that may not be entered
        return False


def _names(one: Utterance) -> Iterator[str]:
    """What the recording is called by the reference, then by each system."""
    for fields in (one.fields, *(said.fields for said in one.hypotheses)):
        if isinstance(name := fields.get(PATH_FIELD), str) and name:
            yield name


def _notes(said: Hypothesis) -> list[str]:
    if said.failure is not None:
        return [f"failed: {said.failure}"]
    warnings = said.fields.get("warnings") or []
    if isinstance(warnings, str):
        warnings = warnings.split("; ")
    return [_WARNINGS.get(str(one), str(one)) for one in warnings]


def _duration(one: Utterance) -> float | None:
    for fields in (*(said.fields for said in one.hypotheses), one.fields):
        try:
            return float(fields["duration"])
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _shown(name: str) -> str:
    """A name for the page, which may be passed on: without the password of an address."""
    if is_url(name):
        from s2t2_cli.audio.fetching import without_credentials

        name = without_credentials(name)
    return readable(name)


def _hash(content: str) -> str:
    """Of what stands between the tags, as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _number(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """With a real minus, and without one before zero."""
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")
