"""Fine-tuning for speech translation, from names of files to a folder with the best model.

Knows: how start, data, task and loop are put together, what lies where in the output folder.
Does not know: how any of them works, options, the terminal.

The output folder is a checkpoint in the published layout; its subfolder `training` has what is only of use for going
on: the state, the log, the curves and the lengths of recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from s2t2_cli.checkpoint.bundled import bundled_name
from s2t2_cli.checkpoint.published import language_of
from s2t2_cli.configuration import read_json_object
from s2t2_cli.configuration.search import as_ids
from s2t2_cli.errors import UsageError
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.collation import LabelMaker, SpeechBatches, unit_ids
from s2t2_cli.training.durations import Durations
from s2t2_cli.training.examples import Example, RowRules
from s2t2_cli.training.folders import prepare_folder
from s2t2_cli.training.identity import content_of, subwords_of
from s2t2_cli.training.listener import Listener
from s2t2_cli.training.loop import Outcome, train
from s2t2_cli.training.rehearsal import rehearse
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.speech_data import ManifestReader, SpeechData, Upsample
from s2t2_cli.training.speech_task import SpeechTaskSettings, SpeechTranslationTask
from s2t2_cli.training.starting import build_model, find_extractor, find_start, find_tokenizer
from s2t2_cli.training.stopping import Stopper
from s2t2_cli.training.validation import SpeechValidation
from s2t2_cli.training.world import World, join_world

# Audio in one batch, padding included, where nothing else is asked for.
_BATCH_SECONDS_CPU = 40.0
_BATCH_SECONDS_GPU = 100.0

# Rows whose sub-words are looked at, and the share of unknown ones among them that something must be wrong with.
_SAMPLED_ROWS = 500
_TOO_MANY_UNKNOWN = 0.05


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """What to fine-tune on what; the loop's own settings are apart. Defaults are the paper's where it has one."""

    model: str
    """A Speech2Text2 checkpoint, a wav2vec 2.0 checkpoint (hub id or folder), or a configuration (file or folder)."""
    output: Path
    train: Sequence[str]
    """Manifests."""
    valid: str | None = None
    upsample: Upsample | None = None
    """How often the rows of each manifest come in an epoch; `equal` gives all manifests the same share of audio."""
    audio_dir: Path | None = None
    allow_private_addresses: bool = False
    """Whether manifests may name http addresses of this machine and its network."""
    lang: str | None = None
    moses: bool = True
    """Whether texts are Moses-tokenised before they become sub-words, and output is detokenised."""
    tokenizer: Path | None = None
    decoder: Path | None = None
    """A JSON file with fields of a new decoder's configuration."""
    new_decoder: bool = False
    revision: str | None = None
    cache_dir: Path | None = None
    offline: bool = False
    rules: RowRules = field(default_factory=RowRules)
    encoder: dict[str, Any] = field(default_factory=dict)
    """Fields of the encoder's configuration that win: masking, layer drop."""
    task: SpeechTaskSettings = field(default_factory=SpeechTaskSettings)
    batch_seconds: float | None = None
    """Audio in one batch, padding included; by default 40 s on a CPU, 100 s on a GPU."""
    update_seconds: float = 400.0
    """Audio in one update: 6.4 million samples."""
    valid_beams: int = 1
    workers: int = 1
    restart: bool = False


def finetune(
    settings: FinetuneSettings,
    training: TrainingSettings,
    *,
    device: torch.device,
    listener: Listener | None = None,
    stopper: Stopper | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    show: Callable[[str], None] = lambda words: None,
) -> Outcome:
    """Fine-tune, going on where an earlier call with the same settings was stopped.

    `say` takes sentences for the user, `show` what is being prepared at the moment. Under torchrun this is one
    process of several. Raises UsageError, ModelError, TrainingError, OutputError.
    """
    name = bundled_name(settings.model, settings.lang)
    lang = settings.lang or language_of(name)
    if settings.moses and lang is None:
        raise UsageError("Moses tokenisation needs the language: --lang de; or --no-tokenize for tokenised text")
    with join_world(device) as (world, place):
        folder = prepare_folder(settings.output, restart=settings.restart, world=world)
        voice = _Voice(say, show) if world.is_first else _Voice()
        world.refuse_standard_input([*settings.train, settings.valid])
        data, valid = _read(settings, folder, world, voice)
        units = unit_ids(data.examples) if settings.task.ctc_weight > 0 else None
        if units == {}:
            raise UsageError(f"no row has {settings.rules.units_field!r} for the CTC loss: name the field: --ctc-field")
        start = find_start(name, revision=settings.revision, cache_dir=settings.cache_dir, offline=settings.offline)
        tokenizer = find_tokenizer(start, settings.tokenizer)
        voice.show(f"loading {start.name}")
        decoder = None if settings.decoder is None else read_json_object(settings.decoder)
        model, about = build_model(
            start, tokenizer, encoder=settings.encoder, decoder=decoder, new_decoder=settings.new_decoder,
            seed=training.seed,
        )  # fmt: skip
        for sentence in about:
            voice.say(sentence)
        extractor = find_extractor(start, model.config.encoder)
        parts = _Parts(settings, training, world, place, lang, model, extractor, tokenizer)
        labels = parts.label_maker()
        _warn_of_unknown(labels, data, voice.say)
        task = SpeechTranslationTask(
            model,
            replace(settings.task, ctc_units=len(units or {})),
            validation=None if valid is None else parts.validation(valid, labels, say),
            release=parts.release,
        ).to(place)
        batches = parts.batches(data, labels, units, say)
        if place.type == "cuda":
            voice.show("trying out the largest batch")
            rehearse(task, batches.load(batches.heaviest()), training)
        return train(
            task, batches, training if valid is not None else replace(training, validate_every=0), folder,
            world=world, listener=listener, stopper=stopper,
            also_fixed=_fixed(parts, data, valid),
        )  # fmt: skip


def _nobody(sentence: str) -> None:
    """What processes but the first have to say."""


@dataclass(frozen=True)
class _Voice:
    """How this process speaks to the user; by default not at all."""

    say: Callable[[str], None] = _nobody
    show: Callable[[str], None] = _nobody


def _read(
    settings: FinetuneSettings, folder: Path, world: World, voice: _Voice
) -> tuple[SpeechData, list[Example] | None]:
    """What to learn from and what to validate on. One process opens the recordings, the others read its notes."""
    if not world.is_first:
        world.wait()
    durations = Durations(folder)
    reader = ManifestReader(
        settings.rules,
        durations,
        audio_dir=settings.audio_dir,
        allow_private=settings.allow_private_addresses,
        say=voice.say,
        show=voice.show,
    )
    data = reader.training_data(settings.train, settings.upsample)
    valid = None if settings.valid is None else reader.validation_data(settings.valid)
    if world.is_first:
        durations.save()
        world.wait()
    return data, valid


@dataclass
class _Parts:
    """What several of the pieces are made from."""

    settings: FinetuneSettings
    training: TrainingSettings
    world: World
    device: torch.device
    lang: str | None
    model: SpeechEncoderDecoderModel
    extractor: Wav2Vec2FeatureExtractor
    tokenizer: Speech2Text2Tokenizer

    @property
    def batch_seconds(self) -> float:
        """The budget of a batch; what a GPU holds easily would swap on a laptop."""
        usual = _BATCH_SECONDS_CPU if self.device.type == "cpu" else _BATCH_SECONDS_GPU
        return min(self.settings.batch_seconds or usual, self.settings.update_seconds)

    def label_maker(self) -> LabelMaker:
        """Labels for the model's own end token and positions."""
        config = self.model.config.decoder
        end = as_ids(config.eos_token_id)[0]
        moses = self.lang if self.settings.moses else None
        return LabelMaker(self.tokenizer, moses, end=end, longest=config.max_target_positions)

    def batches(
        self, data: SpeechData, labels: LabelMaker, units: dict[str, int] | None, say: Callable[[str], None]
    ) -> SpeechBatches:
        """Those to learn from."""
        return SpeechBatches(
            data.examples, self.extractor, labels, batch_seconds=self.batch_seconds,
            per_update=max(1, round(self.settings.update_seconds / self.batch_seconds)), seed=self.training.seed,
            weights=data.weights, units=units, workers=self.settings.workers, report=say,
        )  # fmt: skip

    def validation(self, examples: list[Example], labels: LabelMaker, say: Callable[[str], None]) -> SpeechValidation:
        """Over the validation examples."""
        batches = SpeechBatches(
            examples, self.extractor, labels, batch_seconds=self.batch_seconds, per_update=1, seed=0,
            workers=self.settings.workers, report=say,
        )  # fmt: skip
        return SpeechValidation(
            examples, batches, self.extractor, self.tokenizer, lang=self.lang if self.settings.moses else None,
            num_beams=self.settings.valid_beams, batch_seconds=self.batch_seconds, world=self.world,
        )  # fmt: skip

    def release(self, model: SpeechEncoderDecoderModel) -> None:
        """Write the output folder; the configuration and the weights last, which make it a checkpoint."""
        self.extractor.save_pretrained(self.settings.output)
        self.tokenizer.save_pretrained(self.settings.output)
        model.save_pretrained(self.settings.output)


def _warn_of_unknown(labels: LabelMaker, data: SpeechData, say: Callable[[str], None]) -> None:
    step = max(1, len(data.examples) // _SAMPLED_ROWS)
    share = labels.unknown_share([example.text for example in data.examples[::step]])
    if share > _TOO_MANY_UNKNOWN:
        say(f"warning: {share:.0%} of the sub-words of the texts are unknown to the tokenizer; is it of this language?")


def _fixed(parts: _Parts, data: SpeechData, valid: list[Example] | None) -> dict[str, Any]:
    """What a resumed run must share beside the loop's settings, by option."""
    settings, config = parts.settings, parts.model.config
    encoder = {name: value for name, value in config.encoder.to_dict().items() if name not in settings.encoder}
    return {
        "model": settings.model,
        "tokenizer": subwords_of(parts.tokenizer),
        "lang": parts.lang,
        "tokenize": settings.moses,
        "new_decoder": settings.new_decoder,
        "train": data.digest(),
        "valid": None if valid is None else SpeechData(valid, [1.0] * len(valid)).digest(),
        "valid_beams": settings.valid_beams,
        "batch_seconds": parts.batch_seconds,
        "update_seconds": settings.update_seconds,
        **{name: value for name, value in asdict(settings.task).items() if name != "ctc_units"},
        **{name: value for name, value in settings.encoder.items() if value is not None},
        "configuration": content_of([encoder, config.decoder.to_dict()]),
    }
