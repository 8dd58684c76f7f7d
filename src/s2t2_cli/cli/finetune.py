"""`s2t2 finetune`: recordings with translations in, a better model out.

Knows: options, how the parts are put together for one run. Does not know: what the parts do inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.cli import finetune_options as f
from s2t2_cli.cli import options as o
from s2t2_cli.cli.exits import show_log
from s2t2_cli.cli.help import Command
from s2t2_cli.errors import UsageError

if TYPE_CHECKING:
    import torch

    from s2t2_cli.training.finetuning import FinetuneSettings
    from s2t2_cli.training.loop import Outcome
    from s2t2_cli.training.settings import TrainingSettings
    from s2t2_cli.training.stopping import Stopper

EXAMPLES = """\b
Examples:
  s2t2 finetune --lang de --train train.jsonl --valid dev.jsonl -o my-model
  s2t2 finetune --model facebook/wav2vec2-large-lv60 --tokenizer bpe-de \\
      --lang de --train covost_v2.en_de.train.tsv \\
      --valid covost_v2.en_de.dev.tsv -o my-model
  s2t2 finetune --model my-model --lang de --train labelled.jsonl \\
      --train pseudo.jsonl --upsample equal --valid dev.jsonl -o student
  torchrun --nproc-per-node 8 -m s2t2_cli finetune --lang de --train …

\b
The same command again goes on where it was stopped.
Exit status: 0 trained, 1 training failed, 2 wrong usage, no model or no data,
130 interrupted (everything is saved).
"""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("finetune", cls=Command, epilog=EXAMPLES)
def finetune(
    train: f.TrainOption = None,
    upsample: f.UpsampleOption = None,
    valid: f.ValidOption = None,
    audio_dir: f.AudioDirOption = None,
    allow_private_addresses: f.AllowPrivateOption = False,
    tokenize: f.TokenizeOption = True,
    max_seconds: f.MaxSecondsOption = 20.0,
    min_score: f.MinScoreOption = None,
    length_ratio: f.LengthRatioOption = None,
    lang: o.LangOption = None,
    model: f.StartOption = None,
    tokenizer: f.TokenizerOption = None,
    decoder: f.DecoderOption = None,
    new_decoder: f.NewDecoderOption = False,
    revision: o.RevisionOption = None,
    cache_dir: o.CacheDirOption = None,
    offline: o.OfflineOption = False,
    max_updates: f.MaxUpdatesOption = 250_000,
    lr: f.LearningRateOption = 5e-5,
    schedule: f.ScheduleOption = "tri_stage",
    warmup: f.WarmupOption = None,
    update_seconds: f.UpdateSecondsOption = 400.0,
    clip: f.ClipOption = 10.0,
    weight_decay: f.WeightDecayOption = 0.0,
    label_smoothing: f.LabelSmoothingOption = 0.1,
    freeze_encoder_updates: f.FreezeEncoderOption = 10_000,
    freeze_convolutions: f.FreezeConvolutionsOption = True,
    mask_time_prob: f.MaskTimeProbOption = 0.15,
    mask_time_length: f.MaskTimeLengthOption = 5,
    mask_channel_prob: f.MaskChannelProbOption = None,
    mask_channel_length: f.MaskChannelLengthOption = None,
    layerdrop: f.LayerdropOption = 0.05,
    ctc_weight: f.CtcWeightOption = 0.0,
    ctc_field: f.CtcFieldOption = "transcript",
    validate_every: f.ValidateEveryOption = 1000,
    valid_beams: f.ValidBeamsOption = 1,
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
    workers: f.WorkersOption = None,
    batch_seconds: f.BatchSecondsOption = None,
) -> None:
    """Train a model on recordings with translations.

    It starts from a Speech2Text2 checkpoint (--lang alone: the published one), from a pretrained wav2vec 2.0, which
    gets a new decoder, or from a configuration. The folder --output becomes a checkpoint that s2t2 translate and
    transformers 4.40 read. Defaults are those of the paper (arXiv 2104.06678) where it names them. Progress goes to
    standard error, the record of it to log.jsonl and curves.png in OUTPUT/training.
    """
    if quiet:
        show_log(quiet=True)
    if not train:
        raise UsageError("name what to learn from: --train train.jsonl")
    if output is None:
        raise UsageError("say where the model goes: --output DIR")
    if model is None and lang is None:
        raise UsageError("say what to start from: --model ID, or --lang de for the published checkpoint")
    if patience is not None and valid is None:
        raise UsageError("--patience counts validations, which need --valid")
    ratio = f.numbers(length_ratio, "--length-ratio")
    if ratio is not None and len(ratio) != 2:
        raise UsageError(f"--length-ratio takes two numbers, MIN,MAX, not {length_ratio!r}")
    factors = upsample if upsample in (None, "equal") else f.numbers(upsample, "--upsample")

    from s2t2_cli.training.devices import training_device, training_dtype
    from s2t2_cli.training.examples import RowRules
    from s2t2_cli.training.finetuning import FinetuneSettings
    from s2t2_cli.training.settings import TrainingSettings
    from s2t2_cli.training.speech_task import SpeechTaskSettings

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
    settings = FinetuneSettings(
        model=model or PUBLISHED[lang or "de"].model_id,
        output=output,
        train=train,
        valid=valid,
        upsample=factors,
        audio_dir=audio_dir,
        allow_private_addresses=allow_private_addresses,
        lang=lang,
        moses=tokenize,
        tokenizer=tokenizer,
        decoder=decoder,
        new_decoder=new_decoder,
        revision=revision,
        cache_dir=cache_dir,
        offline=offline,
        rules=RowRules(
            max_seconds=max_seconds,
            min_score=min_score,
            length_ratio=None if ratio is None else (ratio[0], ratio[1]),
            units_field=ctc_field if ctc_weight else None,
        ),
        encoder={
            "apply_spec_augment": True,
            "mask_time_prob": mask_time_prob,
            "mask_time_length": mask_time_length,
            "mask_feature_prob": mask_channel_prob,
            "mask_feature_length": mask_channel_length,
            "layerdrop": layerdrop,
        },
        task=SpeechTaskSettings(
            label_smoothing=label_smoothing,
            freeze_encoder_updates=freeze_encoder_updates,
            freeze_feature_encoder=freeze_convolutions,
            ctc_weight=ctc_weight,
        ),
        batch_seconds=batch_seconds,
        update_seconds=update_seconds,
        valid_beams=valid_beams,
        workers=workers or (8 if place.type == "cuda" else 1),
        restart=restart,
    )
    _run(settings, training, place, quiet=quiet, progress=progress)


def _run(
    settings: FinetuneSettings, training: TrainingSettings, place: torch.device, *, quiet: bool, progress: bool | None
) -> None:
    from s2t2_cli.cli.training_run import TrainingDisplay, curves_drawer, run_training
    from s2t2_cli.training.finetuning import finetune
    from s2t2_cli.training.folders import TRAINING_FOLDER
    from s2t2_cli.training.speech_task import SpeechTranslationTask

    display = TrainingDisplay(SpeechTranslationTask.unit, wants_progress=progress, quiet=quiet)
    display.after_validation = curves_drawer(settings.output / TRAINING_FOLDER, say=display.say)

    def work(stopper: Stopper) -> Outcome:
        return finetune(
            settings, training, device=place, listener=display, stopper=stopper, say=display.say, show=display.show
        )

    with display:
        run_training(work, output=settings.output, say=display.say)
