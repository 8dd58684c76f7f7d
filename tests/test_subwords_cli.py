"""`s2t2 learn-bpe`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_run import Here, spawn
from s2t2_cli import Speech2Text2Tokenizer

TEXT = "Wie spät ist es?\nWo ist es?\nEs ist halb acht.\nWie komme ich zum Bahnhof?\nStell den Wecker auf acht.\n"


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("de.txt").write_text(TEXT, encoding="utf-8")
    return Path("de.txt")


def test_text_becomes_a_tokenizer(s2t2: Here, text: Path) -> None:
    outcome = s2t2("learn-bpe", text, "--lang", "de", "--vocab-size", "62", "--output", "bpe")
    assert (outcome.status, outcome.out) == (0, "bpe\n")
    assert outcome.err.startswith("s2t2: 62 entries (26 characters, ")
    assert "from 5 sentences" in outcome.err
    tokenizer = Speech2Text2Tokenizer.from_pretrained("bpe")
    assert tokenizer.decode(tokenizer.encode("Wie spät ist es ?"), clean_up_tokenization_spaces=False) == (
        "Wie spät ist es ?"
    )
    assert "es?" not in tokenizer.get_vocab()


def test_a_manifest_s_text_through_a_pipe(text: Path) -> None:
    rows = "".join(json.dumps({"audio_filepath": "a.wav", "text": line}) + "\n" for line in TEXT.splitlines())
    command = ("learn-bpe", "-", "--lang", "de", "--symbols", "5", "--output", "piped")
    piped = spawn(*command, input=rows.encode())
    assert (piped.returncode, piped.stdout) == (0, b"piped\n")
    plain = spawn("learn-bpe", text, "--lang", "de", "--symbols", "5", "--output", "plain")
    assert piped.stderr == plain.stderr
    for path in Path("plain").iterdir():
        assert path.read_bytes() == (Path("piped") / path.name).read_bytes()


def test_tokenised_text_stays_as_it_is(s2t2: Here, text: Path) -> None:
    assert s2t2("learn-bpe", text, "--no-tokenize", "--symbols", "40", "--output", "bpe").status == 0
    assert "es?" in Speech2Text2Tokenizer.from_pretrained("bpe").get_vocab()


def test_too_little_text_for_the_usual_size_is_said(s2t2: Here, text: Path) -> None:
    outcome = s2t2("learn-bpe", text, "--lang", "de", "--output", "bpe")
    assert outcome.status == 0
    assert "the text has no more: 10000 entries were asked for" in outcome.err


def test_a_tokenizer_is_not_overwritten_by_accident(s2t2: Here, text: Path) -> None:
    command = ("learn-bpe", text, "--lang", "de", "--symbols", "3", "--output", "bpe")
    assert s2t2(*command).status == 0
    again = s2t2(*command)
    assert again.status == 2
    assert again.messages == [
        "s2t2: bpe has a vocab.json already; choose another folder, or replace it with --force",
    ]
    assert s2t2(*command, "--force").status == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lang", "de", "--output", "bpe"], "there is no text to learn from"),
        (["de.txt", "--lang", "de"], "say where the tokenizer goes: --output DIR"),
        (["de.txt", "--output", "bpe"], "Moses tokenisation needs the language: --lang de"),
        (["de.txt", "--lang", "de", "--output", "bpe", "--symbols", "3", "--vocab-size", "90"], "give one of them"),
        (["de.txt", "--lang", "de", "--output", "de.txt"], "de.txt is a file: name a folder for the tokenizer"),
        (["nothing.txt", "--lang", "de", "--output", "bpe"], "there is no text file nothing.txt"),
        (["de.txt", "--lang", "de", "--output", "bpe", "--vocab-size", "9"], "9 entries are too few"),
    ],
)
def test_wrong_usage_is_said_in_one_line(s2t2: Here, text: Path, arguments: list[str], sentence: str) -> None:
    outcome = s2t2("learn-bpe", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert not Path("bpe").exists()
