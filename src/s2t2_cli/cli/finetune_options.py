"""The options of `s2t2 finetune`, and the forms their values take.

Knows: names, help sentences and limits. Does not know: what training does with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from s2t2_cli.cli.options import MACHINE_PANEL, MODEL_PANEL, OUTPUT_PANEL
from s2t2_cli.errors import UsageError

DATA_PANEL = "Data"
TRAINING_PANEL = "Training"

Schedule = Literal["tri_stage", "inverse_sqrt", "linear", "cosine", "constant"]
TrainingDtype = Literal["auto", "float32", "bfloat16"]


def _option(*names: str, panel: str, help: str, metavar: str | None = None, **settings: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, **settings)


def numbers(text: str | None, option: str) -> list[float] | None:
    """`4,1` as numbers. Raises UsageError, naming the option."""
    if text is None:
        return None
    try:
        values = [float(one) for one in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} takes numbers separated by commas, not {text!r}") from None
    if not all(0 <= value < float("inf") for value in values):
        raise UsageError(f"{option} {text}: each number must be finite and not negative")
    return values


# Data

TrainOption = Annotated[
    list[str] | None,
    _option(
        "--train",
        metavar="FILE",
        panel=DATA_PANEL,
        help="Manifest to learn from: JSON lines or TSV with audio_filepath and text, CoVoST 2's TSV, or what "
        "s2t2 translate --format jsonl wrote. May be given several times.",
    ),
]
UpsampleOption = Annotated[
    str | None,
    _option(
        "--upsample",
        metavar="X,Y|equal",
        panel=DATA_PANEL,
        help="How often the rows of each --train come in an epoch; equal gives all the same share of audio.",
    ),
]
ValidOption = Annotated[
    str | None,
    _option(
        "--valid",
        metavar="FILE",
        panel=DATA_PANEL,
        help="Manifest to validate on: the model with the best BLEU is kept. Without it the last one is.",
    ),
]
AudioDirOption = Annotated[
    Path | None,
    _option("--audio-dir", metavar="DIR", panel=DATA_PANEL, help="Where relative paths of the manifests start."),
]
AllowPrivateOption = Annotated[
    bool,
    _option(
        "--allow-private-addresses",
        panel=DATA_PANEL,
        help="Let manifests name addresses of this machine and its network; otherwise only public ones.",
    ),
]
TokenizeOption = Annotated[
    bool,
    _option(
        "--tokenize/--no-tokenize",
        panel=DATA_PANEL,
        help="Moses-tokenise the texts; off where they are tokenised already.",
    ),
]
MaxSecondsOption = Annotated[
    float,
    _option("--max-seconds", metavar="S", min=0.1, panel=DATA_PANEL, help="Leave longer recordings out."),
]
MinScoreOption = Annotated[
    float | None,
    _option("--min-score", metavar="X", panel=DATA_PANEL, help="Leave pseudo-labels with a lower score out."),
]
LengthRatioOption = Annotated[
    str | None,
    _option(
        "--length-ratio",
        metavar="MIN,MAX",
        panel=DATA_PANEL,
        help="Leave pseudo-labels with fewer or more characters for each second of audio out.",
    ),
]

# Model

StartOption = Annotated[
    str | None,
    _option(
        "--model",
        metavar="ID|DIR|FILE",
        panel=MODEL_PANEL,
        help="What to start from: a Speech2Text2 or a wav2vec 2.0 checkpoint, or a configuration.",
    ),
]
TokenizerOption = Annotated[
    Path | None,
    _option("--tokenizer", metavar="DIR", panel=MODEL_PANEL, help="Sub-words (s2t2 learn-bpe); else the checkpoint's."),
]
DecoderOption = Annotated[
    Path | None,
    _option(
        "--decoder",
        metavar="FILE",
        panel=MODEL_PANEL,
        help="JSON with fields of a new decoder's configuration; otherwise it is as published.",
    ),
]
NewDecoderOption = Annotated[
    bool,
    _option("--new-decoder", panel=MODEL_PANEL, help="Keep only the encoder of a Speech2Text2 checkpoint."),
]
OutputDirectoryOption = Annotated[
    Path | None,
    _option("--output", "-o", metavar="DIR", panel=OUTPUT_PANEL, help="Folder for the model and the training's state."),
]
RestartOption = Annotated[
    bool, _option("--restart", panel=OUTPUT_PANEL, help="Start over instead of going on with what --output holds.")
]

# Training

MaxUpdatesOption = Annotated[
    int, _option("--max-updates", metavar="N", min=1, panel=TRAINING_PANEL, help="Steps of the optimiser.")
]
LearningRateOption = Annotated[float, _option("--lr", metavar="X", panel=TRAINING_PANEL, help="Highest learning rate.")]
ScheduleOption = Annotated[
    Schedule,
    _option(
        "--schedule",
        metavar="NAME",
        panel=TRAINING_PANEL,
        help="tri_stage (a tenth warm-up, four tenths level, then falling), inverse_sqrt, linear, cosine or constant.",
    ),
]
WarmupOption = Annotated[
    int | None,
    _option("--warmup", metavar="N", min=0, panel=TRAINING_PANEL, help="Updates of warm-up; else a tenth of all."),
]
UpdateSecondsOption = Annotated[
    float,
    _option(
        "--update-seconds",
        metavar="S",
        min=0.1,
        panel=TRAINING_PANEL,
        help="Audio in one update; batches are summed until it is reached. 400 s are 6.4 million samples.",
    ),
]
ClipOption = Annotated[
    float, _option("--clip", metavar="X", min=0, panel=TRAINING_PANEL, help="Largest norm of the gradient; 0: any.")
]
WeightDecayOption = Annotated[
    float, _option("--weight-decay", metavar="X", min=0, panel=TRAINING_PANEL, help="Decoupled from the gradient.")
]
LabelSmoothingOption = Annotated[
    float,
    _option("--label-smoothing", metavar="X", min=0, max=0.99, panel=TRAINING_PANEL, help="Of the cross-entropy."),
]
FreezeEncoderOption = Annotated[
    int,
    _option(
        "--freeze-encoder-updates",
        metavar="N",
        min=0,
        panel=TRAINING_PANEL,
        help="Updates before the encoder learns, too.",
    ),
]
FreezeConvolutionsOption = Annotated[
    bool,
    _option(
        "--freeze-convolutions/--train-convolutions",
        panel=TRAINING_PANEL,
        help="Whether the encoder's convolutions never learn.",
    ),
]
MaskTimeProbOption = Annotated[
    float,
    _option(
        "--mask-time-prob",
        metavar="P",
        min=0,
        max=1,
        panel=TRAINING_PANEL,
        help="How much of the time is masked.",
    ),
]
MaskTimeLengthOption = Annotated[
    int, _option("--mask-time-length", metavar="N", min=1, panel=TRAINING_PANEL, help="Frames masked in a row.")
]
MaskChannelProbOption = Annotated[
    float | None,
    _option(
        "--mask-channel-prob",
        metavar="P",
        min=0,
        max=1,
        panel=TRAINING_PANEL,
        help="About how many channels are masked; else as the checkpoint says.",
    ),
]
MaskChannelLengthOption = Annotated[
    int | None,
    _option("--mask-channel-length", metavar="N", min=1, panel=TRAINING_PANEL, help="Channels masked in a row."),
]
LayerdropOption = Annotated[
    float,
    _option(
        "--layerdrop", metavar="P", min=0, max=1, panel=TRAINING_PANEL, help="How often an encoder layer is skipped."
    ),
]
CtcWeightOption = Annotated[
    float,
    _option(
        "--ctc-weight",
        metavar="X",
        min=0,
        panel=TRAINING_PANEL,
        help="Weight of a CTC loss on the encoder, which helps with little data; its head is not in the model.",
    ),
]
CtcFieldOption = Annotated[
    str,
    _option(
        "--ctc-field",
        metavar="NAME",
        panel=TRAINING_PANEL,
        help="Field with what CTC is to find: text, taken by characters, or a list of units.",
    ),
]
ValidateEveryOption = Annotated[
    int, _option("--validate-every", metavar="N", min=1, panel=TRAINING_PANEL, help="Updates between validations.")
]
ValidBeamsOption = Annotated[
    int, _option("--valid-beams", metavar="N", min=1, panel=TRAINING_PANEL, help="Beams in validations; 1 is fastest.")
]
PatienceOption = Annotated[
    int | None,
    _option(
        "--patience",
        metavar="N",
        min=1,
        panel=TRAINING_PANEL,
        help="End after N validations without a new best; else only --max-updates ends it.",
    ),
]
SaveEveryOption = Annotated[
    int,
    _option(
        "--save-every",
        metavar="N",
        min=1,
        panel=TRAINING_PANEL,
        help="Updates between saved states; every ten minutes one is saved anyway.",
    ),
]
LogEveryOption = Annotated[
    int, _option("--log-every", metavar="N", min=1, panel=TRAINING_PANEL, help="Updates a line of the log is about.")
]
SeedOption = Annotated[int, _option("--seed", metavar="N", min=0, panel=TRAINING_PANEL, help="Of all that is random.")]

# Machine

TrainingDtypeOption = Annotated[
    TrainingDtype,
    _option(
        "--dtype",
        metavar="NAME",
        panel=MACHINE_PANEL,
        help="auto, float32 or bfloat16 (autocast; weights stay float32). auto is bfloat16 on GPUs that have it.",
    ),
]
WorkersOption = Annotated[
    int | None,
    _option(
        "--workers",
        metavar="N",
        min=1,
        panel=MACHINE_PANEL,
        help="Threads that decode audio; else 1 beside a CPU model, 8 beside a GPU.",
    ),
]
BatchSecondsOption = Annotated[
    float | None,
    _option(
        "--batch-seconds",
        metavar="S",
        min=0.1,
        panel=MACHINE_PANEL,
        help="Audio in memory at once; else 40 s on a CPU, 100 s on a GPU. Less needs less memory, and more batches "
        "are summed to an update.",
    ),
]
