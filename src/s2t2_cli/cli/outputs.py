"""Where the results of one run go, and what of it an earlier run has done.

Knows: which writer the options ask for, what is said about earlier results. Does not know: how anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from s2t2_cli.checkpoint import Checkpoint
from s2t2_cli.cli.exits import say
from s2t2_cli.errors import UsageError
from s2t2_cli.formats import Format, JsonlFormat, ParquetFormat
from s2t2_cli.inputs import Source
from s2t2_cli.parquet import ParquetWriter, lines_beside
from s2t2_cli.resuming import LM_WEIGHTS, WEIGHTS, Held, ResumableWriter, look_through, remaining, weights_identity
from s2t2_cli.writers import FileWriter, FolderWriter, Writer, refuse_to_overwrite, stdout_writer


def make_writer(
    layout: Format,
    output: Path | None,
    output_dir: Path | None,
    inputs: Sequence[str],
    *,
    resume: bool = False,
    retry_errors: bool = False,
) -> Writer:
    """The writer that the options ask for; `inputs` are files it must not overwrite. Raises UsageError."""
    if output is not None and output_dir is not None:
        raise UsageError("give --output for one file or --output-dir for a file for each input, not both")
    if retry_errors and not resume:
        raise UsageError("--retry-errors goes on with an earlier run; give --resume too")
    if resume and (output is None or not isinstance(layout, JsonlFormat)):
        raise UsageError("--resume goes on with a file of records; give --format jsonl and --output FILE")
    if isinstance(layout, ParquetFormat) and output is None:
        raise UsageError("--format parquet is one table; give --output FILE")
    if output_dir is not None:
        return FolderWriter(output_dir, layout)
    if output is None:
        return stdout_writer(layout)
    refuse_to_overwrite("--output", output, inputs)
    if isinstance(layout, ParquetFormat):
        return ParquetWriter(output, layout, resume=resume, retry_errors=retry_errors)
    if isinstance(layout, JsonlFormat) and (resume or not output.exists() or output.is_file()):
        return ResumableWriter(output, layout, resume=resume, retry_errors=retry_errors)
    return FileWriter(output, layout)


def still_to_do(
    layout: Format, output: Path | None, sources: Iterator[Source], *, retry_errors: bool
) -> Iterator[Source]:
    """Those of `sources` that `output` has no result of, whatever it was made with; nothing is written."""
    if output is not None and isinstance(layout, ParquetFormat):
        output = lines_beside(output)
    if output is None or not output.exists():
        return sources
    return remaining(output, look_through(output), sources, retry_errors=retry_errors)


class Earlier:
    """What the earlier runs of a resumed one have done; nothing, where nothing is resumed."""

    def __init__(self, writer: Writer, *, retry_errors: bool = False) -> None:
        self._writer = writer if isinstance(writer, ResumableWriter) else None
        self._retry_errors = retry_errors
        self._held = Held()
        self._others = 0

    def check(self, checkpoint: Checkpoint, lm: Checkpoint | None, settings: Mapping[str, Any]) -> None:
        """Raise UsageError unless it was done with the same model and `settings`."""
        if self._writer is None:
            return
        models = {"model": checkpoint.name, WEIGHTS: weights_identity(checkpoint)}
        if lm is not None:
            models |= {"lm": lm.name, LM_WEIGHTS: weights_identity(lm)}
        self._held = self._writer.check(models | dict(settings))

    def remaining(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Those of `sources` that are still to do."""
        return iter(sources) if self._writer is None else self._writer.remaining(sources, self._note_others)

    def _note_others(self, others: int) -> None:
        self._others = others

    @property
    def failed(self) -> int:
        """How many inputs failed and stay so."""
        return 0 if self._retry_errors else self._held.errors

    def tell(self) -> None:
        """Say what is there already."""
        if not self._held.records:
            return
        kept = self._held.records - (self._held.errors if self._retry_errors else 0)
        failed = f", {self.failed} of them failed (--retry-errors does them again)" if self.failed else ""
        say(f"{kept} input{'' if kept == 1 else 's'} done before{failed}")

    def tell_others(self) -> None:
        """Say at the end that there are results that have nothing to do with this run: its inputs are not the same."""
        if self._others:
            are = "result is of an input that was" if self._others == 1 else "results are of inputs that were"
            say(f"warning: {self._others} earlier {are} not named this time; they stay in the file")
