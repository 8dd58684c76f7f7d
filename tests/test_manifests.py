"""A manifest's rows become sources; a broken row becomes an error and the rest goes on."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.errors import InputNotFoundError, InputReadError, ManifestError, UsageError
from s2t2_cli.escaping import escape_cell
from s2t2_cli.inputs import Source
from s2t2_cli.manifests import Manifest
from s2t2_cli.records import TranslationResult


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Source]]:
    """Write a manifest beside the recording `a.wav` and read it."""
    (tmp_path / "a.wav").write_bytes(b"1234")

    def write_and_read(content: str | bytes, name: str = "list.jsonl") -> list[Source]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(Manifest(str(path)))

    return write_and_read


def error_of(source: Source) -> str:
    assert source.error is not None
    return str(source.error)


def test_json_lines(read: Callable[..., list[Source]], tmp_path: Path) -> None:
    rows = read('{"audio_filepath": "a.wav", "id": 7, "tags": ["x"], "text": "hello", "offset": 1.5, "n": null}\n')
    assert rows == [
        Source(
            "a.wav", tmp_path / "a.wav", 4, {"id": 7, "tags": ["x"], "text": "hello", "offset": 1.5, "n": None},
            place="a.wav",
        )
    ]  # fmt: skip


def test_tsv_has_a_header_and_escapes(read: Callable[..., list[Source]], tmp_path: Path) -> None:
    (tmp_path / "tab\there.wav").touch()
    rows = read("id\taudio_filepath\tnote\n1\ttab\\there.wav\ttwo\\nlines \\\\ \\x\n2\ta.wav\t\n", "list.tsv")
    assert [(row.name, dict(row.fields), row.error) for row in rows] == [
        ("tab\there.wav", {"id": "1", "note": "two\nlines \\ \\x"}, None),
        ("a.wav", {"id": "2", "note": ""}, None),
    ]


@pytest.mark.parametrize("name", ["list.jsonl", "list.json", "list", "list.txt", "list.manifest"])
def test_json_lines_are_known_by_name_or_content(read: Callable[..., list[Source]], name: str) -> None:
    assert [row.name for row in read('  {"audio_filepath": "a.wav"}', name)] == ["a.wav"]


def test_tsv_is_known_by_content_where_the_name_says_nothing(read: Callable[..., list[Source]]) -> None:
    assert [row.name for row in read("audio_filepath\na.wav\n", "list.txt")] == ["a.wav"]


def test_byte_order_mark_line_ends_and_blank_lines(read: Callable[..., list[Source]]) -> None:
    jsonl = b'\xef\xbb\xbf{"audio_filepath": "a.wav"}\r\n\r\n  \n{"audio_filepath": "b.wav"}\r\n'
    assert [row.name for row in read(jsonl)] == ["a.wav", "b.wav"]
    tsv = b"\xef\xbb\xbf\r\naudio_filepath\tid\r\na.wav\t1\r\n\r\nb.wav\t2"
    assert [(row.name, row.fields["id"]) for row in read(tsv, "list.tsv")] == [("a.wav", "1"), ("b.wav", "2")]


def test_an_empty_manifest_has_no_rows(read: Callable[..., list[Source]]) -> None:
    assert read("") == read("\n \r\n", "list.tsv") == read("audio_filepath\n", "list.tsv") == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"audio_filepath": "a.wav",}', "is not valid JSON (Illegal trailing comma before end of object at column"),
        ('{"audio_filepath" "a.wav"}', "is not valid JSON (Expecting ':' delimiter at column 19)"),
        ('["a.wav"]', "is not a JSON object"),
        ('"a.wav"', "is not a JSON object"),
        ('{"path": "a.wav"}', "names no recording in audio_filepath"),
        ('{"audio_filepath": ""}', "names no recording in audio_filepath"),
        ('{"audio_filepath": 7}', "names no recording in audio_filepath"),
        ('{"audio_filepath": "a.wav", "x": NaN}', "is not valid JSON (NaN is not a JSON number)"),
        ('{"audio_filepath": "a.wav", "x": -Infinity}', "is not valid JSON (-Infinity is not a JSON number)"),
        ('{"audio_filepath": "a.wav", "x": 1e999}', "is not valid JSON (1e999 is too large for a number)"),
        ('{"audio_filepath": "a.wav", "x": ' + "9" * 5000 + "}", "is not valid JSON (Exceeds the limit"),
        ('{"audio_filepath": "a.wav", "x": ' + "[" * 100_000 + "}", "is nested too deeply"),
    ],
)
def test_a_broken_line_is_named_by_its_number_and_the_rest_goes_on(
    read: Callable[..., list[Source]], tmp_path: Path, line: str, sentence: str
) -> None:
    if "trailing comma" in sentence and sys.version_info < (3, 13):
        sentence = "is not valid JSON (Expecting property name enclosed in double quotes at column"
    first, bad, last = read(f'{{"audio_filepath": "a.wav"}}\n\n{line}\n{{"audio_filepath": "a.wav"}}\n')
    assert first.error is last.error is None
    assert isinstance(bad.error, ManifestError)
    assert bad.name == f"{tmp_path}/list.jsonl:3"
    assert error_of(bad).startswith(f"line 3 of {tmp_path}/list.jsonl {sentence}")
    assert "\n" not in error_of(bad)


def test_a_row_without_recording_keeps_its_other_fields(read: Callable[..., list[Source]]) -> None:
    (row,) = read('{"id": 7}')
    assert row.fields == {"id": 7}


@pytest.mark.parametrize("cells", ["a.wav", "a.wav\t1\t2"])
def test_a_row_of_another_length_is_an_error(read: Callable[..., list[Source]], cells: str) -> None:
    bad, good = read(f"audio_filepath\tid\n{cells}\na.wav\t1\n", "list.tsv")
    assert f"has {cells.count(chr(9)) + 1} columns where the header has 2" in error_of(bad)
    assert good.error is None


def test_a_missing_recording_is_named_with_its_line(read: Callable[..., list[Source]], tmp_path: Path) -> None:
    missing, folder = read('{"audio_filepath": "no/such.wav", "id": 1}\n{"audio_filepath": "."}')
    assert isinstance(missing.error, InputNotFoundError)
    assert error_of(missing) == f"there is no file no/such.wav, named in line 1 of {tmp_path}/list.jsonl"
    assert (missing.name, missing.fields) == ("no/such.wav", {"id": 1})
    assert isinstance(folder.error, InputReadError)


def test_paths_are_relative_to_the_manifest_and_addresses_are_addresses(
    read: Callable[..., list[Source]], tmp_path: Path
) -> None:
    absolute = tmp_path / "a.wav"
    lines = ["a.wav", str(absolute), f"../{tmp_path.name}/a.wav", "https://example.org/x/b.mp3"]
    rows = read("".join(json.dumps({"audio_filepath": line}) + "\n" for line in lines))
    assert [row.error for row in rows] == [None] * 4
    assert [row.name for row in rows] == lines
    assert rows[3].media == lines[3]
    assert [row.place for row in rows] == ["a.wav", "a.wav", "a.wav", "example.org/x/b.mp3"]


def test_names_of_any_bytes_are_found(read: Callable[..., list[Source]], tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb"):  # noqa: PTH123 - a path of bytes
        pass
    (tsv,) = read(b"audio_filepath\ncaf\xe9.wav\n", "list.tsv")
    (jsonl,) = read(b'{"audio_filepath": "caf\xe9.wav"}\n')
    (escaped,) = read('{"audio_filepath": "caf\\udce9.wav"}\n')
    assert tsv.error is jsonl.error is escaped.error is None
    assert tsv.name == jsonl.name == escaped.name


def test_names_no_file_can_have_are_errors(read: Callable[..., list[Source]]) -> None:
    null, surrogate = read('{"audio_filepath": "a\\u0000.wav"}\n{"audio_filepath": "\\ud800.wav"}\n')
    assert isinstance(null.error, InputNotFoundError)
    assert isinstance(surrogate.error, InputNotFoundError)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("list.tsv", "path\tid\nx\t1\n", "has no column audio_filepath"),
        ("list.txt", "a.wav\nb.wav\n", "has no column audio_filepath"),
        ("list.tsv", "audio_filepath\tid\tid\n", "has two columns called id"),
        ("list.json", '[{"audio_filepath": "a.wav"}]', "is one JSON list; write an object a line"),
        ("list.txt", "\ufeffaudio_filepath\n".encode("utf-16-le"), "is not UTF-8 text"),
        ("list.jsonl", '{"audio_filepath": "a.wav"}'.encode("utf-16-be"), "is not UTF-8 text"),
    ],
)
def test_what_is_no_manifest_is_refused_as_a_whole(
    read: Callable[..., list[Source]], name: str, content: str | bytes, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        read(content, name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.jsonl", "there is no manifest missing.jsonl"),
        (".", r"cannot read the manifest \. \(Is a directory\)"),
        ("nul\0l", "cannot read the manifest"),
    ],
)
def test_a_manifest_that_cannot_be_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        Manifest(name)


def test_a_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input is closed"):
        Manifest("-")


def test_a_file_can_be_read_twice_and_a_pipe_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[..., list[Source]]
) -> None:
    read("audio_filepath\na.wav\n", "list.tsv")
    manifest = Manifest(str(tmp_path / "list.tsv"))
    assert manifest.repeatable
    assert list(manifest) == list(manifest)

    monkeypatch.chdir(tmp_path)  # what a pipe names is relative to the current folder
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("audio_filepath\na.wav\na.wav\n"))
    writer.start()
    piped = Manifest("pipe")
    assert not piped.repeatable
    assert [row.error for row in piped] == [None, None]
    writer.join()


def test_a_manifest_that_breaks_off_says_so(tmp_path: Path, read: Callable[..., list[Source]]) -> None:
    read('{"audio_filepath": "a.wav"}\n')
    manifest = Manifest(str(tmp_path / "list.jsonl"))
    (tmp_path / "list.jsonl").unlink()
    with pytest.raises(InputReadError, match="cannot read on in the manifest"):
        list(manifest)


def test_rows_are_read_as_they_are_wanted(tmp_path: Path) -> None:
    """A pipe gives its rows while it is still being written: a million lines are never held."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=1) as pipe:
        pipe.write('{"audio_filepath": "1.wav"}\n')
        pipe.flush()
        rows = iter(Manifest(f"/dev/fd/{reading}"))
        assert next(rows).name == "1.wav"
        pipe.write('{"audio_filepath": "2.wav"}\n')
        pipe.flush()
        assert next(rows).name == "2.wav"
    assert list(rows) == []
    os.close(reading)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_fields_pass_through_unchanged(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "passed.jsonl"
    path.write_text(json.dumps({"audio_filepath": "a.wav", **fields, "audio_filepath": "a.wav"}) + "\n")  # noqa: F601
    (row,) = Manifest(str(path))
    expected = {name: value for name, value in fields.items() if name != "audio_filepath"}
    assert row.fields == expected


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_tsv_cells_pass_through_unchanged(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "passed.tsv"
    columns = ["audio_filepath", *(f"c{number}" for number in range(len(cells)))]
    rows = [columns, ["a.wav", *cells]]
    path.write_bytes("".join("\t".join(map(escape_cell, row)) + "\n" for row in rows).encode())
    (row,) = Manifest(str(path))
    assert list(row.fields.values()) == cells


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b'{"audio_filepath": "a.wav"}\n' + content)
    for row in Manifest(str(path)):
        if row.error is not None:
            TranslationResult(row.name, "error", error=row.error, fields=row.fields).to_json()
