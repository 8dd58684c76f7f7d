"""`s2t2 translate`: recordings in, translations out.

Knows: how the parts are put together for one run. Does not know: what the parts do inside.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.cli import options as o
from s2t2_cli.cli import segmentation_options as so
from s2t2_cli.cli.collection import without_collection
from s2t2_cli.cli.exits import finishing_on_signals, say, show_log
from s2t2_cli.cli.help import Command
from s2t2_cli.cli.live import SegmentLines, open_pipe, through
from s2t2_cli.cli.outputs import Earlier, make_writer, still_to_do
from s2t2_cli.cli.progress import Tally, count_in_background, make_display
from s2t2_cli.cli.request import Request
from s2t2_cli.cli.work import Ledger, list_sources, take
from s2t2_cli.engine import TranslatorSpec, make_engine
from s2t2_cli.errors import UsageError
from s2t2_cli.formats import Format, make_format
from s2t2_cli.inputs import STDIN, Source
from s2t2_cli.records import Segment
from s2t2_cli.sharding import parse_shard
from s2t2_cli.writers import Places, stdout_writer

EXAMPLES = """\b
Examples:
  s2t2 translate talk.mp3 --lang de
  s2t2 translate recordings/ --lang tr --output-dir translations/
  s2t2 translate *.flac --lang ca --format jsonl --output results.jsonl
  ffmpeg -i talk.mkv -f wav - | s2t2 translate - --lang ar
  arecord -f S16_LE -r 16000 | s2t2 translate - --segmentation vad --lang de
  s2t2 translate --manifest clips.tsv --model ./my-checkpoint --format tsv
  s2t2 translate talk.mp3 --lang de --num-beams 10 --n-best 3
  s2t2 translate talk.mp3 --lang de --lm lm-de --length-penalty 0.7
  s2t2 translate talks/ --lang de --format jsonl --output all.jsonl --resume

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
    allow_private_addresses: o.AllowPrivateOption = False,
    recursive: o.RecursiveOption = True,
    audio_backend: o.AudioBackendOption = "av",
    pcm: so.PcmOption = None,
    segmentation: so.SegmentationOption = None,
    max_segment_seconds: so.MaxSegmentSecondsOption = 20.0,
    segments: so.SegmentsOption = None,
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
    shard: o.ShardOption = None,
    resume: o.ResumeOption = False,
    retry_errors: o.RetryErrorsOption = False,
    engine: o.EngineOption = "local",
    ray_address: o.RayAddressOption = None,
) -> None:
    """Translate recorded English speech to text.

    INPUTS are audio or video files, folders, http(s) addresses, or - for standard input. Translations go to
    standard output in the order of the inputs, as soon as they are ready; everything else goes to standard
    error. An input that cannot be translated is reported there, and the others go on. Long recordings are cut
    into segments where nobody speaks; the text of a single one comes line by line, each as soon as it is ready.
    """
    if quiet:
        show_log(quiet=True)
    part = None if shard is None else parse_shard(shard)
    request = Request(inputs or [], manifest, audio_dir, allow_private_addresses, recursive, part)
    if segments == STDIN and STDIN in request.named_files:
        raise UsageError("standard input can be read only once; name a file for --segments")
    cutting = so.Cutting.of(segmentation, max_segment_seconds, segments, pcm, may_be_several=request.may_be_several)
    if ray_address is not None and engine != "ray":
        raise UsageError("--ray-address is where a Ray cluster is; add --engine ray to translate there")
    if engine == "ray" and STDIN in request.named_files[: len(inputs or [])]:
        raise UsageError("standard input cannot be read by the machines of a cluster; name a file that they see")
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
    if output_dir is None:
        _check_subtitles(layout, output, request.may_be_several)
    # Places are remembered, so that none is given out twice; without files to give out there is no need to.
    places = None if output_dir is None else Places(layout.ending)
    sources = request.begin(places)
    if dry_run:
        if resume:
            sources = still_to_do(layout, output, sources, retry_errors=retry_errors)
        good, bad = list_sources(sources, places, output_dir, stdout_writer(layout))
        if bad and not quiet:
            say(f"{good} would be translated, {bad} would fail")
        raise typer.Exit(1 if bad else 0)

    tally = Tally()
    display = make_display(tally, wants_progress=False if quiet else progress)
    search: dict[str, Any] = {
        "n_best": n_best,
        "detokenize": detokenize,
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "max_new_tokens": max_new_tokens,
        "min_length": min_length,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "early_stopping": {"true": True, "false": False}.get(early_stopping or "", early_stopping),
    }
    # Whatever changes a record belongs here: results of other settings are not mixed in one file.
    settings = {
        "lang": lang,
        "lm_weight": lm_weight,
        "tokens": tokens,
        "dtype": dtype,
        "audio_backend": audio_backend,
        **cutting.identity,
        "shard": None if part is None else str(part),
        **search,
    }
    with (
        make_writer(
            layout, output, output_dir, request.named_files, resume=resume, retry_errors=retry_errors
        ) as writer,
        ExitStack() as open_engine,
    ):
        with display.loading(checkpoint):
            # Found before torch is imported, so that a wrong name is answered at once.
            found = resolve_checkpoint(checkpoint, revision=revision, cache_dir=cache_dir, local_files_only=offline)
            found_lm = None
            if lm is not None:
                found_lm = resolve_checkpoint(lm, cache_dir=cache_dir, local_files_only=offline)
            earlier = Earlier(writer, retry_errors=retry_errors)
            earlier.check(found, found_lm, settings)
        if not quiet:
            earlier.tell()
        to_do = earlier.remaining(sources)
        if (first := next(to_do, None)) is None:  # all is done, or the shard is empty: that takes no model
            writer.begin()
            writer.finish()
            if not quiet:
                earlier.tell_others()
            raise typer.Exit(1 if earlier.failed else 0)
        with display.loading(checkpoint), without_collection():
            from s2t2_cli.language_model import USUAL_WEIGHT

            spec = TranslatorSpec(
                found,
                found_lm,
                cache_dir,
                offline,
                load={
                    "lang": lang,
                    "device": device,
                    "dtype": dtype,
                    "threads": threads,
                    "audio_backend": audio_backend,
                    "lm_weight": USUAL_WEIGHT if lm_weight is None else lm_weight,
                },
                options={"batch_seconds": batch_seconds, **cutting.arguments, **search},
            )
            running = open_engine.enter_context(make_engine(engine, spec, ray_address=ray_address))
        ledger = Ledger(places)
        pipe = open_pipe() if request.is_standard_input else None
        to_do = chain([first], to_do)
        lines = SegmentLines(writer, layout, display, is_single=not request.may_be_several)

        def on_segment(source: Source, segment: Segment) -> None:
            tally.reach(source, segment.end)
            lines.write_segment(source, segment)

        results = running.translate(
            ledger.watch(to_do if pipe is None else through(pipe, to_do)), ordered=not unordered, on_segment=on_segment
        )
        writer.begin()
        tally.restart()
        if display.is_live and request.is_repeatable:
            count_in_background(tally, earlier.remaining(request.sources()))
        with finishing_on_signals(None if pipe is None else pipe.end):
            with display:
                take(results, ledger, lines, tally, display, warns=not quiet)
            writer.finish()
    if not quiet:
        earlier.tell_others()
        for folder in request.empty_folders:
            say(f"warning: no audio or video files in {folder}")
        if tally.cut_off > 1:
            say(f"warning: {tally.cut_off} translations in all were cut off at the length limit")
        if tally.done.sources > 1 and (display.is_live or tally.failed):
            say(tally.summary())
        if running.fusion_seconds is not None:
            say(f"the language model took {tally.share(running.fusion_seconds)}")
    if tally.failed or earlier.failed:
        raise typer.Exit(1)


def _check_subtitles(layout: Format, output: Path | None, may_be_several: bool) -> None:
    if may_be_several and not layout.holds_several:
        raise UsageError("subtitles need a file for each recording; give --output-dir DIR to write them there")
    ending = "" if output is None else output.suffix.lower()
    if ending in (".srt", ".vtt") and ending != layout.ending:
        raise UsageError(f"{output} is named like subtitles; add --format {ending[1:]}, or name another file")


def _checkpoint(model: str | None, lang: o.Lang | None) -> str:
    if model is not None:
        return bundled_name(model, lang)
    if lang is None:
        raise UsageError("name the language to translate to, or a checkpoint: s2t2 translate talk.mp3 --lang de")
    return PUBLISHED[lang].model_id
