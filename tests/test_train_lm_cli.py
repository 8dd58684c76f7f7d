"""`s2t2 train-lm`, as it is typed: text in, a language model that `s2t2 translate --lm` takes out."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli_run import COMMAND, Here
from s2t2_cli import Speech2Text2ForCausalLM
from s2t2_cli.cli.train_lm import app
from s2t2_cli.training.log import read_log
from training_fixtures import check_refusals_name_options

WORDS = ["Morgen", "Tag", "Abend", "Bahnhof", "Uhr", "Zug", "Wetter", "Straße"]
SENTENCES = [f"Wo ist {one}, bitte? Zwei {other}!" for one in WORDS for other in WORDS]
SMALL = ("--decoder-layers", "1", "--d-model", "16", "--decoder-attention-heads", "2", "--decoder-ffn-dim", "32")
QUICK = ("--max-updates", "12", "--lr", "5e-3", "--update-tokens", "300", "--batch-tokens", "150", "--log-every", "1")


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("de.txt").write_text("\n".join(SENTENCES[:-6]), encoding="utf-8")
    rows = [{"audio_filepath": f"{number}.wav", "text": one} for number, one in enumerate(SENTENCES[-6:])]
    Path("dev.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return Path("de.txt")


def command(text: Path, tokenizer: Path, output: str) -> list[str]:
    data = [str(text), "--valid", "dev.jsonl", "--lang", "de", "--tokenizer", str(tokenizer)]
    return ["train-lm", *data, *SMALL, *QUICK, "--output", output]


def test_text_becomes_a_language_model_that_translate_takes(
    s2t2: Here, text: Path, tiny_checkpoint: Path, clip: Path
) -> None:
    trained = s2t2(*command(text, tiny_checkpoint, "lm"), "--validate-every", "6")
    assert (trained.status, trained.out) == (0, "")
    assert trained.messages[0].startswith("s2t2: 58 sentences, ")
    assert "; 6 sentences to validate on" in trained.messages[0]
    assert "validation after update 6: perplexity " in trained.err
    assert trained.messages[-1].endswith(": lm")
    assert sorted(path.name for path in Path("lm").iterdir()) == [
        "config.json",
        "merges.txt",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "training",
        "vocab.json",
    ]
    assert sorted(path.name for path in Path("lm/training").iterdir()) == ["curves.png", "log.jsonl", "state.pt"]
    scores = [line["valid"]["perplexity"] for line in read_log(Path("lm/training")) if "valid" in line]
    assert len(scores) == 2
    assert scores[1] < scores[0] < 200

    config = Speech2Text2ForCausalLM.from_pretrained("lm").config
    assert (config.decoder_layers, config.d_model, config.add_cross_attention) == (1, 16, False)
    fused = s2t2("translate", clip, "--model", tiny_checkpoint, "--lm", "lm", "--lm-weight", "0.5", "--format", "jsonl")
    plain = s2t2("translate", clip, "--model", tiny_checkpoint, "--format", "jsonl")
    assert fused.status == plain.status == 0
    assert json.loads(fused.out)["score"] != json.loads(plain.out)["score"]


def test_a_killed_run_goes_on_to_the_same_losses(s2t2: Here, text: Path, tiny_checkpoint: Path) -> None:
    steady = ("--warmup", "5", "--validate-every", "100000", "--save-every", "2")
    endless = [*COMMAND, *command(text, tiny_checkpoint, "killed"), *steady, "--max-updates", "100000"]
    state = Path("killed/training/state.pt")
    with subprocess.Popen(endless, stderr=subprocess.DEVNULL) as process:
        while not state.exists() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL

    last = read_log(state.parent)[-1]["update"] + 10
    some = ("--max-updates", str(last))
    resumed = s2t2(*command(text, tiny_checkpoint, "killed"), *steady, *some)
    assert resumed.status == 0
    assert "going on after update" in resumed.err
    assert s2t2(*command(text, tiny_checkpoint, "whole"), *steady, *some).status == 0
    killed, whole = (
        {line["update"]: line["loss"] for line in read_log(Path(name, "training")) if "loss" in line}
        for name in ("killed", "whole")
    )
    assert list(killed) == list(whole) == list(range(1, last + 1))
    assert list(killed.values()) == pytest.approx(list(whole.values()), abs=1e-5)
    assert Path("killed/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_other_settings_do_not_go_on(s2t2: Here, text: Path, tiny_checkpoint: Path) -> None:
    first = command(text, tiny_checkpoint, "lm")
    assert s2t2(*first).status == 0
    text.write_text("\n".join(SENTENCES[:20]), encoding="utf-8")
    other_text = s2t2(*first)
    assert other_text.status == 2
    assert "the training in lm/training was started with TEXT 58 sentences" in other_text.err
    assert s2t2(*first, "--restart").status == 0
    again = s2t2(*first)
    assert again.status == 0
    assert "training finished after update 12" in again.err


def test_every_setting_that_a_refusal_names_is_an_option(s2t2: Here, text: Path, tiny_checkpoint: Path) -> None:
    assert s2t2(*command(text, tiny_checkpoint, "lm"), "--max-updates", "1").status == 0
    check_refusals_name_options(Path("lm/training"), app, for_python_alone={"betas", "eps"})


def test_sizes_come_from_a_file_too(s2t2: Here, text: Path, tiny_checkpoint: Path) -> None:
    Path("small.json").write_text('{"decoder_layers": 2, "d_model": 8, "decoder_attention_heads": 1, "dropout": 0.3}')
    data = ("--lang", "de", "--tokenizer", tiny_checkpoint, "--config", "small.json", "--output", "lm")
    assert s2t2("train-lm", text, "--valid", "dev.jsonl", *data, *QUICK, "--decoder-ffn-dim", "12", "-q").err == ""
    config = Speech2Text2ForCausalLM.from_pretrained("lm").config
    assert (config.decoder_layers, config.d_model, config.decoder_ffn_dim, config.dropout) == (2, 8, 12, 0.3)
    assert config.vocab_size == 128


def test_text_of_another_alphabet_is_noticed(s2t2: Here, text: Path, tiny_checkpoint: Path) -> None:
    text.write_text("\n".join(["Добрый день", "Где вокзал", "Спасибо"]), encoding="utf-8")
    outcome = s2t2(*command(text, tiny_checkpoint, "lm"))
    assert outcome.status == 0
    assert "of the sub-words are unknown to the tokenizer; is it of this language?" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "there is no text to learn from; name files, or - for standard input"),
        (["de.txt", "-o", "lm"], "name the sub-words: --tokenizer with the translation model"),
        (["de.txt", "--tokenizer", "TINY"], "say where the model goes: --output DIR"),
        (["de.txt", "--tokenizer", "TINY", "-o", "lm"], "Moses tokenisation needs the language: --lang de"),
        (["nothing.txt", "--tokenizer", "TINY", "--lang", "de", "-o", "lm"], "there is no text file nothing.txt"),
        (["de.txt", "--tokenizer", "./nothing", "--lang", "de", "-o", "lm"], "there is no folder './nothing'"),
        (["de.txt", "--tokenizer", "TINY", "--lang", "de", "-o", "de.txt"], "de.txt is a file: name a folder"),
        (["de.txt", "--tokenizer", "TINY", "--lang", "de", "-o", "."], "is not empty and holds no training"),
        (
            ["de.txt", "--tokenizer", "TINY", "--lang", "de", "-o", "lm", "--d-model", "10"],
            "d_model=10 is not a multiple of decoder_attention_heads=16",
        ),
        (["de.txt", "--tokenizer", "TINY", "--lang", "de", "-o", "lm", "--lr", "0"], "must be above 0"),
    ],
)
def test_wrong_usage_is_said_in_one_line(
    s2t2: Here, text: Path, tiny_checkpoint: Path, arguments: list[str], sentence: str
) -> None:
    outcome = s2t2("train-lm", *(str(tiny_checkpoint) if one == "TINY" else one for one in arguments))
    assert (outcome.status, outcome.out) == (2, "")
    assert sentence in outcome.messages[0]
    assert not Path("lm/config.json").exists()
