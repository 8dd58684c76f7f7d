"""What the user asked to have translated: names, a manifest, or a part of them.

Knows: what can be refused before a recording is read. Does not know: what becomes of the sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from s2t2_cli.errors import UsageError
from s2t2_cli.inputs import STDIN, Source, check_named, may_be_several, named_sources
from s2t2_cli.manifests import Manifest, Row
from s2t2_cli.sharding import Shard, stated_seconds
from s2t2_cli.writers import Places


class Request:
    """What the user asked to have translated, checked as far as it can be without reading a recording."""

    def __init__(
        self,
        named: Sequence[str],
        manifest: str | None,
        audio_dir: Path | None,
        allow_private: bool,
        recursive: bool,
        part: Shard | None,
    ) -> None:
        if not named and manifest is None:
            raise UsageError("name at least one recording: s2t2 translate talk.mp3 --lang de")
        check_named(named, stdin_is_taken=manifest == STDIN)
        self._named = named
        self._manifest = None
        if manifest is not None:
            self._manifest = Manifest(manifest, audio_dir=audio_dir, allow_private=allow_private)
        self._recursive = recursive
        self._part = part
        self.named_files = [*named, *([manifest] if manifest else [])]
        self.empty_folders: list[str] = []

    @property
    def may_be_several(self) -> bool:
        return self._manifest is not None or may_be_several(self._named)

    @property
    def is_standard_input(self) -> bool:
        """Whether there is nothing but a recording on standard input."""
        return list(self._named) == [STDIN] and self._manifest is None

    @property
    def is_repeatable(self) -> bool:
        """Whether `sources` can be walked through a second time."""
        return self._manifest is None or self._manifest.repeatable

    def begin(self, places: Places | None = None) -> Iterator[Source]:
        """All sources of this part; raises UsageError at once if there is none in the whole.

        What goes to other parts has its place claimed among `places`, so that each result has the same place whichever
        part it is in, and no two of them share one.
        """
        sources = self.sources(self.empty_folders.append, (lambda place: None) if places is None else places.claim)
        first = next(sources, None)
        if first is None and self._part is None:
            where = [f"no audio or video files in {folder}" for folder in self.empty_folders]
            raise UsageError("nothing to translate: " + "; ".join(where or ["no rows in the manifest"]))
        return sources if first is None else chain([first], sources)

    def sources(
        self,
        note_empty: Callable[[str], None] = lambda folder: None,
        claim: Callable[[str], object] = lambda place: None,
    ) -> Iterator[Source]:
        """The named ones, then the manifest's; of those of other parts, `claim` is told the place."""
        named = named_sources(self._named, recursive=self._recursive, note_empty=note_empty)
        if self._part is not None:
            named = self._part.pick(named, lambda source: None, lambda source: claim(source.place))
        return chain(named, self._rows(self._manifest, claim) if self._manifest is not None else ())

    def _rows(self, manifest: Manifest, claim: Callable[[str], object]) -> Iterator[Source]:
        """Only rows of this part are looked at any further: there may be millions of others."""
        rows = manifest.rows()
        if self._part is not None:
            rows = self._part.pick(rows, _seconds, lambda row: claim(manifest.place_of(row)))
        return map(manifest.source, rows)


def _seconds(row: Row) -> float | None:
    """What a row states; a broken one costs nothing."""
    return 0.0 if row.error is not None else stated_seconds(row.fields)
