"""Translating a manifest for another command, which wants the results and not their lines.

Knows: how the parts of `translate` are put together for that. Does not know: what becomes of the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2t2_cli.checkpoint import Checkpoint, resolve_checkpoint
from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.cli.collection import without_collection
from s2t2_cli.cli.exits import say
from s2t2_cli.cli.progress import Tally, count_in_background, make_display
from s2t2_cli.cli.work import Ledger, take
from s2t2_cli.errors import UsageError
from s2t2_cli.inputs import Source
from s2t2_cli.records import TranslationResult
from s2t2_cli.writers import Writer


@dataclass(frozen=True)
class TranslationOptions:
    """What of `translate`'s options another command takes; the names are those options' own."""

    lang: str | None = None
    revision: str | None = None
    cache_dir: Path | None = None
    offline: bool = False
    lm: str | None = None
    lm_weight: float | None = None
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    batch_seconds: float | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    quiet: bool = False
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.lm_weight is not None and self.lm is None:
            raise UsageError("--lm-weight is the weight of a language model; name one with --lm")

    def resolve(self, models: Sequence[str]) -> list[Checkpoint]:
        """The checkpoints that `models` name, or else the one published for the language.

        They are found before torch is imported, so that a wrong name is answered at once.
        """
        names = [bundled_name(model, self.lang) for model in models]
        if not names and self.lang in PUBLISHED:
            names = [PUBLISHED[self.lang].model_id]
        return [self._find(name, self.revision) for name in names]

    def resolve_lm(self) -> Checkpoint | None:
        """The language model, if one is named."""
        return None if self.lm is None else self._find(self.lm, None)

    def _find(self, name: str, revision: str | None) -> Checkpoint:
        return resolve_checkpoint(name, revision=revision, cache_dir=self.cache_dir, local_files_only=self.offline)


class Records(Writer):
    """Keeps every result as the record it would be in JSON lines, and hands it on if something else wants it."""

    def __init__(self, also: Writer | None = None) -> None:
        self._also = also
        self.kept = also.kept if also is not None else ""
        self.records: list[dict[str, Any]] = []

    def begin(self) -> None:
        if self._also is not None:
            self._also.begin()

    def write(self, result: TranslationResult, place: str) -> None:
        self.records.append(result.to_dict())
        if self._also is not None:
            self._also.write(result, place)

    def close(self) -> None:
        if self._also is not None:
            self._also.close()


def translate_sources(
    checkpoint: Checkpoint, sources: Sequence[Source], options: TranslationOptions, writer: Writer
) -> None:
    """Translate `sources` with `checkpoint` into `writer`, in order; what fails is reported as `translate` does."""
    tally = Tally()
    display = make_display(tally, wants_progress=False if options.quiet else options.progress)
    with display.loading(checkpoint.name), without_collection():
        lm = options.resolve_lm()
        from s2t2_cli.language_model import USUAL_WEIGHT
        from s2t2_cli.translator import Translator

        translator = Translator.from_pretrained(
            checkpoint,
            lang=options.lang,
            device=options.device,
            dtype=options.dtype,
            threads=options.threads,
            lm=lm,
            lm_weight=USUAL_WEIGHT if options.lm_weight is None else options.lm_weight,
        )
    ledger = Ledger(None)
    results = translator.translate(ledger.watch(sources), batch_seconds=options.batch_seconds, **dict(options.search))
    writer.begin()
    tally.restart()
    if display.is_live:
        count_in_background(tally, sources)
    with display:
        take(results, ledger, writer, tally, display, warns=not options.quiet)
    if not options.quiet:
        if tally.cut_off > 1:
            say(f"warning: {tally.cut_off} translations in all were cut off at the length limit")
        if display.is_live or tally.failed:
            say(tally.summary())
