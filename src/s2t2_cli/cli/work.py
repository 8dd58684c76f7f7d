"""Taking results as they come: written, counted, reported; and the one line that says how it ended.

Knows: the order of things while results come in. Does not know: options, or how a result is made.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from s2t2_cli.cli.exits import Interrupted, show_traceback
from s2t2_cli.cli.progress import Display, Tally
from s2t2_cli.errors import OutputError
from s2t2_cli.escaping import one_line
from s2t2_cli.inputs import Source, is_url
from s2t2_cli.records import TranslationResult
from s2t2_cli.writers import Places, StreamWriter, Writer

# What the marks in a result's `warnings` mean.
_WARNINGS = {
    "truncated": "the recording breaks off before its end",
    "decode_errors": "parts of the recording could not be decoded",
    "no_speech": "no speech was found in it",
    "segments_beyond_end": "some of the given segments start after its end",
    "failed_segments": "parts of it could not be translated",
    "repetition": "the translation fell into a loop; --no-repeat-ngram-size 3 prevents that",
    "too_long_for_duration": "the translation is longer than anybody speaks in that time; parts of it may be made up",
    "length_limit": "the translation was cut off at the length limit; cut the recording into sentences",
}


class Ledger:
    """The sources that are being worked on, each with the place claimed for its result (none for a stream).

    Places are claimed in the order of the sources, so that results in another order (`--unordered`) still go
    where they would have gone. Only what is in flight is held. Sources may be drawn by another thread than the
    one that settles results: the translator reads ahead.
    """

    def __init__(self, places: Places | None) -> None:
        self._places = places
        self._open: defaultdict[str, deque[tuple[Source, str]]] = defaultdict(deque)
        self._lock = threading.Lock()

    def watch(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Pass `sources` on, noting each."""
        for source in sources:
            with self._lock:
                place = "" if self._places is None else self._places.claim(source.place)
                self._open[source.name].append((source, place))
            yield source

    def settle(self, result: TranslationResult) -> tuple[Source, str]:
        """The source and the place that `result` belongs to."""
        with self._lock:
            waiting = self._open[result.audio_filepath]
            source_and_place = waiting.popleft()
            if not waiting:
                del self._open[result.audio_filepath]
        return source_and_place


def take(
    results: Iterable[TranslationResult],
    ledger: Ledger,
    writer: Writer,
    tally: Tally,
    display: Display,
    *,
    warns: bool,
) -> None:
    """Write every result as it comes, report what failed, and keep the tally.

    Raises `OutputError` and `Interrupted` with how far the work had got.
    """
    try:
        for result in results:
            source, place = ledger.settle(result)
            with display.aside():
                writer.write(result, place)
                tally.count(source, result)
            if result.error is not None:
                display.say(_about(result.audio_filepath, str(result.error)))
                show_traceback(result.error)
            elif warns:
                for warning in result.warnings:
                    if warning == "length_limit" and tally.cut_off > 1:
                        continue  # mostly the same reason for all: one is named, all are counted at the end
                    display.say(_about(result.audio_filepath, f"warning: {_WARNINGS.get(warning, warning)}"))
    except OutputError as error:
        raise OutputError(f"{error}; {tally.how_far()} had been written before") from error
    except Interrupted as stop:
        raise Interrupted(stop.number, f" after {tally.how_far()}{writer.kept}") from stop


def list_sources(
    sources: Iterable[Source], places: Places | None, output_dir: Path | None, writer: StreamWriter
) -> tuple[int, int]:
    """A line for each source: its name, then where its result would go or what is wrong with it.

    Returns how many are good and how many are bad.
    """
    good = bad = 0
    for source in sources:
        columns = [source.name]
        if places is not None and output_dir is not None:
            columns.append(str(output_dir / places.claim(source.place)))
        if source.error is not None:
            columns[1:] = [f"error: {source.error}"]
        good, bad = good + (source.error is None), bad + (source.error is not None)
        writer.write_text("\t".join(map(one_line, columns)) + "\n")
    return good, bad


def _about(name: str, sentence: str) -> str:
    """`sentence` for the terminal, saying what it is about."""
    name = shown_name(name)
    return sentence if name in sentence else f"{name}: {sentence}"


def shown_name(name: str) -> str:
    """An input's name as it may be shown: an address without its password."""
    if not is_url(name):
        return name
    from s2t2_cli.audio.fetching import without_credentials

    return without_credentials(name)
