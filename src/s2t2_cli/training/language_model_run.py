"""Training a language model, from names of text files to a folder with the best model.

Knows: how text, sub-words, task and loop are put together, what a new model looks like, what lies where in the output
folder. Does not know: how any of them works, options, the terminal.

The output folder holds the model in the published layout with its tokenizer; its subfolder `training` has what is only
of use for going on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from s2t2_cli.checkpoint.published import language_of
from s2t2_cli.configuration import CONFIG_NAME, Speech2Text2Config, SpeechEncoderDecoderConfig, read_json_object
from s2t2_cli.corpus import TEXT_FIELD, read_sentences
from s2t2_cli.errors import UsageError
from s2t2_cli.modeling.speech2text2 import Speech2Text2ForCausalLM
from s2t2_cli.pretrained import pretrained_folder
from s2t2_cli.text import MosesTokenizer
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.folders import prepare_folder
from s2t2_cli.training.identity import content_of, subwords_of
from s2t2_cli.training.language_model import LanguageModelTask
from s2t2_cli.training.listener import Listener
from s2t2_cli.training.loop import Outcome, train
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.stopping import Stopper
from s2t2_cli.training.text_corpus import Corpus, read_corpus
from s2t2_cli.training.text_data import Marks, TextBatches
from s2t2_cli.training.world import join_world

# The paper (arXiv 2104.06678, section 3.2): 12 layers, embedding 512. The rest is fairseq's transformer_lm_gbw, the
# architecture it names; the layers are Speech2Text2's, which are normalised behind each residual, not before.
USUAL_SIZE: Mapping[str, Any] = {
    "decoder_layers": 12,
    "d_model": 512,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "dropout": 0.1,
    "attention_dropout": 0.1,
}

# The fields that options set.
SIZES = ("decoder_layers", "d_model", "decoder_attention_heads", "decoder_ffn_dim", "dropout")

# A share of unknown sub-words that something must be wrong with.
_TOO_MANY_UNKNOWN = 0.05

_SHOWN_EVERY = 1000  # sentences


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """What to learn from; the loop's own settings are apart."""

    text: Sequence[str]
    """Files, see `s2t2_cli.corpus`."""
    output: Path
    tokenizer: str
    """A folder or hub id with the sub-words; a translation checkpoint is one."""
    valid: Sequence[str] = ()
    """Files to validate on; without them some of `text` is held out."""
    lang: str | None = None
    moses: bool = True
    """Whether texts are Moses-tokenised before they become sub-words."""
    field: str = TEXT_FIELD
    """Where rows of JSON lines or TSV have the sentence."""
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the configuration that win over USUAL_SIZE."""
    batch_tokens: int | None = None
    """Tokens in one batch, padding included; by default 4,096 on a CPU, 16,384 on a GPU."""
    update_tokens: int = 32_768
    """Tokens in one update: batches are summed until it is reached."""
    revision: str | None = None
    cache_dir: Path | None = None
    offline: bool = False
    restart: bool = False


def new_config(folder: Path, values: Mapping[str, Any]) -> Speech2Text2Config:
    """The configuration of a language model over the sub-words of a tokenizer's folder.

    `values` win over USUAL_SIZE. Where the folder is that of a translation checkpoint, the vocabulary is as large as
    that model's, which may be more than the tokenizer knows, and the marks are the same. Raises ModelError.
    """
    tokenizer = Speech2Text2Tokenizer.from_pretrained(folder)
    given: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.eos_token_id,
    }
    if (folder / CONFIG_NAME).is_file():
        found = read_json_object(folder / CONFIG_NAME)
        model = SpeechEncoderDecoderConfig.from_dict(found).decoder if "decoder" in found else None
        model = model or Speech2Text2Config.from_dict(found)
        given |= {name: getattr(model, name) for name in given}
    fixed = {"add_cross_attention": False, "tie_word_embeddings": False}
    return Speech2Text2Config.from_dict({**USUAL_SIZE, **values, **given, **fixed})


def train_language_model(
    settings: LanguageModelSettings,
    training: TrainingSettings,
    *,
    device: torch.device,
    listener: Listener | None = None,
    stopper: Stopper | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    show: Callable[[str], None] = lambda words: None,
) -> Outcome:
    """Train a new model, going on where an earlier call with the same settings was stopped.

    `say` takes sentences for the user, `show` what is being prepared at the moment. Under torchrun this is one
    process of several. Raises UsageError, ModelError, TrainingError, OutputError.
    """
    with join_world(device) as (world, place):
        world.refuse_standard_input([*settings.text, *settings.valid])
        sub_words = pretrained_folder(
            settings.tokenizer,
            revision=settings.revision,
            cache_dir=settings.cache_dir,
            local_files_only=settings.offline,
        )
        tokenizer = Speech2Text2Tokenizer.from_pretrained(sub_words)
        config = new_config(sub_words, settings.model)
        to_label = _label_maker(settings)
        folder = prepare_folder(settings.output, restart=settings.restart, world=world)
        corpus = read_corpus(
            map(to_label, read_sentences(settings.text, field=settings.field)),
            map(to_label, read_sentences(settings.valid, field=settings.field)) if settings.valid else None,
            tokenizer,
            longest=config.max_target_positions,
            progress=lambda number: show(f"{number:,} sentences read") if number % _SHOWN_EVERY == 0 else None,
        )
        if world.is_first:
            _tell(corpus, config, say)

        def release(best: Speech2Text2ForCausalLM) -> None:
            tokenizer.save_pretrained(settings.output)
            best.save_pretrained(settings.output)

        torch.manual_seed(training.seed)
        marks = _marks(config)
        batch_tokens = settings.batch_tokens or (4096 if place.type == "cpu" else 16_384)
        task = LanguageModelTask(
            Speech2Text2ForCausalLM(config),
            validation=corpus.validation,
            marks=marks,
            batch_tokens=batch_tokens,
            release=release,
            world=world,
        ).to(place)
        batches = TextBatches(
            corpus.training,
            marks,
            batch_tokens=batch_tokens,
            accumulate=max(1, round(settings.update_tokens / batch_tokens)),
            seed=training.seed,
        )
        values = config.to_dict()
        fixed = {
            "tokenizer": subwords_of(tokenizer),
            "batch_tokens": batch_tokens,
            "update_tokens": settings.update_tokens,
            "text": corpus.training.fingerprint,
            "valid": corpus.validation.fingerprint,
            **{name: values.pop(name) for name in SIZES},
            "config": content_of(values),
        }
        return train(task, batches, training, folder, world=world, listener=listener, stopper=stopper, also_fixed=fixed)


def _label_maker(settings: LanguageModelSettings) -> Callable[[str], str]:
    """From a sentence as people write it to label text, as translation models are trained on."""
    if not settings.moses:
        return str
    lang = settings.lang or language_of(settings.tokenizer)
    if lang is None:
        raise UsageError("Moses tokenisation needs the language: --lang de; or --no-tokenize for tokenised text")
    return MosesTokenizer(lang)


def _tell(corpus: Corpus, config: Speech2Text2Config, say: Callable[[str], None]) -> None:
    """What there is to learn from, and what is odd about it."""
    learned, held_out = corpus.training, corpus.validation
    say(f"{len(learned):,} sentences, {learned.tokens:,} tokens; {len(held_out):,} sentences to validate on")
    if corpus.too_long:
        say(f"warning: {corpus.too_long:,} sentences of more than {config.max_target_positions} tokens are left out")
    if corpus.unknown > _TOO_MANY_UNKNOWN:
        say(f"warning: {corpus.unknown:.0%} of the sub-words are unknown to the tokenizer; is it of this language?")


def _marks(config: Speech2Text2Config) -> Marks:
    end = config.eos_token_id
    end = end[0] if isinstance(end, tuple) else end
    if end is None or config.decoder_start_token_id is None:
        raise UsageError("the tokenizer's model names no start or no end token; a language model needs both")
    return Marks(config.decoder_start_token_id, end, config.pad_token_id)
