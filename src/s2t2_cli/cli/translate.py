"""`s2t2 translate`: recordings in, translations out.

Knows: how the parts are put together for one run. Does not know: what the parts do inside.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.cli import options as o
from s2t2_cli.cli.exits import say
from s2t2_cli.cli.help import Command
from s2t2_cli.cli.progress import Tally, count_in_background, make_display
from s2t2_cli.cli.work import Ledger, take
from s2t2_cli.errors import UsageError
from s2t2_cli.escaping import one_line
from s2t2_cli.formats import Format, make_format
from s2t2_cli.inputs import STDIN, Source, check_named, may_be_several, named_sources
from s2t2_cli.manifests import Manifest
from s2t2_cli.writers import FileWriter, FolderWriter, Places, StreamWriter, Writer, stdout_writer

if TYPE_CHECKING:
    from s2t2_cli.translator import Translator

EXAMPLES = """\b
Examples:
  s2t2 translate talk.mp3 --lang de
  s2t2 translate recordings/ --lang tr --output-dir translations/
  s2t2 translate *.flac --lang ca --format jsonl --output results.jsonl
  ffmpeg -i talk.mkv -f wav - | s2t2 translate - --lang ar
  s2t2 translate --manifest clips.tsv --model ./my-checkpoint --format tsv
  s2t2 translate talk.mp3 --lang de --num-beams 10 --n-best 3

Exit status: 0 all translated, 1 an input failed, 2 wrong usage or no model,
130 interrupted.
"""


app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("translate", cls=Command, epilog=EXAMPLES)
def translate(
    inputs: o.InputsArgument = None,
    manifest: o.ManifestOption = None,
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
    progress: o.ProgressOption = True,
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
    named = inputs or []
    checkpoint = model or _published(lang)
    listed = _check(named, manifest, output, output_dir, num_beams, n_best)
    layout = make_format(
        format,
        with_filename=_names_inputs(named, listed) if with_filename is None else with_filename,
        n_best=n_best > 1,
        tokens=tokens,
        fields=listed is not None,
    )
    warnings: list[str] = []
    warn = warnings.append
    sources = _sources(named, listed, recursive, lambda sentence: warn(sentence))
    first = next(sources, None)
    if first is None:
        raise UsageError("nothing to translate: " + ("; ".join(warnings) or f"no rows in {manifest}"))
    warn = (lambda sentence: None) if quiet else (lambda sentence: say(f"warning: {sentence}"))
    for sentence in warnings:
        warn(sentence)
    sources = chain([first], sources)
    if dry_run:
        _list(sources, layout, output_dir, quiet=quiet)
        return

    tally = Tally()
    display = make_display(tally, wants_progress=progress and not quiet)
    search = {
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "max_new_tokens": max_new_tokens,
        "min_length": min_length,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "early_stopping": {"true": True, "false": False}.get(early_stopping or "", early_stopping),
        "batch_seconds": batch_seconds,
    }
    with _writer(layout, output, output_dir) as writer:
        with display.loading(checkpoint):
            translator = _load(
                checkpoint,
                lang=lang,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=offline,
                device=device,
                dtype=dtype,
                threads=threads,
                audio_backend=audio_backend,
            )
        ledger = Ledger(Places(layout.ending))
        results = translator.translate(
            ledger.watch(sources),
            n_best=n_best,
            detokenize=detokenize,
            ordered=not unordered,
            **{name: value for name, value in search.items() if value is not None},
        )
        writer.begin()
        tally.restart()
        if display.is_live and (listed is None or listed.repeatable):
            count_in_background(tally, _sources(named, listed, recursive))
        with display:
            take(results, ledger, writer, tally, display, warns=not quiet)
    if not quiet and tally.done.sources > 1 and (display.is_live or tally.failed):
        say(tally.summary())
    if tally.failed:
        raise typer.Exit(1)


def _published(lang: o.Lang | None) -> str:
    if lang is None:
        raise UsageError(
            "name the language to translate to, or a checkpoint: s2t2 translate talk.mp3 --lang de"
        )
    return PUBLISHED[lang].model_id


def _load(checkpoint: str, **settings: Any) -> Translator:
    from s2t2_cli.translator import Translator

    return Translator.from_pretrained(checkpoint, **settings)


def _check(
    named: Sequence[str],
    manifest: str | None,
    output: Path | None,
    output_dir: Path | None,
    num_beams: int | None,
    n_best: int,
) -> Manifest | None:
    """Refuse what cannot work before anything slow happens; the manifest, opened."""
    if not named and manifest is None:
        raise UsageError("name at least one recording: s2t2 translate talk.mp3 --lang de")
    if output is not None and output_dir is not None:
        raise UsageError(
            "give either --output for one file or --output-dir for a file for each input, not both"
        )
    if num_beams is not None and n_best > num_beams:
        raise UsageError(f"--n-best {n_best} needs at least --num-beams {n_best}, not {num_beams}")
    check_named(named, stdin_is_taken=manifest == STDIN)
    for name in [*named, *([manifest] if manifest else [])]:
        if output is not None and output.is_file() and os.path.exists(name) and output.samefile(name):
            raise UsageError(f"--output {output} would overwrite the input {name}; name another file")
    return None if manifest is None else Manifest(manifest)


def _names_inputs(named: Sequence[str], manifest: Manifest | None) -> bool:
    return manifest is not None or may_be_several(named)


def _sources(
    named: Sequence[str],
    manifest: Manifest | None,
    recursive: bool,
    warn: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Source]:
    return chain(named_sources(named, recursive=recursive, warn=warn), manifest or ())


def _writer(layout: Format, output: Path | None, output_dir: Path | None) -> Writer:
    if output_dir is not None:
        return FolderWriter(output_dir, layout)
    return FileWriter(output, layout) if output is not None else stdout_writer(layout)


def _list(sources: Iterator[Source], layout: Format, output_dir: Path | None, *, quiet: bool) -> None:
    """One line an input: its name, where its result would go, or what is wrong with it."""
    writer: StreamWriter = stdout_writer(layout)
    places = Places(layout.ending)
    good = bad = 0
    for source in sources:
        columns = [source.name]
        place = places.claim(source.place)
        if source.error is not None:
            bad += 1
            columns.append(f"error: {source.error}")
        else:
            good += 1
            columns += [str(output_dir / place)] if output_dir is not None else []
        writer.write_text("\t".join(map(one_line, columns)) + "\n")
    if not quiet and bad:
        say(f"{good} would be translated, {bad} would fail")
    if bad:
        raise typer.Exit(1)
