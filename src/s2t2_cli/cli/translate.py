"""`s2t2 translate`: recordings in, translations out.

Knows: how the parts are put together for one run. Does not know: what the parts do inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import typer

from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.cli import options as o
from s2t2_cli.cli.exits import say, show_log
from s2t2_cli.cli.help import Command
from s2t2_cli.cli.progress import Tally, count_in_background, make_display
from s2t2_cli.cli.work import Ledger, list_sources, take
from s2t2_cli.errors import UsageError
from s2t2_cli.formats import Format, make_format
from s2t2_cli.inputs import STDIN, Source, check_named, may_be_several, named_sources
from s2t2_cli.manifests import Manifest
from s2t2_cli.writers import FileWriter, FolderWriter, Places, Writer, refuse_to_overwrite, stdout_writer

EXAMPLES = """\b
Examples:
  s2t2 translate talk.mp3 --lang de
  s2t2 translate recordings/ --lang tr --output-dir translations/
  s2t2 translate *.flac --lang ca --format jsonl --output results.jsonl
  ffmpeg -i talk.mkv -f wav - | s2t2 translate - --lang ar
  s2t2 translate --manifest clips.tsv --model ./my-checkpoint --format tsv
  s2t2 translate talk.mp3 --lang de --num-beams 10 --n-best 3
  s2t2 translate talk.mp3 --lang de --lm lm-de --length-penalty 0.7

\b
Exit status: 0 all translated, 1 an input failed, 2 wrong usage or no model,
130 interrupted. S2T2_DEBUG=1 shows where an error came from.
"""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("translate", cls=Command, epilog=EXAMPLES)
def translate(
    inputs: o.InputsArgument = None,
    manifest: o.ManifestOption = None,
    audio_dir: o.AudioDirOption = None,
    recursive: o.RecursiveOption = True,
    audio_backend: o.AudioBackendOption = "av",
    lang: o.LangOption = None,
    model: o.ModelOption = None,
    revision: o.RevisionOption = None,
    cache_dir: o.CacheDirOption = None,
    offline: o.OfflineOption = False,
    num_beams: o.NumBeamsOption = None,
    length_penalty: o.LengthPenaltyOption = None,
    max_new_tokens: o.MaxNewTokensOption = None,
    min_length: o.MinLengthOption = None,
    no_repeat_ngram_size: o.NoRepeatNgramSizeOption = None,
    early_stopping: o.EarlyStoppingOption = None,
    lm: o.LmOption = None,
    lm_weight: o.LmWeightOption = None,
    n_best: o.NBestOption = 1,
    format: o.FormatOption = "text",
    output: o.OutputOption = None,
    output_dir: o.OutputDirOption = None,
    with_filename: o.WithFilenameOption = None,
    unordered: o.UnorderedOption = False,
    detokenize: o.DetokenizeOption = True,
    tokens: o.TokensOption = False,
    dry_run: o.DryRunOption = False,
    quiet: o.QuietOption = False,
    progress: o.ProgressOption = None,
    device: o.DeviceOption = "auto",
    dtype: o.DtypeOption = "auto",
    threads: o.ThreadsOption = None,
    batch_seconds: o.BatchSecondsOption = None,
) -> None:
    """Translate recorded English speech to text.

    INPUTS are audio or video files, folders, http(s) addresses, or - for standard input. Translations go to
    standard output in the order of the inputs, as soon as they are ready; everything else goes to standard
    error. An input that cannot be translated is reported there, and the others go on.
    """
    if quiet:
        show_log(quiet=True)
    request = _Request(inputs or [], manifest, audio_dir, recursive)
    checkpoint = _checkpoint(model, lang)
    if num_beams is not None and n_best > num_beams:
        raise UsageError(f"--n-best {n_best} needs at least --num-beams {n_best}, not {num_beams}")
    if lm_weight is not None and lm is None:
        raise UsageError("--lm-weight is the weight of a language model; name one with --lm")
    if with_filename is None:
        with_filename = request.may_be_several and output_dir is None
    layout = make_format(
        format,
        with_filename=with_filename,
        n_best=n_best > 1,
        tokens=tokens,
        fields=manifest is not None,
    )
    # Places are remembered, so that none is given out twice; without files to give out there is no need to.
    places = None if output_dir is None else Places(layout.ending)
    sources = request.begin()
    if dry_run:
        good, bad = list_sources(sources, places, output_dir, stdout_writer(layout))
        if bad and not quiet:
            say(f"{good} would be translated, {bad} would fail")
        raise typer.Exit(1 if bad else 0)

    tally = Tally()
    display = make_display(tally, wants_progress=False if quiet else progress)
    with _writer(layout, output, output_dir, request.named_files) as writer:
        with display.loading(checkpoint):
            # Found before torch is imported, so that a wrong name is answered at once.
            found = resolve_checkpoint(checkpoint, revision=revision, cache_dir=cache_dir, local_files_only=offline)
            found_lm = None
            if lm is not None:
                found_lm = resolve_checkpoint(lm, cache_dir=cache_dir, local_files_only=offline)
            from s2t2_cli.language_model import USUAL_WEIGHT
            from s2t2_cli.translator import Translator

            translator = Translator.from_pretrained(
                found,
                lang=lang,
                device=device,
                dtype=dtype,
                threads=threads,
                audio_backend=audio_backend,
                lm=found_lm,
                lm_weight=USUAL_WEIGHT if lm_weight is None else lm_weight,
            )
        ledger = Ledger(places)
        results = translator.translate(
            ledger.watch(sources),
            n_best=n_best,
            detokenize=detokenize,
            ordered=not unordered,
            batch_seconds=batch_seconds,
            num_beams=num_beams,
            length_penalty=length_penalty,
            max_new_tokens=max_new_tokens,
            min_length=min_length,
            no_repeat_ngram_size=no_repeat_ngram_size,
            early_stopping={"true": True, "false": False}.get(early_stopping or "", early_stopping),
        )
        writer.begin()
        tally.restart()
        if display.is_live and request.is_repeatable:
            count_in_background(tally, request.sources())
        with display:
            take(results, ledger, writer, tally, display, warns=not quiet)
    if not quiet:
        for folder in request.empty_folders:
            say(f"warning: no audio or video files in {folder}")
        if tally.cut_off > 1:
            say(f"warning: {tally.cut_off} translations in all were cut off at the length limit")
        if tally.done.sources > 1 and (display.is_live or tally.failed):
            say(tally.summary())
        if translator.fusion is not None:
            say(f"the language model took {tally.share(translator.fusion.seconds)}")
    if tally.failed:
        raise typer.Exit(1)


class _Request:
    """What the user asked to have translated, checked as far as it can be without reading a recording."""

    def __init__(self, named: Sequence[str], manifest: str | None, audio_dir: Path | None, recursive: bool) -> None:
        if not named and manifest is None:
            raise UsageError("name at least one recording: s2t2 translate talk.mp3 --lang de")
        check_named(named, stdin_is_taken=manifest == STDIN)
        self._named = named
        self._manifest = None if manifest is None else Manifest(manifest, audio_dir=audio_dir)
        self._recursive = recursive
        self.named_files = [*named, *([manifest] if manifest else [])]
        self.empty_folders: list[str] = []

    @property
    def may_be_several(self) -> bool:
        return self._manifest is not None or may_be_several(self._named)

    @property
    def is_repeatable(self) -> bool:
        """Whether `sources` can be walked through a second time."""
        return self._manifest is None or self._manifest.repeatable

    def begin(self) -> Iterator[Source]:
        """All sources; raises UsageError at once if there is none."""
        sources = self.sources(self.empty_folders.append)
        first = next(sources, None)
        if first is None:
            where = [f"no audio or video files in {folder}" for folder in self.empty_folders]
            raise UsageError("nothing to translate: " + "; ".join(where or ["no rows in the manifest"]))
        return chain([first], sources)

    def sources(self, note_empty: Callable[[str], None] = lambda folder: None) -> Iterator[Source]:
        """The named ones, then the manifest's."""
        rows: Iterable[Source] = self._manifest or ()
        return chain(named_sources(self._named, recursive=self._recursive, note_empty=note_empty), rows)


def _checkpoint(model: str | None, lang: o.Lang | None) -> str:
    if model is not None:
        return bundled_name(model, lang)
    if lang is None:
        raise UsageError("name the language to translate to, or a checkpoint: s2t2 translate talk.mp3 --lang de")
    return PUBLISHED[lang].model_id


def _writer(layout: Format, output: Path | None, output_dir: Path | None, inputs: Sequence[str]) -> Writer:
    if output is not None and output_dir is not None:
        raise UsageError("give --output for one file or --output-dir for a file for each input, not both")
    if output_dir is not None:
        return FolderWriter(output_dir, layout)
    if output is None:
        return stdout_writer(layout)
    refuse_to_overwrite("--output", output, inputs)
    return FileWriter(output, layout)
