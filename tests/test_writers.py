"""How results look in each format, and how they get where they belong."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli import writers
from s2t2_cli.errors import AudioDecodeError, OutputError, UsageError
from s2t2_cli.escaping import encode, escape_cell, one_line, readable, unescape_cell
from s2t2_cli.formats import Format, make_format
from s2t2_cli.records import Alternative, TranslationResult
from s2t2_cli.writers import FileWriter, FolderWriter, Places, ReaderGoneError, StreamWriter, stdout_writer

GOOD = TranslationResult(
    "talk.mp3",
    "ok",
    "de",
    "some/model",
    2.8,
    "Guten „Morgen“",
    'Guten " Morgen "',
    -0.25,
    (7, 8),
    (Alternative("Guten Tag", "Guten Tag .", -0.5, (7, 9)),),
    warnings=("truncated",),
    fields={"id": 3},
)
BAD = TranslationResult("bad.mp3", "error", error=AudioDecodeError("bad.mp3 is not audio"), fields={"id": 4})
SILENT = TranslationResult("still.wav", "ok", "de", "some/model", 1.0, warnings=("no_speech",))


class TestText:
    def test_one_input_is_its_translation(self) -> None:
        assert make_format("text").render(GOOD) == "Guten „Morgen“\n"

    def test_several_are_told_apart_by_name(self) -> None:
        assert make_format("text", with_filename=True).render(GOOD) == "talk.mp3\tGuten „Morgen“\n"

    def test_n_best_is_a_line_a_hypothesis_with_its_score(self) -> None:
        lines = make_format("text", with_filename=True, n_best=True).render(GOOD)
        assert lines == "talk.mp3\t-0.250000\tGuten „Morgen“\ntalk.mp3\t-0.500000\tGuten Tag\n"
        assert make_format("text", n_best=True).render(SILENT) == "\t\n"

    def test_a_failed_input_has_no_line_and_a_silent_one_an_empty_line(self) -> None:
        assert make_format("text").render(BAD) == ""
        assert make_format("text").render(SILENT) == "\n"

    def test_a_line_stays_a_line(self) -> None:
        result = TranslationResult("two\nlines\x1b[2J.wav", text="a\tb\r\nc")
        assert make_format("text", with_filename=True).render(result) == "two\\nlines\\x1b[2J.wav\ta\\tb\\r\\nc\n"


def test_jsonl_is_the_record() -> None:
    assert json.loads(make_format("jsonl").render(GOOD)) == GOOD.to_dict()
    assert json.loads(make_format("jsonl", tokens=True).render(GOOD))["tokens"] == [7, 8]
    assert json.loads(make_format("jsonl").render(BAD))["error"]["type"] == "AudioDecodeError"


class TestTsv:
    @staticmethod
    def rows(layout: Format, *results: TranslationResult) -> list[dict[str, str]]:
        text = layout.header + "".join(map(layout.render, results))
        return list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))

    def test_every_input_has_a_row(self) -> None:
        assert self.rows(make_format("tsv"), GOOD, BAD, SILENT) == [
            {
                "audio_filepath": "talk.mp3", "status": "ok", "lang": "de", "duration": "2.800", "score": "-0.250000",
                "text": "Guten „Morgen“", "raw_text": 'Guten " Morgen "', "warnings": "truncated", "error": "",
            },
            {
                "audio_filepath": "bad.mp3", "status": "error", "lang": "", "duration": "", "score": "",
                "text": "", "raw_text": "", "warnings": "", "error": "bad.mp3 is not audio",
            },
            {
                "audio_filepath": "still.wav", "status": "ok", "lang": "de", "duration": "1.000", "score": "",
                "text": "", "raw_text": "", "warnings": "no_speech", "error": "",
            },
        ]  # fmt: skip

    def test_columns_for_what_was_asked_for(self) -> None:
        layout = make_format("tsv", n_best=True, tokens=True, fields=True)
        rows = self.rows(layout, GOOD, BAD)
        assert [(row["rank"], row["text"], row["tokens"]) for row in rows] == [
            ("1", "Guten „Morgen“", "7 8"),
            ("2", "Guten Tag", "7 9"),
            ("", "", ""),
        ]
        assert [json.loads(row["fields"]) for row in rows] == [{"id": 3}, {"id": 3}, {"id": 4}]

    @given(st.text(st.characters(codec="utf-8")))
    def test_any_text_keeps_to_its_cell(self, text: str) -> None:
        cell = escape_cell(text)
        assert not set(cell) & set("\t\n\r")
        assert unescape_cell(cell) == text


class TestEscaping:
    def test_what_people_see_is_on_one_line_and_without_raw_bytes(self) -> None:
        assert readable("a\nb\x85\udcffü") == "a\\nb\\x85\\xffü"
        assert one_line("a\nb\udcff") == "a\\nb\udcff"

    def test_bytes_of_file_names_come_back(self) -> None:
        assert encode(os.fsdecode(b"caf\xe9 \xc3\xbc")) == b"caf\xe9 \xc3\xbc"

    def test_surrogates_that_are_no_bytes_are_spelled_out(self) -> None:
        assert encode("a\ud800") == b"a\\ud800"


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for descriptor in (reading, writing):
            try:
                os.close(descriptor)
            except OSError:
                continue  # closed by the test


class TestStream:
    def test_a_result_has_left_when_write_returns(self) -> None:
        with pipe() as (reading, writing):
            writer = StreamWriter(writing, "a pipe", make_format("tsv"))
            writer.begin()
            writer.write(GOOD, "")
            assert os.read(reading, 4096).decode() == make_format("tsv").header + make_format("tsv").render(GOOD)

    def test_a_reader_that_left_is_no_failure_of_ours(self) -> None:
        with pipe() as (reading, writing):
            os.close(reading)
            with pytest.raises(ReaderGoneError):
                StreamWriter(writing, "a pipe", make_format("text")).write(GOOD, "")

    def test_a_pipe_that_does_not_block_gets_everything(self) -> None:
        received: list[bytes] = []

        def read(descriptor: int) -> None:
            while chunk := os.read(descriptor, 65536):
                received.append(chunk)

        with pipe() as (reading, writing):
            os.set_blocking(writing, False)
            reader = threading.Thread(target=read, args=(reading,))
            reader.start()
            StreamWriter(writing, "a pipe", make_format("text")).write_text("x" * 1_000_000)
            os.close(writing)
            reader.join()
        assert sum(map(len, received)) == 1_000_000

    def test_a_full_disk_is_named(self) -> None:
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            writer = StreamWriter(full.fileno(), "standard output", make_format("text"))
            with pytest.raises(OutputError, match=r"cannot write to standard output \(No space left on device\)"):
                writer.write(GOOD, "")

    def test_a_closed_standard_output_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        with pytest.raises(UsageError, match="standard output is closed; name a file with --output"):
            stdout_writer(make_format("text"))


class TestFile:
    def test_lines_are_in_the_file_as_they_come(self, tmp_path: Path) -> None:
        path = tmp_path / "out.txt"
        with FileWriter(path, make_format("text")) as writer:
            writer.begin()
            writer.write(GOOD, "")
            assert path.read_text() == "Guten „Morgen“\n"
            writer.write(SILENT, "")
        assert path.read_text() == "Guten „Morgen“\n\n"
        assert writer.kept == f"; what is done is in {path}"

    def test_an_earlier_result_stays_until_work_begins(self, tmp_path: Path) -> None:
        path = tmp_path / "out.txt"
        path.write_text("precious")
        with FileWriter(path, make_format("text")):
            pass  # the model could not be loaded
        assert path.read_text() == "precious"
        with FileWriter(path, make_format("text")) as writer:
            writer.begin()
        assert path.read_text() == ""

    def test_no_empty_file_is_left_where_no_work_began(self, tmp_path: Path) -> None:
        with FileWriter(tmp_path / "out.txt", make_format("text")):
            assert (tmp_path / "out.txt").exists()
        assert not (tmp_path / "out.txt").exists()

    def test_pipes_and_devices_are_files_too(self) -> None:
        with FileWriter(Path("/dev/full"), make_format("text")) as writer:
            writer.begin()
            with pytest.raises(OutputError, match="cannot write to /dev/full"):
                writer.write(GOOD, "")

    @pytest.mark.parametrize(
        ("path", "sentence"),
        [
            ("no/such/out.txt", "cannot write {0}/no/such/out.txt, there is no folder {0}/no/such; make it first: "),
            (".", "cannot write {0} (Is a directory); name another place"),
            ("a.txt/b.txt", "cannot write {0}/a.txt/b.txt (Not a directory); name another place"),
            ("nul\0l", "cannot write {0}/nul\0l (embedded null byte); name another place"),
        ],
    )
    def test_what_cannot_be_written_is_known_at_once(self, tmp_path: Path, path: str, sentence: str) -> None:
        (tmp_path / "a.txt").touch()
        with pytest.raises(UsageError) as refused:
            FileWriter(tmp_path / path, make_format("text"))
        assert str(refused.value).startswith(sentence.format(tmp_path))


class TestFolder:
    def test_a_file_for_each_result(self, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "folder"
        with FolderWriter(folder, make_format("tsv")) as writer:
            writer.begin()
            writer.write(GOOD, "day1/talk.mp3.tsv")
            writer.write(BAD, "bad.mp3.tsv")
        header = make_format("tsv").header
        assert (folder / "day1" / "talk.mp3.tsv").read_text() == header + make_format("tsv").render(GOOD)
        assert (folder / "bad.mp3.tsv").read_text() == header + make_format("tsv").render(BAD)

    def test_a_failed_input_leaves_no_file_of_text(self, tmp_path: Path) -> None:
        with FolderWriter(tmp_path, make_format("text")) as writer:
            writer.begin()
            writer.write(BAD, "bad.mp3.txt")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_appears_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "talk.mp3.txt"
        path.write_text("earlier")

        def interrupted(passing: Path, target: Path) -> None:
            assert passing.read_text() == "Guten „Morgen“\n"
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", interrupted)
        with FolderWriter(tmp_path, make_format("text")) as writer, pytest.raises(KeyboardInterrupt):
            writer.write(GOOD, "talk.mp3.txt")
        assert [one.name for one in tmp_path.iterdir()] == ["talk.mp3.txt"]
        assert path.read_text() == "earlier"

    def test_files_have_the_usual_permissions(self, tmp_path: Path) -> None:
        with FolderWriter(tmp_path, make_format("text")) as writer:
            writer.write(GOOD, "a.txt")
        (tmp_path / "usual").touch()
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)

    def test_a_folder_that_cannot_be_is_known_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match=r"cannot write .*/file \(File exists\)"):
            FolderWriter(tmp_path / "file", make_format("text"))

    def test_what_stands_in_the_way_later_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "talk.txt").mkdir()
        with FolderWriter(tmp_path, make_format("text")) as writer, pytest.raises(OutputError, match="cannot write"):
            writer.write(GOOD, "talk.txt")


class TestPlaces:
    @pytest.fixture
    def claim(self) -> Callable[[str], str]:
        return Places(".txt").claim

    def test_full_names_are_kept(self, claim: Callable[[str], str]) -> None:
        assert [claim(place) for place in ("a.mp3", "a.wav", "day1/a.mp3")] == [
            "a.mp3.txt",
            "a.wav.txt",
            "day1/a.mp3.txt",
        ]

    def test_no_two_sources_share_a_file(self, claim: Callable[[str], str]) -> None:
        places = ["a", "a", "a.2", "a", "a.2", "b", "a.3"]
        claimed = [claim(place) for place in places]
        assert claimed[:4] == ["a.txt", "a.2.txt", "a.2.2.txt", "a.3.txt"]
        assert len(set(claimed)) == len(places)

    @given(st.lists(st.text(st.sampled_from("a.2/\0~\ud800\udcff"), max_size=6)))
    def test_no_name_collides_or_climbs_out(self, places: list[str]) -> None:
        files = Places(".txt")
        claimed = [files.claim(place) for place in places]
        assert len(set(claimed)) == len(places)
        for one in claimed:
            assert not Path(one).is_absolute()
            assert ".." not in Path(one).parts
            os.fsencode(one)

    def test_case_counts_where_the_file_system_says_so(
        self, claim: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writers, "_CASE_IS_IGNORED", True)
        assert [claim("A.mp3"), claim("a.mp3")] == ["A.mp3.txt", "a.mp3.2.txt"]

    def test_a_name_too_long_for_its_ending_is_cut_and_stays_unique(self, claim: Callable[[str], str]) -> None:
        one, other = claim("ü" * 125 + "1.wav"), claim("ü" * 125 + "2.wav")
        assert one != other
        assert len(os.fsencode(one)) <= 255
        assert one.startswith("üüü")
        assert one.endswith(".txt")
