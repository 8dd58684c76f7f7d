"""`s2t2 train-lm`: text in the target language in, a language model for `s2t2 translate --lm` out.

Knows: options, how the parts are put together for one run. Does not know: what the parts do inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.cli import finetune_options as f
from s2t2_cli.cli import options as o
from s2t2_cli.cli.exits import show_log
from s2t2_cli.cli.help import Command
from s2t2_cli.errors import UsageError

if TYPE_CHECKING:
    import torch

    from s2t2_cli.training.language_model_run import LanguageModelSettings
    from s2t2_cli.training.loop import Outcome
    from s2t2_cli.training.settings import TrainingSettings
    from s2t2_cli.training.stopping import Stopper

EXAMPLES = """\b
Examples:
  s2t2 train-lm text.de --lang de --tokenizer bpe-de -o lm-de
  s2t2 train-lm train.jsonl news.de --valid dev.de \\
      --tokenizer facebook/s2t-wav2vec2-large-en-de -o lm-de
  s2t2 train-lm text.de --lang de --tokenizer bpe-de -o small-lm-de \\
      --decoder-layers 2 --d-model 128 --decoder-attention-heads 4
  s2t2 translate talk.mp3 --lang de --lm lm-de --length-penalty 0.7

\b
The same command again goes on where it was stopped.
Exit status: 0 trained, 1 training failed, 2 wrong usage, no model or no data,
130 interrupted (everything is saved).
"""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


def _size(name: str, help: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        name, metavar="N", min=1, help=help, rich_help_panel=o.MODEL_PANEL, show_default=False
    )
    return option


@app.command("train-lm", cls=Command, epilog=EXAMPLES)
def train_lm(
    text: Annotated[list[str] | None, typer.Argument(metavar="TEXT", show_default=False)] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            "--valid",
            metavar="FILE",
            help="Text to validate on: the model that finds it likeliest is kept. Without it a hundredth of TEXT is "
            "held out. May be given several times.",
            rich_help_panel=f.DATA_PANEL,
        ),
    ] = None,
    field: Annotated[
        str,
        typer.Option(
            "--field",
            metavar="NAME",
            help="Where rows of JSON lines or TSV have the sentence.",
            rich_help_panel=f.DATA_PANEL,
        ),
    ] = "text",
    tokenize: f.TokenizeOption = True,
    lang: Annotated[
        o.Lang | None,
        typer.Option(
            "--lang",
            metavar="de|tr|ca|ar",
            help="Language of the text, for Moses tokenisation; else what the tokenizer's name ends in.",
            rich_help_panel=f.DATA_PANEL,
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="ID|DIR",
            help="Sub-words: the translation model's, so its checkpoint, or the folder it was trained with.",
            rich_help_panel=o.MODEL_PANEL,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="JSON with fields of the model's configuration; otherwise it is the paper's.",
            rich_help_panel=o.MODEL_PANEL,
        ),
    ] = None,
    decoder_layers: Annotated[int | None, _size("--decoder-layers", "Layers; the paper's 12 if not given.")] = None,
    d_model: Annotated[int | None, _size("--d-model", "Width; the paper's 512 if not given.")] = None,
    decoder_attention_heads: Annotated[
        int | None, _size("--decoder-attention-heads", "Attention heads; 16 if not given.")
    ] = None,
    decoder_ffn_dim: Annotated[
        int | None, _size("--decoder-ffn-dim", "Width inside a layer; 4096 if not given.")
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            "--dropout",
            metavar="P",
            min=0,
            max=0.99,
            help="How much is dropped in training; 0.1 if not given.",
            rich_help_panel=o.MODEL_PANEL,
        ),
    ] = None,
    revision: o.RevisionOption = None,
    cache_dir: o.CacheDirOption = None,
    offline: o.OfflineOption = False,
    max_updates: f.MaxUpdatesOption = 50_000,
    lr: f.LearningRateOption = 5e-4,
    schedule: f.ScheduleOption = "inverse_sqrt",
    warmup: f.WarmupOption = None,
    update_tokens: Annotated[
        int,
        typer.Option(
            "--update-tokens",
            metavar="N",
            min=1,
            help="Tokens in one update; batches are summed until it is reached.",
            rich_help_panel=f.TRAINING_PANEL,
        ),
    ] = 32_768,
    clip: f.ClipOption = 1.0,
    weight_decay: f.WeightDecayOption = 0.0,
    validate_every: f.ValidateEveryOption = 1000,
    patience: f.PatienceOption = None,
    save_every: f.SaveEveryOption = 1000,
    log_every: f.LogEveryOption = 100,
    seed: f.SeedOption = 1,
    output: f.OutputDirectoryOption = None,
    restart: f.RestartOption = False,
    quiet: o.QuietOption = False,
    progress: o.ProgressOption = None,
    device: o.DeviceOption = "auto",
    dtype: f.TrainingDtypeOption = "auto",
    threads: o.ThreadsOption = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            "--batch-tokens",
            metavar="N",
            min=1,
            help="Tokens computed at once; more is faster and needs more memory. Else 4096, on a GPU 16384.",
            rich_help_panel=o.MACHINE_PANEL,
        ),
    ] = None,
) -> None:
    """Train a language model on text in the target language.

    TEXT is plain text with a sentence a line, JSON lines such as a training manifest, or TSV with a header row; -
    is standard input. The model predicts a translation's sub-words from those before, without hearing anything, and
    s2t2 translate --lm lets it take part in the search. Sizes are the paper's (arXiv 2104.06678) unless they are
    given. Progress goes to standard error, the record of it to log.jsonl and curves.png in OUTPUT/training.
    """
    if quiet:
        show_log(quiet=True)
    if not text:
        raise UsageError("there is no text to learn from; name files, or - for standard input")
    if tokenizer is None:
        raise UsageError("name the sub-words: --tokenizer with the translation model, or what s2t2 learn-bpe made")
    if output is None:
        raise UsageError("say where the model goes: --output DIR")

    from s2t2_cli.configuration import read_json_object
    from s2t2_cli.training.devices import training_device, training_dtype
    from s2t2_cli.training.language_model_run import SIZES, LanguageModelSettings
    from s2t2_cli.training.settings import TrainingSettings

    place = training_device(device, threads)
    training = TrainingSettings(
        updates=max_updates,
        lr=lr,
        schedule=schedule,
        warmup=warmup,
        clip=clip,
        weight_decay=weight_decay,
        seed=seed,
        dtype=training_dtype(dtype, place),
        validate_every=validate_every,
        save_every=save_every,
        log_every=log_every,
        patience=patience,
    )
    sizes = zip(SIZES, (decoder_layers, d_model, decoder_attention_heads, decoder_ffn_dim, dropout), strict=True)
    settings = LanguageModelSettings(
        text=text,
        output=output,
        tokenizer=bundled_name(tokenizer, lang),
        valid=valid or (),
        lang=lang,
        moses=tokenize,
        field=field,
        model={
            **(read_json_object(config) if config is not None else {}),
            **{name: value for name, value in sizes if value is not None},
        },
        batch_tokens=batch_tokens,
        update_tokens=update_tokens,
        revision=revision,
        cache_dir=cache_dir,
        offline=offline,
        restart=restart,
    )
    _run(settings, training, place, quiet=quiet, progress=progress)


def _run(
    settings: LanguageModelSettings,
    training: TrainingSettings,
    place: torch.device,
    *,
    quiet: bool,
    progress: bool | None,
) -> None:
    from s2t2_cli.cli.training_run import TrainingDisplay, curves_drawer, run_training
    from s2t2_cli.training.folders import TRAINING_FOLDER
    from s2t2_cli.training.language_model import LanguageModelTask
    from s2t2_cli.training.language_model_run import train_language_model

    display = TrainingDisplay(LanguageModelTask.unit, wants_progress=progress, quiet=quiet)
    folder = settings.output / TRAINING_FOLDER
    display.after_validation = curves_drawer(folder, score=LanguageModelTask.best_score, say=display.say)

    def work(stopper: Stopper) -> Outcome:
        return train_language_model(
            settings, training, device=place, listener=display, stopper=stopper, say=display.say, show=display.show
        )

    with display:
        run_training(work, output=settings.output, say=display.say)
