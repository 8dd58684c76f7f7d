"""The TSVs of CoVoST 2 and Common Voice are manifests as they are."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.commonvoice import split_line
from s2t2_cli.manifests import Manifest

# Written by get_covost_splits.py: pandas' to_csv with QUOTE_NONE and a backslash that escapes.
SPLIT = (
    "path\tsentence\ttranslation\tclient_id\n"
    'common_voice_en_1.mp3\t\\"Hi\\", he said.\t„Hallo\\", sagte er.\tab12\n'
    "common_voice_en_2.mp3\tC:\\\\temp\tC:\\\\temp\tcd34\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as Common Voice unpacks, with two clips."""
    (tmp_path / "clips").mkdir()
    for number in (1, 2):
        (tmp_path / "clips" / f"common_voice_en_{number}.mp3").write_bytes(b"1234")
    return tmp_path


def write(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, "utf-8")
    return str(folder / name)


def test_a_split_of_covost_2(folder: Path) -> None:
    first, second = Manifest(write(folder, "covost_v2.en_de.test.tsv", SPLIT))
    assert (first.name, first.error) == ("clips/common_voice_en_1.mp3", None)
    assert first.media == folder / "clips" / "common_voice_en_1.mp3"
    assert first.fields == {"transcript": '"Hi", he said.', "text": '„Hallo", sagte er.', "client_id": "ab12"}
    assert second.fields["text"] == "C:\\temp"


def test_all_splits_as_they_are_downloaded(folder: Path) -> None:
    (row,) = Manifest(
        write(folder, "covost_v2.en_de.tsv", "path\ttranslation\tsplit\ncommon_voice_en_1.mp3\tJa\ttest\n")
    )
    assert (row.name, row.fields) == ("clips/common_voice_en_1.mp3", {"text": "Ja", "split": "test"})


def test_validated_clips_of_common_voice_have_no_translation(folder: Path) -> None:
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\n"
    (row,) = Manifest(write(folder, "validated.tsv", head + 'ab12\tcommon_voice_en_2.mp3\tOh "no"\t2\t0\t\t\tus\n'))
    assert (row.error, row.fields["transcript"], row.fields["up_votes"]) == (None, 'Oh "no"', "2")
    assert "text" not in row.fields


def test_without_a_folder_of_clips_they_are_beside_the_tsv(tmp_path: Path) -> None:
    (tmp_path / "common_voice_en_1.mp3").write_bytes(b"1234")
    first, second = Manifest(write(tmp_path, "covost.tsv", SPLIT))
    assert (first.name, first.error) == ("common_voice_en_1.mp3", None)
    assert second.error is not None


def test_clips_can_be_anywhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("translations")
    first, _ = Manifest(write(elsewhere, "covost.tsv", SPLIT), audio_dir=folder / "clips")
    assert (first.name, first.media) == ("common_voice_en_1.mp3", folder / "clips" / "common_voice_en_1.mp3")


@pytest.mark.parametrize("path", ["clips/common_voice_en_1.mp3", "{folder}/clips/common_voice_en_1.mp3"])
def test_a_path_that_leads_there_already_stays(folder: Path, path: str) -> None:
    path = path.format(folder=folder)
    (row,) = Manifest(write(folder, "mine.tsv", f"path\tsentence\n{path}\tHi\n"))
    assert (row.name, row.error) == (path, None)


def test_our_own_columns_win(folder: Path) -> None:
    """A TSV that has `audio_filepath`, `text` or `transcript` already means them."""
    content = "audio_filepath\tpath\tsentence\ttext\nclips/common_voice_en_1.mp3\tx\tHi\tline\\n2\n"
    (row,) = Manifest(write(folder, "ours.tsv", content))
    assert row.fields == {"path": "x", "sentence": "Hi", "text": "line\n2"}
    (row,) = Manifest(write(folder, "both.tsv", "path\ttranslation\ttext\ncommon_voice_en_1.mp3\tJa\tJawohl\n"))
    assert row.fields == {"translation": "Ja", "text": "Jawohl"}


def test_a_broken_row_is_named_and_the_rest_goes_on(folder: Path) -> None:
    short, good = Manifest(write(folder, "covost.tsv", "path\tsentence\nonly\ncommon_voice_en_1.mp3\tHi\n"))
    assert "line 2 of" in str(short.error)
    assert "has 1 columns where the header has 2" in str(short.error)
    assert good.error is None


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=2, max_size=5))
def test_what_the_official_script_writes_is_read_back(cells: list[str]) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n").writerow(cells)
    assert split_line(written.getvalue().removesuffix("\n")) == cells
