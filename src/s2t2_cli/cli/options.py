"""The options of the commands that translate or load a model, and the panels of the help they appear in.

Knows: names, help sentences and limits. Does not know: what any command does with them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from s2t2_cli.engine import EngineName
from s2t2_cli.formats import FormatName

INPUT_PANEL = "Input"
MODEL_PANEL = "Model"
SEARCH_PANEL = "Search"
OUTPUT_PANEL = "Output"
MACHINE_PANEL = "Machine"

Lang = Literal["de", "tr", "ca", "ar"]
EarlyStopping = Literal["true", "false", "never"]
Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8"]
AudioBackend = Literal["av", "torchaudio"]

DEVICES = ("auto", "cpu", "cuda", "mps")


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number to work with")
    return value


def _device(value: str) -> str:
    if value not in DEVICES and not re.fullmatch(r"cuda:\d+", value):
        raise typer.BadParameter(f"{value!r} is not one of 'auto', 'cpu', 'cuda', 'cuda:N', 'mps'")
    return value


# Input

InputsArgument = Annotated[list[str] | None, typer.Argument(metavar="INPUTS", show_default=False)]
ManifestOption = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="JSON lines or TSV that name a recording in audio_filepath, relative to FILE; other fields are "
        "passed through. - reads it from standard input.",
        rich_help_panel=INPUT_PANEL,
    ),
]
AudioDirOption = Annotated[
    Path | None,
    typer.Option(
        "--audio-dir",
        metavar="DIR",
        help="Where relative names in the manifest start; otherwise beside it (of CoVoST 2, in clips).",
        rich_help_panel=INPUT_PANEL,
    ),
]
AllowPrivateOption = Annotated[
    bool,
    typer.Option(
        "--allow-private-addresses",
        help="Let a manifest name addresses of this machine and its network; otherwise only public ones.",
        rich_help_panel=INPUT_PANEL,
    ),
]
RecursiveOption = Annotated[
    bool,
    typer.Option("--recursive/--no-recursive", help="Go into folders of folders.", rich_help_panel=INPUT_PANEL),
]
AudioBackendOption = Annotated[
    AudioBackend,
    typer.Option(
        "--audio-backend",
        metavar="NAME",
        help="What resamples: av, or torchaudio (an extra) as the reference does for arrays.",
        rich_help_panel=INPUT_PANEL,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Take only part I of N, of about as much audio as the others where durations are stated; "
        "slurm: as the task of a job array.",
        rich_help_panel=INPUT_PANEL,
    ),
]

# Model

LangOption = Annotated[
    Lang | None,
    typer.Option(
        "--lang",
        metavar="de|tr|ca|ar",
        help="Language to translate to; picks the published checkpoint.",
        rich_help_panel=MODEL_PANEL,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID|DIR",
        help="Another checkpoint: a hub id or a folder.",
        rich_help_panel=MODEL_PANEL,
    ),
]
RevisionOption = Annotated[
    str | None,
    typer.Option(
        "--revision",
        metavar="REV",
        help="Branch, tag or commit of a hub checkpoint.",
        rich_help_panel=MODEL_PANEL,
    ),
]
CacheDirOption = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        metavar="DIR",
        help="Where checkpoints are kept; otherwise where HF_HOME says.",
        rich_help_panel=MODEL_PANEL,
    ),
]
OfflineOption = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Use only what is in the cache, never the network (as HF_HUB_OFFLINE=1).",
        rich_help_panel=MODEL_PANEL,
    ),
]

# Search; what is not given comes from the checkpoint

NumBeamsOption = Annotated[
    int | None,
    typer.Option(
        "--num-beams", min=1, metavar="N", help="Hypotheses kept at every step.", rich_help_panel=SEARCH_PANEL
    ),
]
LengthPenaltyOption = Annotated[
    float | None,
    typer.Option(
        "--length-penalty",
        metavar="X",
        callback=_finite,
        help="Exponent of the length that scores are divided by; above 0 favours longer text.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
MaxNewTokensOption = Annotated[
    int | None,
    typer.Option("--max-new-tokens", min=1, metavar="N", help="Longest output.", rich_help_panel=SEARCH_PANEL),
]
MinLengthOption = Annotated[
    int | None,
    typer.Option(
        "--min-length",
        min=0,
        metavar="N",
        help="Shortest output, the start token counted.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
NoRepeatNgramSizeOption = Annotated[
    int | None,
    typer.Option(
        "--no-repeat-ngram-size",
        min=0,
        metavar="N",
        help="Let no N tokens in a row come twice; 0 lets them.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
EarlyStoppingOption = Annotated[
    EarlyStopping | None,
    typer.Option(
        "--early-stopping",
        metavar="true|false|never",
        help="Stop when enough hypotheses are finished, when better ones are unlikely, or when impossible.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
LmOption = Annotated[
    str | None,
    typer.Option(
        "--lm",
        metavar="ID|DIR",
        help="A language model over the same sub-words (s2t2 train-lm) that takes part in every step.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
LmWeightOption = Annotated[
    float | None,
    typer.Option(
        "--lm-weight",
        min=0,
        metavar="X",
        callback=_finite,
        help="How much its log-probability counts; 0.1 if not given, 0 is a search without it.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
NBestOption = Annotated[
    int,
    typer.Option(
        "--n-best",
        min=1,
        metavar="N",
        help="Give the N best hypotheses with their scores, at most as many as beams.",
        rich_help_panel=SEARCH_PANEL,
    ),
]

# Output

FormatOption = Annotated[
    FormatName,
    typer.Option(
        "--format",
        metavar="text|jsonl|tsv|srt|vtt|parquet",
        help="text has a line for each input that was translated; jsonl and tsv have one for every input, "
        "failed ones too; srt and vtt are subtitles, a file for each input; parquet (an extra) is a table.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write there instead of standard output.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
OutputDirOption = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        metavar="DIR",
        help="Write a file for each input, a.mp3.txt for a.mp3, folders as they were.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
WithFilenameOption = Annotated[
    bool | None,
    typer.Option(
        "--with-filename/--no-filename",
        "-H/-h",
        help="Start each line of text with the input's name; by default where there may be several.",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
    ),
]
UnorderedOption = Annotated[
    bool,
    typer.Option(
        "--unordered",
        help="Give each result as soon as it is ready, in any order.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
DetokenizeOption = Annotated[
    bool,
    typer.Option(
        "--detokenize/--no-detokenize",
        help="Natural text, or the reference's exact string with its spaces around punctuation.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
TokensOption = Annotated[
    bool,
    typer.Option("--tokens", help="Add the token ids to jsonl and tsv.", rich_help_panel=OUTPUT_PANEL),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="List what would be done and where it would go, without loading a model.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing on standard error but errors.", rich_help_panel=OUTPUT_PANEL),
]
ProgressOption = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress",
        help="A live line on the terminal; by default unless the results go into a pipe.",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the jsonl or parquet file that --output names: what is in it is not done again.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
RetryErrorsOption = Annotated[
    bool,
    typer.Option(
        "--retry-errors",
        help="With --resume, do the inputs again that failed before.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]

# Machine


def _complete_device() -> list[str]:
    return list(DEVICES)


DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        callback=_device,
        autocompletion=_complete_device,
        help="auto, cpu, cuda, cuda:N or mps.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        metavar="NAME",
        help="auto, float32, bfloat16, float16, or int8: on the CPU, fast, nearly as good.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        help="CPU threads; otherwise as many as torch finds right.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
BatchSecondsOption = Annotated[
    float | None,
    typer.Option(
        "--batch-seconds",
        min=1,
        metavar="S",
        callback=_finite,
        help="Seconds of audio translated at once; more is faster and needs more memory.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Translate in this process, or on a Ray cluster (an extra: s2t2-cli[ray]).",
        rich_help_panel=MACHINE_PANEL,
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        help="The cluster; auto for the one this machine belongs to. Otherwise RAY_ADDRESS, or one on this machine.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
