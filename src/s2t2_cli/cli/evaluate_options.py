"""The options of `s2t2 evaluate` that no other command has.

Knows: names, help sentences and limits. Does not know: what the command does with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from s2t2_cli.cli.options import INPUT_PANEL, MODEL_PANEL, OUTPUT_PANEL

SCORE_PANEL = "Scores"

Tokenize = Literal["13a", "intl", "char", "none"]
Paired = Literal["bootstrap", "randomisation", "none"]
Layout = Literal["table", "json"]

HypothesesArgument = Annotated[list[str] | None, typer.Argument(metavar="HYPOTHESES", show_default=False)]

# Input

ReferencesOption = Annotated[
    str | None,
    typer.Option(
        "--references",
        metavar="FILE",
        help="Where the references are: a manifest, a TSV of CoVoST 2, or text with a line for each; otherwise "
        "they are what translate passed on of its manifest.",
        rich_help_panel=INPUT_PANEL,
    ),
]
ReferenceFieldOption = Annotated[
    str | None,
    typer.Option(
        "--reference-field",
        metavar="NAME",
        help="Field that holds the reference; otherwise reference, translation or text, whichever comes first.",
        rich_help_panel=INPUT_PANEL,
    ),
]
ManifestOption = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="Translate these recordings now, with --model or --lang; it holds the references too.",
        rich_help_panel=INPUT_PANEL,
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Only references whose field split says so: test, of a covost_v2.en_de.tsv with all splits.",
        rich_help_panel=INPUT_PANEL,
    ),
]
RawOption = Annotated[
    bool,
    typer.Option(
        "--raw", help="Score raw_text, the reference's exact string, instead of text.", rich_help_panel=INPUT_PANEL
    ),
]
ExcludeFailedOption = Annotated[
    bool,
    typer.Option(
        "--exclude-failed",
        help="Leave out what a system failed on, for all systems; otherwise it is scored as empty.",
        rich_help_panel=INPUT_PANEL,
    ),
]

# Model

ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="ID|DIR",
        help="Checkpoint that translates the manifest; several are compared to the first.",
        rich_help_panel=MODEL_PANEL,
    ),
]

# Scores

LowercaseOption = Annotated[
    bool,
    typer.Option("--lowercase", help="Let sacrebleu lower-case (case:lc).", rich_help_panel=SCORE_PANEL),
]
TokenizeOption = Annotated[
    Tokenize,
    typer.Option(
        "--tokenize",
        metavar="13a|intl|char|none",
        help="How sacrebleu tokenises for BLEU.",
        rich_help_panel=SCORE_PANEL,
    ),
]
IgnoreCaseOption = Annotated[
    bool,
    typer.Option(
        "--ignore-case",
        help="Lower-case both sides before scoring, Turkish as it should be.",
        rich_help_panel=SCORE_PANEL,
    ),
]
IgnorePunctuationOption = Annotated[
    bool,
    typer.Option(
        "--ignore-punctuation",
        help="Make punctuation (Unicode's P*) spaces on both sides before scoring.",
        rich_help_panel=SCORE_PANEL,
    ),
]
BootstrapOption = Annotated[
    int,
    typer.Option(
        "--bootstrap",
        min=0,
        metavar="N",
        help="Resamples for 95 % intervals and for the paired test; 0 for none.",
        rich_help_panel=SCORE_PANEL,
    ),
]
PairedOption = Annotated[
    Paired,
    typer.Option(
        "--paired",
        metavar="bootstrap|randomisation|none",
        help="How further systems are tested against the first.",
        rich_help_panel=SCORE_PANEL,
    ),
]
TrialsOption = Annotated[
    int,
    typer.Option("--trials", min=1, metavar="N", help="Trials of the randomisation test.", rich_help_panel=SCORE_PANEL),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=1,
        metavar="N",
        help="Of resamples and trials; sacrebleu's 12345 (or SACREBLEU_SEED) if not given.",
        rich_help_panel=SCORE_PANEL,
    ),
]

# Output

LayoutOption = Annotated[
    Layout,
    typer.Option(
        "--format",
        metavar="table|json",
        help="json has everything, single sentences too, in full precision.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a page with every utterance, worst first: player, reference, hypotheses, scores.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
AudioOption = Annotated[
    bool,
    typer.Option("--audio/--no-audio", help="Put the recordings into the report.", rich_help_panel=OUTPUT_PANEL),
]
ReportAudioLimitOption = Annotated[
    float,
    typer.Option(
        "--report-audio-limit",
        min=0,
        metavar="MB",
        help="Most audio in the report; the worst utterances come first.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
SaveTranslationsOption = Annotated[
    Path | None,
    typer.Option(
        "--save-translations",
        metavar="FILE",
        help="Keep what --model translates, as JSON lines.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
