"""From files to label text: what counts as a sentence, and what a model is trained to write."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from s2t2_cli.corpus import read_sentences
from s2t2_cli.errors import UsageError
from s2t2_cli.manifests import Manifest
from s2t2_cli.text import Detokenizer, MosesTokenizer, clean_up_tokenization


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def lines(*rows: Any) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


NATURAL = {
    "de": [
        "Ein Mann sagte zum Universum: „Sir, ich existiere!“",
        "Der Zug fährt um 7:30 Uhr ab, z. B. nach Köln.",
        "Wie geht's? Das kostet (heute) 5,50 €.",
    ],
    "tr": ["Saat 10:30'da Ankara'ya gidiyorum.", "Nüfus %5 arttı, değil mi?"],
    "ca": ["L'home d'aquí va dir: «col·legi».", "Dona'm l'hora, si us plau!"],
    "ar": ["كيف حالك؟", "الساعة 10:30، نعم."],
}


@pytest.mark.parametrize(("lang", "text"), [(lang, text) for lang, texts in NATURAL.items() for text in texts])
def test_label_text_detokenises_to_what_it_was(lang: str, text: str) -> None:
    label = MosesTokenizer(lang)(text)
    assert label != text
    assert Detokenizer(lang)(clean_up_tokenization(label)) == text  # decoding cleans up


def test_label_text_is_what_the_checkpoints_write() -> None:
    """The reference's one published translation, before its English clean-up."""
    assert MosesTokenizer("de")('Ein Mann sagte zum Universum: "Sir, ich existiert!"') == (
        'Ein Mann sagte zum Universum : " Sir , ich existiert ! "'
    )
    assert MosesTokenizer("de")("A & B | <C> [D] 'E'") == "A & B | < C > [ D ] ' E '"  # nothing is escaped


def test_label_text_is_one_line_in_any_spelling_of_the_language() -> None:
    assert MosesTokenizer("de")("  Guten\tMorgen,\u00a0Welt \n") == "Guten Morgen , Welt"
    for lang in ("de-DE", "deu", "DE"):
        assert MosesTokenizer(lang)("z. B. heute.") == "z. B. heute ."
    assert MosesTokenizer("de")("") == ""


def test_plain_text_has_a_sentence_a_line(tmp_path: Path) -> None:
    name = write(tmp_path, "a.txt", "\ufeffEins.\r\n\n  Zwei\tund drei. \n\nVier".encode())
    other = write(tmp_path, "b", "Fünf\n")
    assert list(read_sentences([name, other])) == ["Eins.", "Zwei und drei.", "Vier", "Fünf"]


def test_manifests_and_results_are_read_by_their_text(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": "a.wav", "text": "Eins.\nZwei."},
        {"audio_filepath": "b.wav", "status": "error", "error": {"type": "AudioDecodeError", "message": "broken"}},
        {"audio_filepath": "c.wav", "text": ""},
        {"audio_filepath": "d.wav", "text": "Drei."},
    ]
    for name in ("m.jsonl", "results"):  # known by its name, or by how it starts
        assert list(read_sentences([write(tmp_path, name, lines(*rows))])) == ["Eins. Zwei.", "Drei."]


COVOST = 'path\tsentence\ttranslation\na.mp3\tHi\t\\"Hallo\\", sagte er\nb.mp3\tBye\t\n'
OURS = "audio_filepath\tstatus\trank\ttext\na.wav\tok\t1\tEins\\nZwei \\\\o/\na.wav\tok\t2\tDrei\nb.wav\terror\t\t\n"


def test_a_column_of_tsv_is_named(tmp_path: Path) -> None:
    name = write(tmp_path, "table.tsv", "en\tde\nHi\tHallo\nBye\t\n")
    assert list(read_sentences([name], field="de")) == ["Hallo"]
    with pytest.raises(UsageError, match=r"no column 'text', only en, de; name one with --field"):
        list(read_sentences([name]))


@pytest.mark.parametrize(
    ("table", "field", "sentence"),
    [
        (COVOST, "text", '"Hallo", sagte er'),
        (COVOST, "translation", '"Hallo", sagte er'),
        (OURS, "text", "Eins Zwei \\o/"),
    ],
)
def test_the_text_of_a_tsv_is_that_of_a_manifest(tmp_path: Path, table: str, field: str, sentence: str) -> None:
    name = write(tmp_path, "train.tsv", table)
    assert list(read_sentences([name], field=field)) == [sentence]
    first = next(Manifest(name).rows())
    assert " ".join(first.fields["text"].split()) == sentence


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Eins\nZwei\n")))
    assert list(read_sentences(["-"])) == ["Eins", "Zwei"]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input is closed"):
        list(read_sentences(["-"]))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"gut\nschlecht \xff\n", r"line 2 of .*a\.txt is not UTF-8 text; save it as UTF-8"),
        ("a.jsonl", '{"text": "gut"}\n{"text": \n', r"line 2 of .*a\.jsonl is not valid JSON"),
        ("a.jsonl", '{"text": "gut"}\n["schlecht"]\n', r"line 2 of .* is not a JSON object"),
        ("a.jsonl", '{"text": "gut"}\n{"sentence": "x"}\n', r"line 2 of .* has no 'text'; name the field with --field"),
        ("a.jsonl", '{"text": 5}\n', r"line 1 of .* has no 'text'"),
        ("a.tsv", "audio_filepath\ttext\na.wav\n", r"line 2 of .* has 1 columns where the header has 2"),
        ("a.tsv", f"path\ttranslation\na.mp3\t{'x' * 200_000}\n", r"line 2 of .* cannot be read \(field larger"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    file = write(tmp_path, name, content)
    with pytest.raises(UsageError, match=sentence):
        list(read_sentences([file]))


def test_files_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no text file .*nothing\.txt"):
        list(read_sentences([str(tmp_path / "nothing.txt")]))
    with pytest.raises(UsageError, match="cannot read"):
        list(read_sentences([str(tmp_path)]))
