"""Training a language model: what a sentence costs, what is held out, and that a stopped run goes on the same."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lm_fixtures import TOKENIZER_FILES
from s2t2_cli import Speech2Text2Config, Speech2Text2ForCausalLM, Speech2Text2Tokenizer
from s2t2_cli.errors import UsageError
from s2t2_cli.subwords import learn
from s2t2_cli.training.language_model import LanguageModelTask, perplexity
from s2t2_cli.training.language_model_run import LanguageModelSettings, new_config, train_language_model
from s2t2_cli.training.log import read_log
from s2t2_cli.training.loop import Outcome
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.text_corpus import read_corpus
from s2t2_cli.training.text_data import EncodedText, Marks, TextBatches, collate

HOURS = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]
SENTENCES = [
    sentence
    for hour in HOURS
    for sentence in (
        f"Stell den Wecker auf {hour} Uhr .",
        f"Der Zug fährt um {hour} Uhr .",
        f"Wie wird das Wetter um {hour} ?",
        f"Weck mich um halb {hour} .",
    )
]
SMALL = {"decoder_layers": 2, "d_model": 32, "decoder_attention_heads": 4, "decoder_ffn_dim": 64}
MARKS = Marks(start=2, end=2, pad=1)


@pytest.fixture(scope="module")
def subwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subwords")
    learn(SENTENCES, vocab_size=120).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(subwords: Path) -> Speech2Text2Tokenizer:
    return Speech2Text2Tokenizer.from_pretrained(subwords)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with text to learn from and text to validate on."""
    (tmp_path / "train.txt").write_text("\n".join(SENTENCES[:40]), encoding="utf-8")
    (tmp_path / "dev.txt").write_text("\n".join(SENTENCES[40:]), encoding="utf-8")
    return tmp_path


def run(files: Path, subwords: Path, name: str, *, updates: int, batch_tokens: int = 200, **sizes: int) -> Outcome:
    settings = LanguageModelSettings(
        text=[str(files / "train.txt")],
        valid=[str(files / "dev.txt")],
        output=files / name,
        tokenizer=str(subwords),
        moses=False,
        model=SMALL | sizes,
        batch_tokens=batch_tokens,
        update_tokens=300,
    )
    training = TrainingSettings(
        updates=updates,
        lr=5e-3,
        warmup=5,
        schedule="inverse_sqrt",
        clip=1.0,
        validate_every=10,
        save_every=10,
        log_every=1,
    )
    return train_language_model(settings, training, device=torch.device("cpu"))


def test_a_sentence_starts_and_ends_as_in_a_translation() -> None:
    batch = collate([EncodedText([[7, 8, 9]])[0], EncodedText([[5]])[0]], MARKS)
    assert batch.input_ids.tolist() == [[2, 7, 8, 9], [2, 5, 1, 1]]
    assert batch.labels.tolist() == [[7, 8, 9, 2], [5, 2, -100, -100]]
    assert batch.targets == 6


def test_batches_hold_every_sentence_once_within_their_budget() -> None:
    text = EncodedText([list(range(4, 4 + length)) for length in (3, 9, 1, 4, 7, 7, 2, 30, 5)])
    assert len(text) == 9
    assert text.tokens == sum(text.lengths) == 68 + 9
    batches = TextBatches(text, MARKS, batch_tokens=24, accumulate=2, seed=3)
    parts = [part for update in batches.plan(0) for part in update]
    assert sorted(row for part in parts for row in part.rows) == list(range(9))
    loaded = [batches.load(part) for part in parts]
    assert all(one.input_ids.numel() <= 24 or len(one.input_ids) == 1 for one in loaded)
    assert sum(one.targets for one in loaded) == text.tokens
    assert all(len(update) <= 2 for update in batches.plan(0))
    assert batches.plan(0) == TextBatches(text, MARKS, batch_tokens=24, accumulate=2, seed=3).plan(0) != batches.plan(1)


def test_the_loss_is_the_model_s_own_whatever_shares_the_batch() -> None:
    torch.manual_seed(0)
    model = Speech2Text2ForCausalLM(
        Speech2Text2Config(vocab_size=20, d_model=16, init_std=0.3, add_cross_attention=False)
    )
    text = EncodedText([[7, 8, 9, 11], [5], [19, 3, 4]])
    task = LanguageModelTask(model, validation=text, marks=MARKS, batch_tokens=100, release=lambda best: None).eval()
    with torch.no_grad():
        together = task(collate([text[row] for row in range(3)], MARKS))
        alone = [task(collate([text[row]], MARKS)) for row in range(3)]
        own = model(torch.tensor([[2, 7, 8, 9, 11]]), labels=torch.tensor([[7, 8, 9, 11, 2]])).loss
        scores = task.validate()
    assert own is not None
    assert float(alone[0].total) == pytest.approx(5 * float(own), rel=1e-5)
    assert float(together.total) == pytest.approx(sum(float(one.total) for one in alone), rel=1e-5)
    assert together.weight == together.amount == sum(one.weight for one in alone) == 11
    assert scores["loss"] == pytest.approx(float(together.total) / 11, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    assert 0 <= scores["accuracy"] <= 1
    assert perplexity(1e6) == math.inf


def test_training_learns_the_text_and_keeps_the_best(
    tokenizer: Speech2Text2Tokenizer, subwords: Path, files: Path
) -> None:
    outcome = run(files, subwords, "lm", updates=60)
    scores = {
        line["update"]: line["valid"]["perplexity"] for line in read_log(files / "lm" / "training") if "valid" in line
    }
    assert outcome.best == min(scores.values()) == scores[outcome.best_update] < scores[10] / 2
    assert outcome.best < 12 < len(tokenizer)

    best = Speech2Text2ForCausalLM.from_pretrained(files / "lm")
    with torch.no_grad():
        right, wrong = (
            float(-best(ids[:, :-1], labels=ids[:, 1:]).loss)  # type: ignore[operator]
            for ids in (
                torch.tensor([[2, *tokenizer.encode(sentence), 2]])
                for sentence in ("Der Zug fährt um zwei Uhr .", "Zug . zwei Uhr fährt Der um")
            )
        )
    assert right > wrong + 1
    assert Speech2Text2Tokenizer.from_pretrained(files / "lm").get_vocab() == tokenizer.get_vocab()


def test_a_run_that_was_stopped_goes_on_to_the_same_losses(subwords: Path, files: Path) -> None:
    run(files, subwords, "whole", updates=24)
    run(files, subwords, "halves", updates=13)
    run(files, subwords, "halves", updates=24)
    whole, halves = (
        {line["update"]: line["loss"] for line in read_log(files / name / "training") if "loss" in line}
        for name in ("whole", "halves")
    )
    assert list(whole) == list(halves) == list(range(1, 25))
    assert list(halves.values()) == pytest.approx(list(whole.values()), abs=1e-5)
    with pytest.raises(UsageError, match=r"was started with --d-model 32, not 48"):
        run(files, subwords, "halves", updates=30, d_model=48)
    with pytest.raises(UsageError, match=r"was started with --batch-tokens 200, not 100"):
        run(files, subwords, "halves", updates=30, batch_tokens=100)


def test_a_hundredth_is_held_out_by_its_text(tokenizer: Speech2Text2Tokenizer) -> None:
    many = [f"Der Zug fährt um {one} Uhr {two} ." for one in HOURS for two in [*HOURS, *SENTENCES]]
    once, twice = (read_corpus(text, None, tokenizer, longest=64) for text in (many, many + many))
    assert 0 < len(once.validation) < len(many) / 30
    assert len(once.training) + len(once.validation) == len(many)
    assert (len(twice.training), len(twice.validation)) == (2 * len(once.training), 2 * len(once.validation))
    with pytest.raises(UsageError, match="too little text to hold some of it out; name a file of other sentences"):
        read_corpus(SENTENCES[:3], None, tokenizer, longest=64)


def test_what_cannot_be_used_is_counted(tokenizer: Speech2Text2Tokenizer) -> None:
    seen: list[int] = []
    long = " ".join(["Uhr"] * 30)
    found = read_corpus(["Zug 東", long, ""], ["Uhr"], tokenizer, longest=20, progress=seen.append)
    assert (len(found.training), found.too_long) == (1, 1)
    assert 0 < found.unknown < 1
    assert seen == [0, 1, 2]
    with pytest.raises(UsageError, match="there is no text to train on"):
        read_corpus([], ["Uhr"], tokenizer, longest=20)
    with pytest.raises(UsageError, match="there is no text to validate on"):
        read_corpus(["Uhr"], [long], tokenizer, longest=20)


def test_the_usual_size_is_the_paper_s(subwords: Path) -> None:
    config = new_config(subwords, {})
    assert (config.decoder_layers, config.d_model, config.vocab_size) == (12, 512, 120)
    assert (config.decoder_start_token_id, config.eos_token_id, config.pad_token_id) == (2, 2, 1)
    assert config.add_cross_attention is config.tie_word_embeddings is False


def test_beside_a_checkpoint_the_vocabulary_is_that_of_the_model(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """It may be larger than that of the tokenizer: fairseq fills it up."""
    from s2t2_cli import SpeechEncoderDecoderConfig

    for name in (*TOKENIZER_FILES, "config.json"):
        (tmp_path / name).write_bytes((tiny_checkpoint / name).read_bytes())
    values = SpeechEncoderDecoderConfig.from_pretrained(tiny_checkpoint).to_dict()
    values["decoder"] |= {"vocab_size": 136, "decoder_start_token_id": 0}
    SpeechEncoderDecoderConfig.from_dict(values).save_pretrained(tmp_path)
    config = new_config(tmp_path, SMALL)
    assert (config.vocab_size, config.decoder_start_token_id, config.d_model) == (136, 0, 32)
