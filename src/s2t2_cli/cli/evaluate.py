"""`s2t2 evaluate`: translations and references in, BLEU and chrF out.

Knows: how the parts are put together for one run, and what is said about it. Does not know: what the parts do inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s2t2_cli.cli import evaluate_options as e
from s2t2_cli.cli import options as o
from s2t2_cli.cli.exits import say, show_log
from s2t2_cli.cli.help import Command
from s2t2_cli.cli.progress import status_line
from s2t2_cli.cli.tables import print_text
from s2t2_cli.cli.translations import Records, TranslationOptions, translate_sources
from s2t2_cli.cli.work import shown_name
from s2t2_cli.errors import ManifestError, UsageError
from s2t2_cli.inputs import STDIN, Source
from s2t2_cli.writers import refuse_to_overwrite

if TYPE_CHECKING:
    from s2t2_cli.checkpoint import Checkpoint
    from s2t2_cli.evaluation.joining import Problem
    from s2t2_cli.evaluation.texts import TextFile

_NAMES_SHOWN = 3

EXAMPLES = """\b
Examples:
  s2t2 translate --manifest test.jsonl --lang de --format jsonl -o hyp.jsonl
  s2t2 evaluate hyp.jsonl
  s2t2 evaluate hyp.jsonl --references covost_v2.en_de.test.tsv
  s2t2 evaluate baseline.jsonl better.jsonl --references test.jsonl
  s2t2 evaluate --manifest covost_v2.en_de.dev.tsv --lang de --report report.html
  s2t2 evaluate hyp.txt --references ref.txt --format json

\b
Exit status: 0 all was scored, 1 something had no hypothesis, failed or could
not be read, 2 wrong usage or no model, 130 interrupted.
"""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("evaluate", cls=Command, epilog=EXAMPLES)
def evaluate(
    hypotheses: e.HypothesesArgument = None,
    references: e.ReferencesOption = None,
    reference_field: e.ReferenceFieldOption = None,
    manifest: e.ManifestOption = None,
    split: e.SplitOption = None,
    audio_dir: o.AudioDirOption = None,
    allow_private_addresses: o.AllowPrivateOption = False,
    raw: e.RawOption = False,
    exclude_failed: e.ExcludeFailedOption = False,
    lang: o.LangOption = None,
    model: e.ModelsOption = None,
    revision: o.RevisionOption = None,
    cache_dir: o.CacheDirOption = None,
    offline: o.OfflineOption = False,
    num_beams: o.NumBeamsOption = None,
    length_penalty: o.LengthPenaltyOption = None,
    max_new_tokens: o.MaxNewTokensOption = None,
    no_repeat_ngram_size: o.NoRepeatNgramSizeOption = None,
    lm: o.LmOption = None,
    lm_weight: o.LmWeightOption = None,
    lowercase: e.LowercaseOption = False,
    tokenize: e.TokenizeOption = "13a",
    ignore_case: e.IgnoreCaseOption = False,
    ignore_punctuation: e.IgnorePunctuationOption = False,
    bootstrap: e.BootstrapOption = 1000,
    paired: e.PairedOption = "bootstrap",
    trials: e.TrialsOption = 10_000,
    seed: e.SeedOption = None,
    format: e.LayoutOption = "table",
    report: e.ReportOption = None,
    audio: e.AudioOption = True,
    report_audio_limit: e.ReportAudioLimitOption = 100,
    save_translations: e.SaveTranslationsOption = None,
    quiet: o.QuietOption = False,
    progress: o.ProgressOption = None,
    device: o.DeviceOption = "auto",
    dtype: o.DtypeOption = "auto",
    threads: o.ThreadsOption = None,
    batch_seconds: o.BatchSecondsOption = None,
) -> None:
    """Score translations against references: BLEU and chrF, as sacrebleu does, with signatures.

    HYPOTHESES are what translate wrote (JSON lines, TSV or text), or plain text with a line for each reference; -
    is standard input. The first file, or else the first model, is what all others are compared to. Rows meet their
    references by audio_filepath. What failed or is missing is scored as empty, unless --exclude-failed.
    """
    if quiet:
        show_log(quiet=True)
    _check(hypotheses or [], references, manifest, model or [], lang, save_translations)
    search = {
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "max_new_tokens": max_new_tokens,
        "no_repeat_ngram_size": no_repeat_ngram_size,
    }
    options = TranslationOptions(
        lang, revision, cache_dir, offline, lm, lm_weight, device, dtype, threads, batch_seconds, search, quiet,
        progress,
    )  # fmt: skip
    from s2t2_cli.evaluation.evaluation import evaluate as score
    from s2t2_cli.evaluation.joining import join
    from s2t2_cli.evaluation.normalization import Normalization
    from s2t2_cli.evaluation.report import check_place, write_report
    from s2t2_cli.evaluation.scores import ScoreSettings
    from s2t2_cli.evaluation.texts import read_texts, texts_of_sources

    field = "raw_text" if raw else "text"
    meet = partial(
        join, reference_field=reference_field, hypothesis_field=field, split=split, exclude_failed=exclude_failed
    )
    settings = ScoreSettings(lowercase, tokenize, bootstrap, paired, trials, seed)
    inputs = [*(hypotheses or []), *([references] if references else []), *([manifest] if manifest else [])]
    for option, place in (("--report", report), ("--save-translations", save_translations)):
        if place is not None:
            refuse_to_overwrite(option, place, inputs)
    if report is not None:
        check_place(report)
    systems = [read_texts(name, audio_dir=audio_dir) for name in hypotheses or []]
    rows = None if references is None else read_texts(references, audio_dir=audio_dir)
    if manifest is None:
        joined = meet(rows or systems[0], systems)
    else:
        checkpoints = options.resolve(model or [])
        sources = _sources(manifest, audio_dir, split, allow_private=allow_private_addresses)
        folder = audio_dir or Path(manifest).parent
        rows = rows or texts_of_sources(manifest, sources, folder)
        # Whatever does not go together should be known before hours of translation.
        meet(rows, systems)
        systems += _translate(sources, folder, checkpoints, options, save_translations)
        joined = meet(rows, systems)
    normalization = Normalization(ignore_case, ignore_punctuation, lang or joined.lang)
    with status_line() as show:
        show(f"scoring {len(joined.utterances)} utterances")
        evaluation = score(joined, settings, normalization, hypothesis_field=field)
        from s2t2_cli.cli.scores import json_text, table_text

        text = json_text(evaluation) if format == "json" else table_text(evaluation)
    print_text(text)
    if report is not None:
        with status_line() as show:
            write_report(
                report,
                evaluation,
                audio_limit=round(report_audio_limit * 1_000_000) if audio else 0,
                audio_dir=audio_dir,
                show=lambda done: show(f"writing {report}: {done} of {len(joined.utterances)} utterances"),
            )
    if not quiet:
        for problem in joined.problems:
            say(_about(problem))
    if any(problem.spoils for problem in joined.problems):
        raise typer.Exit(1)


def _check(
    hypotheses: Sequence[str],
    references: str | None,
    manifest: str | None,
    models: Sequence[str],
    lang: str | None,
    save_translations: Path | None,
) -> None:
    """Refuse what can only be a mistake, before anything is read."""
    if not hypotheses and manifest is None:
        raise UsageError("name a file of translations: s2t2 evaluate hyp.jsonl --references refs.jsonl")
    if [*hypotheses, references, manifest].count(STDIN) > 1:
        raise UsageError("standard input can be read only once; name - a single time")
    if manifest is None and (models or save_translations):
        raise UsageError("--model and --save-translations need recordings to translate: --manifest FILE")
    if manifest is not None and not models and lang is None:
        raise UsageError(
            "--manifest is translated: say with --model or --lang by what;"
            " a file that only holds references goes with --references"
        )
    if save_translations is not None and len(models) > 1:
        raise UsageError("--save-translations keeps what one model translates; give one --model")


def _sources(manifest: str, audio_dir: Path | None, split: str | None, *, allow_private: bool) -> list[Source]:
    """The manifest's rows, those of one split if it is named."""
    from s2t2_cli.manifests import Manifest

    sources = list(Manifest(manifest, audio_dir=audio_dir, allow_private=allow_private))
    if split is not None:
        sources = [source for source in sources if str(source.fields.get("split")) == split]
    if not sources:
        raise UsageError(f"there is nothing to translate in {manifest}" + (f" of the split {split}" if split else ""))
    return sources


def _translate(
    sources: Sequence[Source],
    folder: Path,
    checkpoints: Sequence[Checkpoint],
    options: TranslationOptions,
    save_translations: Path | None,
) -> list[TextFile]:
    """What each model makes of the recordings."""
    from s2t2_cli.evaluation.texts import texts_of_records
    from s2t2_cli.formats import make_format
    from s2t2_cli.writers import FileWriter

    readable = [source for source in sources if not isinstance(source.error, ManifestError)]
    systems = []
    for checkpoint in checkpoints:
        also = None if save_translations is None else FileWriter(save_translations, make_format("jsonl"))
        with Records(also) as records:
            translate_sources(checkpoint, readable, options, records)
        systems.append(texts_of_records(checkpoint.name, records.records, folder))
    return systems


def _about(problem: Problem) -> str:
    """`hyp.jsonl: 5 without a hypothesis, scored as empty: a.wav, b.wav, c.wav, and 2 more`."""
    shown = ", ".join(map(shown_name, problem.names[:_NAMES_SHOWN]))
    more = len(problem.names) - _NAMES_SHOWN
    rest = f", and {more} more" if more > 0 else ""
    return f"{problem.where}: {len(problem.names)} {problem.sentence}: {shown}{rest}"
