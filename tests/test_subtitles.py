"""Segments as subtitles: when cues come and go, what the files look like, and that others read them."""

from __future__ import annotations

import gzip
import io
import json
import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysubs2 import SSAFile

from s2t2_cli.errors import AudioDecodeError, UsageError
from s2t2_cli.formats import make_format
from s2t2_cli.records import Segment, TranslationResult
from s2t2_cli.subtitles import Cue, SubtitleName, SubtitleStream, lay_out, write_subtitles
from s2t2_cli.writers import FolderWriter

DATA = Path(__file__).parent / "data"

LONG = (
    "Gestern sind wir mit dem Zug nach Hamburg gefahren. Das Wetter war so schlecht, dass niemand mit dem Auto "
    "fahren wollte."
)
ARABIC = "ذهبنا أمس بالقطار إلى هامبورغ، لأن الطقس كان سيئًا للغاية ولم يرغب أحد في القيادة. هل تفهم؟"


def segment(start: float, end: float, text: str) -> Segment:
    return Segment(start, end, text, text, -0.3)


def times(cues: Iterable[Cue]) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in cues]


class TestTimes:
    def test_a_segment_is_a_cue(self) -> None:
        assert lay_out([segment(0.3, 2.5, "Guten Morgen.")]) == [Cue(300, 2500, ("Guten Morgen.",))]

    def test_a_long_one_shares_its_time_by_characters(self) -> None:
        first, second = lay_out([segment(10, 20, LONG)])
        assert (first.start, first.end, second.end) == (10_000, second.start, 20_000)
        lengths = [len(" ".join(one.lines)) for one in (first, second)]
        assert first.end - 10_000 == pytest.approx(10_000 * lengths[0] / sum(lengths), abs=1)

    def test_what_is_too_fast_to_read_stays_into_the_pause(self) -> None:
        """34 characters need 2 s at 17 a second."""
        text = "Wir fahren morgen nach Hamburg ja."
        assert times(lay_out([segment(0, 1, text)])) == [(0, 2000)]
        assert times(lay_out([segment(0, 1, text), segment(1.5, 3, "Gut.")]))[0] == (0, 1417)
        assert times(lay_out([segment(0, 1, text), segment(1.02, 3, "Gut.")]))[0] == (0, 1000)
        assert times(lay_out([segment(0, 1, text)], duration=1.2)) == [(0, 1200)]

    def test_a_short_word_stays_long_enough_to_see(self) -> None:
        assert times(lay_out([segment(5, 5.2, "Ja.")])) == [(5000, 5833)]

    def test_none_stays_for_more_than_seven_seconds(self) -> None:
        assert times(lay_out([segment(0, 12, "Ja.")])) == [(0, 7000)]

    def test_overlapping_segments_give_way(self) -> None:
        cues = lay_out([segment(0, 4, "Ich rede noch."), segment(3, 6, "Ich auch.")])
        assert times(cues) == [(0, 3000), (3000, 6000)]

    def test_segments_that_begin_together_share_their_time(self) -> None:
        cues = lay_out([segment(0, 4, "Ich rede."), segment(0, 4, "Ich auch.")])
        assert times(cues) == [(0, 2000), (2000, 4000)]

    def test_segments_without_words_have_no_cue(self) -> None:
        assert lay_out([segment(0, 1, " "), segment(1, 2, "Ja."), segment(2, 3, "")]) == [Cue(1000, 2000, ("Ja.",))]


WORDS = st.lists(st.sampled_from(["der", "Bahnhof", "fährt,", "nicht.", "vierundzwanzig", "42"]), max_size=30)


@st.composite
def recordings(draw: st.DrawFn) -> list[Segment]:
    """Segments in order, with pauses or without."""
    segments, now = [], 0.0
    for words in draw(st.lists(WORDS, max_size=6)):
        start = now + draw(st.floats(0, 3))
        now = start + draw(st.floats(0.05, 20))
        segments.append(segment(start, now, " ".join(words)))
    return segments


@given(recordings(), st.floats(0, 2))
def test_cues_are_in_order_and_within_their_segment_or_the_pause_after_it(segments: list[Segment], rest: float) -> None:
    spoken = [one for one in segments if one.text]
    duration = segments[-1].end + rest if segments else rest
    cues = lay_out(segments, duration)
    assert [word for one in cues for line in one.lines for word in line.split()] == [
        word for one in spoken for word in one.text.split()
    ]
    assert all(one.start < one.end for one in cues)
    assert all(one.end <= following.start for one, following in pairwise(cues))
    limits = [*(one.start for one in spoken), duration][1:]
    remaining = list(cues)
    for one, limit in zip(spoken, limits, strict=True):
        words = len(one.text.split())
        while words:
            cue = remaining.pop(0)
            words -= sum(len(line.split()) for line in cue.lines)
            assert one.start * 1000 - 1 <= cue.start < cue.end <= limit * 1000 + 1
            assert cue.end - cue.start <= 7000
    assert not remaining


@given(recordings())
def test_where_there_is_time_everything_can_be_read(segments: list[Segment]) -> None:
    apart = [segment(one.start + 60 * n, one.end + 60 * n, one.text) for n, one in enumerate(segments)]
    for cue in lay_out(apart):
        seconds = (cue.end - cue.start) / 1000
        assert seconds >= 0.832
        assert seconds == 7 or len(" ".join(cue.lines)) / seconds <= 17.1


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 5), WORDS.filter(bool)).map(
            lambda drawn: segment(drawn[0] / 2, (drawn[0] + drawn[1]) / 2, " ".join(drawn[2]))
        ),
        max_size=6,
    )
)
def test_however_segments_overlap_cues_do_not_and_no_word_is_lost(segments: list[Segment]) -> None:
    cues = lay_out(segments)
    assert all(one.start < one.end for one in cues)
    assert all(one.end <= following.start for one, following in pairwise(cues))
    shown = sorted(word for one in cues for line in one.lines for word in line.split())
    assert shown == sorted(word for one in segments for word in one.text.split())


@given(recordings(), st.floats(0, 2), st.sampled_from(["srt", "vtt"]))
def test_what_is_written_while_it_lasts_is_what_is_written_of_the_whole(
    segments: list[Segment], rest: float, name: SubtitleName
) -> None:
    duration = segments[-1].end + rest if segments else rest
    stream = SubtitleStream(name)
    parts = [stream.add(one) for one in segments]
    for count, part in enumerate(parts, 1):
        told = [one for one in segments[:count] if one.text]
        assert bool(part) is (len(told) > 1 and bool(segments[count - 1].text))  # one segment waits, no more
    assert "".join(parts) + stream.finish(duration) == write_subtitles(lay_out(segments, duration), name)


TALK = [
    segment(0.3, 2.5, "Guten Morgen."),
    segment(3.0, 9.25, LONG),
    segment(10.0, 16.0, ARABIC),
    segment(17.0, 18.0, "42"),
    segment(18.0, 20.0, "Das Aktenzeichen lautet in diesem Jahr also 20242025"),
    segment(3600.5, 3602.0, "Eine Stunde später: 1 < 2 && 3 > 2 --> ja"),
]


def test_srt() -> None:
    assert write_subtitles(lay_out(TALK[:2]), "srt") == (
        "1\n00:00:00,300 --> 00:00:02,500\nGuten Morgen.\n\n"
        "2\n00:00:03,000 --> 00:00:06,000\nGestern sind wir mit dem\nZug nach Hamburg gefahren.\n\n"
        "3\n00:00:06,000 --> 00:00:10,000\nDas Wetter war so schlecht,\ndass niemand mit dem Auto fahren wollte.\n\n"
    )


def test_webvtt_has_entities_where_markup_would_begin() -> None:
    assert write_subtitles(lay_out(TALK[-1:]), "vtt") == (
        "WEBVTT\n\n1\n01:00:00.500 --> 01:00:02.912\nEine Stunde später: 1 &lt; 2 &amp;&amp; 3 &gt; 2 --&gt; ja\n\n"
    )


def test_what_pysubs2_takes_for_tags_stays_text() -> None:
    assert write_subtitles([Cue(0, 1000, (r"C:\new {\i1}\h",))], "srt") == (
        "1\n00:00:00,000 --> 00:00:01,000\n" + r"C:\new {\i1}\h" + "\n\n"
    )


def test_the_clock_goes_on_after_a_hundred_hours() -> None:
    with warnings.catch_warnings(action="error"):
        written = write_subtitles(lay_out([segment(360_000, 360_001, "Immer noch.")]), "vtt")
    assert "100:00:00.000 --> 100:00:01.000" in written


def ffmpeg_reads(text: str, container: str) -> list[Cue]:
    """The cues as FFmpeg's demuxer and decoder understand them."""
    cues = []
    with av.open(io.BytesIO(text.encode()), format=container) as opened:
        stream = opened.streams.subtitles[0]
        for packet in opened.demux(stream):
            if not packet.size:
                continue
            (subtitle,) = packet.decode()
            start, duration = (round(float(ticks * packet.time_base) * 1000) for ticks in (packet.pts, packet.duration))
            event = subtitle.ass.decode().split(",", 8)[-1]
            cues.append(Cue(start, start + duration, tuple(event.split("\\N"))))
    return cues


@pytest.mark.parametrize(("name", "container"), [("srt", "srt"), ("vtt", "webvtt")])
class TestReaders:
    def test_ffmpeg_reads_every_cue(self, name: SubtitleName, container: str) -> None:
        cues = lay_out(TALK)
        assert len(cues) > len(TALK)
        assert ffmpeg_reads(write_subtitles(cues, name), container) == cues

    def test_pysubs2_reads_every_cue(self, name: SubtitleName, container: str) -> None:
        cues = lay_out(TALK[:-1])  # it leaves entities as they are
        read = SSAFile.from_string(write_subtitles(cues, name))
        assert [Cue(one.start, one.end, tuple(one.plaintext.split("\n"))) for one in read] == cues

    def test_an_hour_of_talk(self, name: SubtitleName, container: str) -> None:
        texts = [LONG, ARABIC, "Ja.", "Nicht jetzt, bitte!", "1999"]
        talk = [segment(n * 6 + 0.25, n * 6 + 5.5, texts[n % len(texts)]) for n in range(600)]
        cues = lay_out(talk, 3600)
        assert ffmpeg_reads(write_subtitles(cues, name), container) == cues


@pytest.fixture(scope="module")
def hour() -> tuple[list[Segment], float]:
    """What `s2t2 translate --model demo` made of one hour of speech (scripts/check_long_recording.py --record)."""
    record = json.loads(gzip.decompress((DATA / "hour.json.gz").read_bytes()))
    parts = record["segments"]
    segments = [Segment(one["start"], one["end"], one["text"], one["raw_text"], one["score"]) for one in parts]
    return segments, record["duration"]


@pytest.mark.parametrize(("name", "container"), [("srt", "srt"), ("vtt", "webvtt")])
class TestHourOfSpeech:
    def test_others_read_what_was_written(
        self, hour: tuple[list[Segment], float], name: SubtitleName, container: str
    ) -> None:
        cues = lay_out(*hour)
        assert len(cues) > 700
        written = write_subtitles(cues, name)
        assert ffmpeg_reads(written, container) == cues
        assert [
            Cue(one.start, one.end, tuple(one.plaintext.split("\n"))) for one in SSAFile.from_string(written)
        ] == cues

    def test_the_rules_of_layout_hold_in_the_file(
        self, hour: tuple[list[Segment], float], name: SubtitleName, container: str
    ) -> None:
        segments, duration = hour
        cues = [
            (one.start, one.end, one.plaintext.split("\n"))
            for one in SSAFile.from_string(write_subtitles(lay_out(segments, duration), name))
        ]
        starts = [round(one.start * 1000) for one in segments]
        for (start, end, lines), following in zip_longest(cues, cues[1:]):
            assert 1 <= len(lines) <= 2
            assert all(len(line) <= 42 for line in lines)
            seconds = (end - start) / 1000
            assert 0 < seconds <= 7
            if following is not None:
                assert end <= following[0]
            # Slow enough to read, or there was no more time: the next one is spoken, or the recording is over.
            next_start = next((one for one in starts if one > start), duration * 1000)
            has_room = next_start - end > 84
            assert not has_room or (len(" ".join(lines)) / seconds <= 17.1 and seconds >= 0.832)
        shown = [word for _, _, lines in cues for line in lines for word in line.split()]
        assert shown == [word for one in segments for word in one.text.split()]


class TestFormat:
    @staticmethod
    def result(text: str, segments: Sequence[Segment] = ()) -> TranslationResult:
        return TranslationResult("talk.mp3", "ok", "de", "m", 4.0, text, text, -0.1, segments=tuple(segments))

    def test_a_recording_that_was_not_cut_is_one_segment(self) -> None:
        rendered = make_format("srt").render(self.result("Guten Morgen."))
        assert rendered == "1\n00:00:00,000 --> 00:00:04,000\nGuten Morgen.\n\n"

    def test_segments_have_their_times(self) -> None:
        rendered = make_format("vtt").render(self.result("Ja. Nein.", [segment(1, 2, "Ja."), segment(3, 4, "Nein.")]))
        assert rendered == (
            "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\nJa.\n\n2\n00:00:03.000 --> 00:00:04.000\nNein.\n\n"
        )

    def test_silence_is_a_file_without_cues_and_a_failure_is_none(self, tmp_path: Path) -> None:
        failed = TranslationResult("bad.mp3", "error", error=AudioDecodeError("bad.mp3 is not audio"))
        with FolderWriter(tmp_path, make_format("srt")) as writer:
            writer.write(self.result(""), "still.srt")
            writer.write(failed, "bad.srt")
        assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("still.srt", "")]
        assert make_format("vtt").render(self.result("")) == "WEBVTT\n\n"

    def test_there_is_room_for_one_translation(self) -> None:
        with pytest.raises(UsageError, match="srt holds one translation; leave out --n-best, or use --format jsonl"):
            make_format("srt", n_best=True)
