"""Segments that the user gives: RTTM, TSV, SRT and WebVTT, and what is said of files that are none of them."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysubs2 import SSAEvent, SSAFile

from s2t2_cli.errors import UsageError
from s2t2_cli.segment_files import read_segments, segments_of
from s2t2_cli.segmentation.spans import Span

Read = Callable[[str], dict[str | None, list[Span]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: str) -> dict[str | None, list[Span]]:
        path = tmp_path / "talk.segments"
        path.write_text(content, "utf-8")
        return read_segments(path)

    return read


class TestRttm:
    def test_speaker_records_name_recording_start_and_duration(self, read: Read) -> None:
        found = read(
            ";; made by a diariser\n"
            "SPKR-INFO talk 1 <NA> <NA> <NA> unknown ann <NA> <NA>\n"
            "SPEAKER talk 1 3.50 1.25 <NA> <NA> ann <NA> <NA>\n"
            "SPEAKER other 1 0 2 <NA> <NA> bob <NA> <NA>\n"
            "SPEAKER talk 1 0.25 2.5 <NA> <NA> bob <NA> <NA>\n"
        )
        assert found == {"talk": [Span(0.25, 2.75), Span(3.5, 4.75)], "other": [Span(0, 2)]}

    def test_people_may_talk_at_the_same_time(self, read: Read) -> None:
        turns = "SPEAKER t 1 0 4 <NA> <NA> a <NA> <NA>\nSPEAKER t 1 3 4 <NA> <NA> b <NA> <NA>\n"
        assert read(turns) == {"t": [Span(0, 4), Span(3, 7)]}
        assert read(turns + turns) == {"t": [Span(0, 4), Span(3, 7)]}

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("SPEAKER talk 1 3.5", "has 4 columns; SPEAKER file channel start duration was expected"),
            ("SPEAKER talk 1 3,5 1 <NA>", "has the start '3,5', which is not a number"),
            ("SPEAKER talk 1 3.5 -1 <NA>", "has the duration '-1', which is not a number"),
            ("SPEAKER talk 1 3.5 nan <NA>", "has the duration 'nan', which is not a number"),
            ("SPEAKER talk 1 3.5 1e999 <NA>", "names a time too large for a recording"),
            ("talk 1 2", "begins with 'talk', which is no type of record; SPEAKER was expected"),
        ],
    )
    def test_a_broken_line_is_named(self, read: Read, tmp_path: Path, line: str, sentence: str) -> None:
        with pytest.raises(UsageError) as refused:
            read(f"SPEAKER talk 1 0 1 <NA>\n\n{line}\n")
        assert str(refused.value) == f"line 3 of {tmp_path}/talk.segments, read as RTTM, {sentence}"


class TestTsv:
    @pytest.mark.parametrize(
        "content",
        [
            "1.5\t2\n0\t1.25\n",
            "1.5\t2\tsome label\n0.0\t1.25\tanother\n",
            "start\tend\n1.5\t2\n0\t1.25\n",
            "Start\tEnd\ttext\n1.5\t2\tGuten Tag\n\n0\t1.25\t\n",
            "text\tend_time\tstart_time\nhello\t2\t1.5\nyou\t1.25\t0\n",
            "offset\tduration\n1.5\t0.5\n0\t1.25\n",
            "onset\toffset\n1.5\t2\n0\t1.25\n",
            "start_ms\tend_ms\n1500\t2000\n0\t1250\n",
            "start_ms\tduration_ms\r\n1500\t500\r\n0\t1250\r\n",
            "\ufeffstart\tduration\n1.5\t.5\n0\t125e-2\n",
        ],
    )
    def test_columns_by_name_or_in_order(self, read: Read, content: str) -> None:
        assert read(content) == {None: [Span(0, 1.25), Span(1.5, 2)]}

    @pytest.mark.parametrize(
        "content",
        [
            "audio_filepath\tstart\tend\nrec/a.wav\t0\t1.0\nb c.wav\t2.0\t3\n",
            "start\tend\tfile\n0\t1.0\trec/a.wav\n2.0\t3\tb c.wav\n",
            "rec/a.wav\t0\t1\nb c.wav\t2\t3\n",
        ],
    )
    def test_a_column_may_name_the_recording(self, read: Read, content: str) -> None:
        assert read(content) == {"rec/a.wav": [Span(0, 1)], "b c.wav": [Span(2, 3)]}

    def test_what_may_be_whispers_milliseconds_is_not_guessed(self, read: Read) -> None:
        with pytest.raises(UsageError, match=r"line 2 .*, could mean seconds or, as Whisper writes them, milliseconds"):
            read("start\tend\ttext\n0\t2500\tHello.\n2500\t5000\tBye.\n")
        assert read("start_ms\tend_ms\ttext\n0\t2500\tHello.\n") == {None: [Span(0, 2.5)]}

    def test_a_segment_of_no_length_holds_no_sound(self, read: Read) -> None:
        assert read("0\t1\n1\t1\n") == {None: [Span(0, 1)]}

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("start\tend\n0\t1\n5\t4\n", "line 3 of {}, read as TSV, ends at 4 s, before it starts at 5 s"),
            ("start\tend\n0\t1\n7\n", "line 3 of {}, read as TSV, has 1 columns, at least 2 were expected"),
            ("start\tend\n0\t1 s\n", "line 2 of {}, read as TSV, has the end '1 s', which is not a number"),
            ("from\tto\n0\t1\n", "line 1 of {}, read as TSV, has no columns start and end, or start and duration, "
             "separated by tabs"),
            ("0 1\n", "line 1 of {}, read as TSV, has no columns start and end, or start and duration, separated by "
             "tabs"),
            ("start\tend\n", "{}, read as TSV, names no segments"),
            ("\n \n", "{}, read as TSV, names no segments"),
            ("", "{}, read as TSV, names no segments"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, read: Read, tmp_path: Path, content: str, sentence: str) -> None:
        with pytest.raises(UsageError) as refused:
            read(content)
        assert str(refused.value) == sentence.format(tmp_path / "talk.segments")


class TestCues:
    SRT = "1\n00:00:01,000 --> 00:00:02,500\nGuten Tag\n\n2\n00:01:00,5 --> 01:00:00,000 X1:0 X2:9\n12:00 --> noon\n\n"

    def test_srt(self, read: Read) -> None:
        assert read(self.SRT.replace("12:00 --> noon", "A --> B")) == {None: [Span(1, 2.5), Span(60.5, 3600)]}

    def test_webvtt(self, read: Read) -> None:
        content = (
            "WEBVTT - a talk\nX-TIMESTAMP-MAP=LOCAL:0\n\nNOTE nothing\n\n"
            "intro\n00:01.000 --> 00:02.500 position:10%\nHello\n\n123:00:00.000 --> 123:00:01.000\nStill here\n"
        )
        assert read(content) == {None: [Span(1, 2.5), Span(442_800, 442_801)]}

    @pytest.mark.parametrize(
        "line", ["12:00 --> noon", "00:00:0l,000 --> 00:00:02,000", "00:00:01,000 -->", "--> 00:00:01,000"]
    )
    def test_times_that_cannot_be_read_are_no_text(self, read: Read, line: str) -> None:
        with pytest.raises(
            UsageError, match=r"line 7 .*, read as SRT, is not two times; 00:00:01,000 --> 00:00:02,500 was"
        ):
            read(self.SRT.replace("12:00 --> noon", line))

    @pytest.mark.parametrize("name", ["srt", "vtt"])
    @given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**5)), min_size=1, max_size=20))
    def test_what_pysubs2_writes_is_read(self, name: str, drawn: list[tuple[int, int]]) -> None:
        subtitles = SSAFile()
        subtitles.events = [SSAEvent(start, start + length, "1 --> 2\\N3") for start, length in drawn]
        expected = sorted({Span(start / 1000, (start + length) / 1000) for start, length in drawn})
        assert _read_from_stdin(subtitles.to_string(name)) == {None: expected}


def _read_from_stdin(content: str) -> dict[str | None, list[Span]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode("utf-8", "surrogateescape"))))
        return read_segments("-")


# As a diariser or a person might call a recording.
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
SPANS = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)).map(
    lambda drawn: Span(drawn[0] / 100, (drawn[0] + drawn[1]) / 100)
)
SEGMENTS = st.dictionaries(NAMES, st.sets(SPANS, min_size=1, max_size=5), min_size=1, max_size=4)


@given(SEGMENTS)
def test_rttm_round_trip(segments: dict[str, set[Span]]) -> None:
    lines = [
        f"SPEAKER {name} 1 {span.start} {span.end - span.start!r} <NA> <NA> x <NA> <NA>\n"
        for name, spans in segments.items()
        for span in spans
    ]
    found = _read_from_stdin("".join(lines))
    assert set(found) == set(segments)
    for name, spans in segments.items():
        assert [pytest.approx((one.start, one.end)) for one in sorted(spans)] == [
            (one.start, one.end) for one in found[name]
        ]


@given(SEGMENTS)
def test_tsv_round_trip(segments: dict[str, set[Span]]) -> None:
    from s2t2_cli.escaping import escape_cell

    lines = [f"{escape_cell(name)}\t{span.start}\t{span.end}\n" for name, spans in segments.items() for span in spans]
    assert _read_from_stdin("file\tstart\tend\n" + "".join(lines)) == {
        name: sorted(spans) for name, spans in segments.items()
    }


@given(st.one_of(st.binary(max_size=200), st.text(st.sampled_from("0123456789:.,-> \t\nWEBVTSPAKR;"), max_size=200)))
def test_any_file_is_read_or_refused(content: bytes | str) -> None:
    with contextlib.suppress(UsageError):
        found = _read_from_stdin(content if isinstance(content, str) else content.decode("utf-8", "surrogateescape"))
        assert all(spans == sorted(set(spans)) and spans for spans in found.values())


class TestFiles:
    def test_one_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"there is no segments file .*/none\.rttm"):
            read_segments(tmp_path / "none.rttm")

    def test_one_that_is_no_text_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "talk.tsv").write_text("start\tend\n0\t1\n", "utf-16")
        with pytest.raises(UsageError, match="is not UTF-8 text; save it as UTF-8"):
            read_segments(tmp_path / "talk.tsv")

    def test_a_recording_is_found_by_path_name_or_stem(self) -> None:
        segments = {"rec/a.wav": [Span(0, 1)], "b.wav": [Span(1, 2)], "c": [Span(2, 3)]}
        assert segments_of("rec/a.wav", segments) == [Span(0, 1)]
        assert segments_of("/data/b.wav", segments) == [Span(1, 2)]
        assert segments_of("https://host/c.mp3", segments) == [Span(2, 3)]
        assert segments_of("d.wav", segments) is None
        assert segments_of("d.wav", {None: [Span(3, 4)]}) == [Span(3, 4)]
