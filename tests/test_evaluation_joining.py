"""Hypotheses find their references, and what does not go together is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation_fixtures import record, write_lines, write_rows
from s2t2_cli.errors import UsageError
from s2t2_cli.escaping import escape_cell
from s2t2_cli.evaluation.joining import Joined, join
from s2t2_cli.evaluation.texts import read_texts

Read = Callable[..., Joined]


@pytest.fixture
def references(tmp_path: Path) -> Path:
    rows = [{"audio_filepath": f"{name}.wav", "text": name.upper()} for name in "abc"]
    return write_rows(tmp_path / "refs.jsonl", rows)


@pytest.fixture
def hypotheses(tmp_path: Path) -> Path:
    return tmp_path / "hyp.jsonl"


def joined(references: Path, *systems: Path, **options: Any) -> Joined:
    return join(read_texts(str(references)), [read_texts(str(system)) for system in systems], **options)


def texts(result: Joined) -> list[tuple[str, ...]]:
    """The reference and the hypotheses of every utterance."""
    return [(one.reference, *(said.text for said in one.hypotheses)) for one in result.utterances]


def kinds(result: Joined) -> dict[str, tuple[str, ...]]:
    return {problem.kind: problem.names for problem in result.problems}


class TestByName:
    def test_rows_meet_by_the_recording_in_any_order(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record(f"{name}.wav", name) for name in "cab"])
        result = joined(references, hypotheses)
        assert texts(result) == [("A", "a"), ("B", "b"), ("C", "c")]
        assert result.problems == ()

    def test_what_failed_or_is_missing_is_empty(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record("a.wav", "a"), record("b.wav", None)])
        result = joined(references, hypotheses)
        assert texts(result) == [("A", "a"), ("B", ""), ("C", "")]
        assert [one.hypotheses[0].failure for one in result.utterances] == [
            None,
            "b.wav is not audio",
            "there is no translation",
        ]
        assert kinds(result) == {"failed": ("b.wav",), "missing": ("c.wav",)}
        assert all(problem.spoils for problem in result.problems)

    def test_or_is_left_out_for_all_systems(self, references: Path, hypotheses: Path, tmp_path: Path) -> None:
        write_rows(hypotheses, [record("a.wav", "a"), record("b.wav", None), record("c.wav", "c")])
        other = write_rows(tmp_path / "other.jsonl", [record("b.wav", "y"), record("c.wav", "z")])
        result = joined(references, hypotheses, other, exclude_failed=True)
        assert texts(result) == [("C", "c", "z")]
        assert [problem.sentence for problem in result.problems] == [
            "not translated, left out",
            "without a hypothesis, left out",
        ]

    def test_of_several_rows_the_first_that_did_not_fail_counts(self, references: Path, hypotheses: Path) -> None:
        rows = [record("a.wav", None), record("a.wav", "a"), record("a.wav", "later")]
        write_rows(hypotheses, [*rows, record("b.wav", "b"), record("c.wav", "c")])
        result = joined(references, hypotheses)
        assert texts(result)[0] == ("A", "a")
        assert kinds(result) == {"duplicated": ("a.wav", "a.wav")}
        assert not result.problems[0].spoils

    def test_a_reference_counts_once(self, references: Path, hypotheses: Path) -> None:
        with references.open("a") as file:
            file.write('{"audio_filepath": "a.wav", "text": "again"}\n')
        write_rows(hypotheses, [record(f"{name}.wav", name) for name in "abc"])
        result = joined(references, hypotheses)
        assert len(result.utterances) == 3
        assert kinds(result) == {"duplicated": ("a.wav",)}

    def test_hypotheses_without_a_reference_are_told(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record(f"{name}.wav", name) for name in "abcd"])
        result = joined(references, hypotheses)
        assert kinds(result) == {"unreferenced": ("d.wav",)}
        assert not result.problems[0].spoils

    def test_names_that_begin_otherwise_meet_by_their_ends(self, tmp_path: Path, hypotheses: Path) -> None:
        """As many parts are compared as it takes: 1.wav alone says nothing here."""
        references = write_rows(
            tmp_path / "refs.jsonl",
            [{"audio_filepath": f"{who}/1.wav", "text": who.upper()} for who in ("ann", "bob")],
        )
        write_rows(hypotheses, [record(f"/data/{who}/1.wav", who) for who in ("bob", "ann")])
        result = joined(references, hypotheses)
        assert texts(result) == [("ANN", "ann"), ("BOB", "bob")]
        assert kinds(result) == {"joined_by_end": ("ann/1.wav", "bob/1.wav")}

    def test_names_that_ends_cannot_tell_apart_do_not_meet(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record("b.wav", "b"), record("x/a.wav", "x"), record("y/a.wav", "y")])
        result = joined(references, hypotheses)
        assert texts(result) == [("A", ""), ("B", "b"), ("C", "")]

    def test_where_all_failed_nothing_is_left(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record(f"{name}.wav", None) for name in "abc"])
        assert texts(joined(references, hypotheses)) == [("A", ""), ("B", ""), ("C", "")]
        with pytest.raises(UsageError, match="every recording failed"):
            joined(references, hypotheses, exclude_failed=True)

    def test_files_that_have_nothing_in_common_are_refused(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record("other.wav", "?")])
        with pytest.raises(UsageError, match=r"there is 'other\.wav' here and 'a\.wav' there"):
            joined(references, hypotheses)


class TestByOrder:
    def test_lines_without_names(self, tmp_path: Path) -> None:
        references = write_lines(tmp_path / "refs.txt", ["A", "", "C\twith a tab"])
        hypotheses = write_lines(tmp_path / "hyp.txt", ["a", "b", ""])
        result = joined(references, hypotheses)
        assert texts(result) == [("A", "a"), ("", "b"), ("C\twith a tab", "")]
        assert result.utterances[2].name == f"line 3 of {references}"

    def test_one_file_without_names_is_enough(self, tmp_path: Path, hypotheses: Path) -> None:
        references = write_lines(tmp_path / "refs.txt", ["A", "B"])
        write_rows(hypotheses, [record("b.wav", "b"), record("a.wav", None)])
        result = joined(references, hypotheses)
        assert texts(result) == [("A", "b"), ("B", "")]
        assert [one.name for one in result.utterances] == ["b.wav", "a.wav"]

    def test_json_lines_without_names(self, tmp_path: Path, hypotheses: Path) -> None:
        references = write_lines(tmp_path / "refs.txt", ["A"])
        write_rows(hypotheses, [{"text": "a"}])
        assert texts(joined(references, hypotheses)) == [("A", "a")]

    def test_their_numbers_must_be_equal(self, references: Path, tmp_path: Path) -> None:
        hypotheses = write_lines(tmp_path / "hyp.txt", ["a", "b"])
        with pytest.raises(UsageError, match="has 2 hypotheses for the 3 references of"):
            joined(references, hypotheses)


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "found"),
        [
            ({"text": "t", "translation": "tr", "reference": "r"}, "reference"),
            ({"text": "t", "translation": "tr"}, "translation"),
            ({"text": "t"}, "text"),
            ({"text": "hyp", "input_text": "ref", "status": "ok"}, "input_text"),
        ],
    )
    def test_the_reference_is_in_the_first_of_these(
        self, tmp_path: Path, hypotheses: Path, fields: dict[str, str], found: str
    ) -> None:
        references = write_rows(tmp_path / "refs.jsonl", [{"audio_filepath": "a.wav", **fields}])
        write_rows(hypotheses, [record("a.wav", "a")])
        result = joined(references, hypotheses)
        assert (result.reference_field, result.utterances[0].reference) == (found, fields[found])

    def test_or_where_it_is_said_to_be(self, tmp_path: Path, hypotheses: Path) -> None:
        references = write_rows(tmp_path / "refs.jsonl", [{"audio_filepath": "a.wav", "text": "t", "de": "D"}])
        write_rows(hypotheses, [record("a.wav", "a")])
        assert texts(joined(references, hypotheses, reference_field="de")) == [("D", "a")]

    def test_translations_of_a_manifest_hold_their_references(self, hypotheses: Path) -> None:
        write_rows(hypotheses, [record("a.wav", "a", input_text="A"), record("b.wav", None, input_text="B")])
        assert texts(joined(hypotheses, hypotheses)) == [("A", "a"), ("B", "")]

    def test_translations_alone_are_no_references(self, hypotheses: Path) -> None:
        write_rows(hypotheses, [record("a.wav", "a")])
        with pytest.raises(UsageError, match="holds translations and no references; name the file that has them"):
            joined(hypotheses, hypotheses)

    def test_a_manifest_without_any_is_refused(self, tmp_path: Path, hypotheses: Path) -> None:
        references = write_rows(tmp_path / "refs.jsonl", [{"audio_filepath": "a.wav", "german": "A"}])
        write_rows(hypotheses, [record("a.wav", "a")])
        with pytest.raises(UsageError, match="--reference-field NAME"):
            joined(references, hypotheses)

    def test_rows_without_it_are_left_out(self, references: Path, hypotheses: Path) -> None:
        with references.open("a") as file:
            file.write('{"audio_filepath": "d.wav"}\n{"audio_filepath": "e.wav", "text": 5}\nnonsense\n')
        write_rows(hypotheses, [record(f"{name}.wav", name) for name in "abcde"])
        result = joined(references, hypotheses)
        assert len(result.utterances) == 3
        assert kinds(result)["no_reference"] == ("d.wav", "e.wav")
        assert "line 6 of" in kinds(result)["unreadable"][0]
        assert all(problem.spoils for problem in result.problems)

    def test_raw_text_can_be_scored(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record(f"{name}.wav", name) for name in "abc"])
        assert texts(joined(references, hypotheses, hypothesis_field="raw_text"))[0] == ("A", "raw a")

    def test_text_that_looks_tokenised_is_told(self, references: Path, hypotheses: Path) -> None:
        """As `translate --no-detokenize` writes it; sacrebleu wants it natural."""
        write_rows(hypotheses, [record("a.wav", "a ."), record("b.wav", "b ?"), record("c.wav", "c.")])
        assert kinds(joined(references, hypotheses)) == {"tokenized": ("a.wav", "b.wav")}
        assert joined(references, hypotheses, hypothesis_field="raw_text").problems == ()

    def test_a_row_that_has_no_such_field_failed(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [{"audio_filepath": f"{name}.wav", "text": name} for name in "abc"])
        result = joined(references, hypotheses, hypothesis_field="raw_text")
        assert result.utterances[0].hypotheses[0].failure == "the row has no raw_text"

    def test_only_a_split(self, tmp_path: Path, hypotheses: Path) -> None:
        path = tmp_path / "covost_v2.en_de.tsv"
        path.write_text("path\ttranslation\tsplit\na.mp3\tA\ttrain\nb.mp3\tB\ttest\n")
        write_rows(hypotheses, [record("b.mp3", "b")])
        assert texts(joined(path, hypotheses, split="test")) == [("B", "b")]
        with pytest.raises(UsageError, match=r"no row of .* has 'tset' as its split"):
            joined(path, hypotheses, split="tset")


class TestFiles:
    @pytest.mark.parametrize("name", ["hyp.tsv", "hyp"])
    def test_tsv_of_translate_is_unpacked(self, tmp_path: Path, name: str) -> None:
        fields = json.dumps({"text": "A\tB", "id": 7})
        cells = ["a.wav", "ok", "de", "1.0", "-0.3", "a\tb", "a b", "", "", fields]
        head = "audio_filepath\tstatus\tlang\tduration\tscore\ttext\traw_text\twarnings\terror\tfields\n"
        (tmp_path / name).write_text(head + "\t".join(map(escape_cell, cells)) + "\n")
        result = joined(tmp_path / name, tmp_path / name)
        assert (texts(result), result.utterances[0].fields["id"]) == ([("A\tB", "a\tb")], 7)

    def test_of_several_hypotheses_the_best_counts(self, tmp_path: Path, references: Path) -> None:
        path = tmp_path / "hyp.tsv"
        rows = [f"{name}.wav\tok\t{rank}\t{name}{rank}" for name in "abc" for rank in (1, 2)]
        path.write_text("\n".join(["audio_filepath\tstatus\trank\ttext", *rows]) + "\n")
        result = joined(references, path)
        assert texts(result) == [("A", "a1"), ("B", "b1"), ("C", "c1")]
        assert result.problems == ()

    def test_a_rank_of_the_users_own_is_no_hypothesis(self, tmp_path: Path) -> None:
        rows = [{"audio_filepath": f"{name}.wav", "text": name, "rank": 7} for name in "ab"]
        path = write_rows(tmp_path / "refs.jsonl", rows)
        assert texts(joined(path, path)) == [("a", "a"), ("b", "b")]

    def test_text_of_several_inputs_names_them(self, tmp_path: Path, references: Path) -> None:
        hypotheses = write_lines(tmp_path / "hyp.txt", ["c.wav\tc", "a.wav\t", "b.wav\tb\tb"])
        assert texts(joined(references, hypotheses)) == [("A", ""), ("B", "b\tb"), ("C", "c")]

    def test_a_byte_order_mark_and_other_line_ends_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "refs.txt").write_bytes("\ufeffÄ\r\nB\r\n".encode())
        hypotheses = write_lines(tmp_path / "hyp.txt", ["a", "b"])
        assert texts(joined(tmp_path / "refs.txt", hypotheses)) == [("Ä", "a"), ("B", "b")]

    @pytest.mark.parametrize("content", ['{"audio_filepath": "a.wav", "text": "A"}\n', "A\n"])
    def test_a_pipe_is_read_once(self, tmp_path: Path, hypotheses: Path, content: str) -> None:
        reading, writing = os.pipe()
        os.write(writing, content.encode())
        os.close(writing)
        write_rows(hypotheses, [record("a.wav", "a")])
        assert texts(joined(Path(f"/dev/fd/{reading}"), hypotheses)) == [("A", "a")]
        os.close(reading)

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("no.txt", None, "there is no file"),
            ("latin.txt", b"gut\nsch\xf6n\n", r"line 2 of .* is not UTF-8 text; save it as UTF-8"),
            ("empty.jsonl", b"", "is empty"),
            ("empty.txt", b"", "is empty"),
            ("list.json", b'[{"text": 1}]', "write an object a line"),
            ("table.tsv", b"id\ttext\n1\tA\n", "has no column audio_filepath"),
        ],
    )
    def test_what_cannot_be_read_is_refused(
        self, tmp_path: Path, hypotheses: Path, name: str, content: bytes | None, sentence: str
    ) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        write_rows(hypotheses, [record("a.wav", "a")])
        with pytest.raises(UsageError, match=sentence):
            joined(tmp_path / name, hypotheses)

    def test_two_systems_of_one_name_are_told_apart(self, references: Path, hypotheses: Path) -> None:
        write_rows(hypotheses, [record(f"{name}.wav", name) for name in "abc"])
        assert joined(references, hypotheses, hypotheses).systems == (str(hypotheses), f"{hypotheses} (2)")
