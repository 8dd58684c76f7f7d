"""A language model in a translation: loaded, refused, weighed, and what it costs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cli_run import Here
from lm_fixtures import write_language_model
from s2t2_cli import Speech2Text2ForCausalLM, SpeechEncoderDecoderModel, Translator, Wav2Vec2FeatureExtractor
from s2t2_cli.audio import load_audio
from s2t2_cli.errors import TokenizerError, UsageError


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    return write_language_model(tmp_path_factory.mktemp("lm"), tiny_checkpoint)


def rewritten(lm: Path, folder: Path, name: str, change: Any) -> Path:
    """A copy of the language model with one of its JSON files changed."""
    shutil.copytree(lm, folder)
    values = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(change(values)), encoding="utf-8")
    return folder


@pytest.mark.parametrize("beams", [1, 5])
def test_the_score_of_a_recording_is_that_under_both_models(
    tiny_checkpoint: Path, lm: Path, clip: Path, beams: int
) -> None:
    weight, penalty = 0.3, 0.7
    translator = Translator.from_pretrained(tiny_checkpoint, lm=lm, lm_weight=weight)
    (result,) = translator.translate(clip, num_beams=beams, length_penalty=penalty, max_new_tokens=6)
    (plain,) = Translator.from_pretrained(tiny_checkpoint).translate(clip, num_beams=beams, max_new_tokens=6)
    assert result.tokens != plain.tokens

    model, language = (
        SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint),
        Speech2Text2ForCausalLM.from_pretrained(lm),
    )
    samples = load_audio(clip).samples
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(tiny_checkpoint)
    inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
    cut_off = "length_limit" in result.warnings
    tokens = [*result.tokens, *([] if cut_off else [2])]
    ids = torch.tensor([[2, *tokens[:-1]]])
    with torch.no_grad():
        spoken = model(**inputs, decoder_input_ids=ids).logits.log_softmax(-1)
        likely = language(ids).logits.log_softmax(-1)
    total = (spoken + weight * likely).gather(2, torch.tensor(tokens)[None, :, None]).sum()
    assert result.score == pytest.approx(float(total) / len(tokens) ** penalty, abs=1e-4)
    assert translator.fusion is not None
    assert translator.fusion.seconds > 0


def test_weight_0_gives_the_records_of_a_run_without(
    s2t2: Here, tiny_checkpoint: Path, lm: Path, clip: Path, tmp_path: Path
) -> None:
    """The language model is not run, nor are its weights read."""
    without_weights = rewritten(lm, tmp_path / "lm", "config.json", lambda values: values)
    (without_weights / "model.safetensors").write_bytes(b"nothing to be read")
    command = ("translate", clip, "--model", tiny_checkpoint, "--format", "jsonl", "--tokens", "--n-best", "5")
    plain = s2t2(*command)
    zero = s2t2(*command, "--lm", without_weights, "--lm-weight", "0")
    assert (zero.status, zero.out, zero.err) == (plain.status, plain.out, plain.err)
    assert plain.status == 0


def test_the_paper_s_weight_is_the_usual_one_and_the_cost_is_told(
    s2t2: Here, tiny_checkpoint: Path, lm: Path, clip: Path
) -> None:
    command = (
        "translate",
        clip,
        "--model",
        tiny_checkpoint,
        "--format",
        "jsonl",
        "--length-penalty",
        "0.7",
        "--lm",
        lm,
    )
    usual, named = s2t2(*command), s2t2(*command, "--lm-weight", "0.1")
    assert usual.status == named.status == 0
    assert usual.out == named.out
    assert re.search(r"^s2t2: the language model took [\d.]+ s of [\d.]+ s \(\d+%\)$", usual.err, re.MULTILINE)
    assert s2t2(*command, "--quiet").err == ""


def test_other_sub_words_are_refused_before_a_recording_is_read(
    s2t2: Here, tiny_checkpoint: Path, lm: Path, tmp_path: Path
) -> None:
    def swapped(vocab: dict[str, int]) -> dict[str, int]:
        return vocab | {"Ein": vocab["Mann"], "Mann": vocab["Ein"]}

    other = rewritten(lm, tmp_path / "other", "vocab.json", swapped)
    outcome = s2t2("translate", "missing.wav", "--model", tiny_checkpoint, "--lm", other)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.messages == [
        f"s2t2: the language model {other} has other sub-words than {tiny_checkpoint} (id 15 is 'Mann' there and 'Ein' "
        f"here); train it with s2t2 train-lm --tokenizer {tiny_checkpoint}"
    ]
    with pytest.raises(TokenizerError, match="has other sub-words"):
        Translator.from_pretrained(tiny_checkpoint, lm=other, lm_weight=0)
    fewer = rewritten(lm, tmp_path / "fewer", "vocab.json", lambda vocab: dict(list(vocab.items())[:100]))
    with pytest.raises(TokenizerError, match=r"id 100 is '<unk>' there"):
        Translator.from_pretrained(tiny_checkpoint, lm=fewer)


def test_another_number_of_scores_is_refused(tiny_checkpoint: Path, lm: Path, tmp_path: Path) -> None:
    wider = rewritten(lm, tmp_path / "wider", "config.json", lambda values: values | {"vocab_size": 136})
    with pytest.raises(TokenizerError, match=r"scores 136 tokens and .* scores 128; train it with s2t2 train-lm"):
        Translator.from_pretrained(tiny_checkpoint, lm=wider)


def test_what_is_no_language_model_is_said(
    s2t2: Here, tiny_checkpoint: Path, lm: Path, clip: Path, tmp_path: Path
) -> None:
    def messages(*arguments: str | Path) -> list[str]:
        outcome = s2t2("translate", clip, "--model", tiny_checkpoint, *arguments)
        assert (outcome.status, outcome.out) == (2, "")
        return outcome.messages

    assert messages("--lm", tiny_checkpoint) == [
        f"s2t2: {tiny_checkpoint} translates speech and is no language model: s2t2 train-lm makes one"
    ]
    (sentence,) = messages("--lm", tmp_path / "nothing")
    assert sentence.startswith(f"s2t2: there is no folder '{tmp_path / 'nothing'}'")
    assert messages("--lm-weight", "0.2") == ["s2t2: --lm-weight is the weight of a language model; name one with --lm"]
    assert "--lm-weight" in messages("--lm", lm, "--lm-weight", "-1")[0]
    assert "--lm-weight" in messages("--lm", lm, "--lm-weight", "nan")[0]
    assert s2t2("translate", clip, "--model", lm).messages == [
        "s2t2: not a Speech2Text2 checkpoint: the configuration has no 'encoder' (its model_type is 'speech_to_text_2')"
    ]
    with pytest.raises(UsageError, match="weight -2"):
        Translator.from_pretrained(tiny_checkpoint, lm=lm, lm_weight=-2)
