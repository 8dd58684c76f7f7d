"""Recordings made to do harm: a few bytes that would become gigabytes or days, or that lie about their length."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_fixtures import OneWay, encode, int16, tone, wav
from hostile_media import box, compressed_index, compressed_tag, endless_silence, fragmented, mp4, track
from s2t2_cli.audio import audio_seconds, iso_media, limits, load_audio, reading
from s2t2_cli.errors import AudioDecodeError, InputError, InputReadError

SECOND = tone(440, 1, 16_000)

# What each became before there were limits is noted beside it.
BOMBS = {
    "one track": mp4(track(80_000_000)),  # 2.8 GB
    "twenty tracks": mp4(*(track(10_000_000, number=number) for number in range(1, 21))),  # 7.0 GB
    "tracks within the limit of one allocation": mp4(
        *(track(4_000_000, number=number, reordered=True) for number in range(1, 21))
    ),
    "PCM in one chunk": mp4(track(4_000_000_000, ticks=1)),
    "PCM in chunks it has not": mp4(track(1_000, ticks=1, chunk=2**31)),
    "fragments": fragmented(1_000_000, tracks=20),  # 1.4 GB
    "an index where none belongs": mp4(box(b"edts", track(80_000_000))),
    "a compressed index": compressed_index(400),  # 1.0 GB
    "a compressed title": compressed_tag(encode(SECOND, 16_000, "mp3", "libmp3lame"), 400),  # 1.0 GB
    "a high rate and many channels": wav(int16(SECOND), rate=2**31 - 1, channels=64, stated=2**31),
}

_MEASURE = """
import json, pathlib, re, sys
from s2t2_cli.audio import load_audio
from s2t2_cli.errors import InputError

def memory(field):
    return int(re.findall(field + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[0]) // 1024

found = {}
load_audio(sys.argv[1])
for name in sys.argv[2:]:
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    try:
        outcome = f"{load_audio(name, name='talk').duration:.2f} s"
    except InputError as error:
        outcome = str(error)
    found[pathlib.Path(name).name] = memory("VmHWM") - before, outcome
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures a process as Linux tells it")
def test_a_few_bytes_do_not_become_gigabytes(tmp_path: Path, clip: Path) -> None:
    for name, content in BOMBS.items():
        (tmp_path / name).write_bytes(content)
    names = [str(tmp_path / name) for name in BOMBS]
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(clip), *names], capture_output=True, text=True, check=True, timeout=100
    )
    found = json.loads(run.stdout)
    assert found.keys() == BOMBS.keys()
    assert {name: megabytes for name, (megabytes, _) in found.items() if megabytes > 300} == {}
    assert found["a compressed title"][1] == "1.00 s"  # the tag is passed over, and the recording is there
    assert found["one track"][1] == (
        "talk claims to hold 80,000,000 pieces of sound or picture, more than it has bytes;"
        " it is damaged, or made to do harm"
    )


def test_the_index_of_an_honest_file_is_no_bomb() -> None:
    """Four million samples of a fixed size are a day of a telephone's speech, and PCM counts every sample."""
    assert iso_media.unfolded_entries(reader_of(mp4(track(limits.FREE_INDEX_ENTRIES)))) == limits.FREE_INDEX_ENTRIES
    honest = encode(SECOND, 16_000, "mov", "pcm_s16be")
    assert 0 < iso_media.unfolded_entries(reader_of(honest)) <= len(honest)
    assert iso_media.unfolded_entries(reader_of(encode(SECOND, 16_000, "ipod", "aac"))) == 0
    parts = encode(SECOND, 16_000, "mp4", "aac", options={}, seekable=True)
    assert iso_media.unfolded_entries(reader_of(parts)) == 0


@pytest.mark.parametrize(
    ("content", "entries"),
    [
        (box(b"moov", box(b"trak", track(7))), 7),
        (b"\0\0\0\1moov" + (16 + len(track(7))).to_bytes(8, "big") + track(7), 7),
        (b"\0\0\0\0moov" + track(7), 7),
        (b"\xff\xff\xff\xffmoov" + track(7), 7),
        (b"\0\0\0\4moov" + track(7), 0),
        (box(b"mdat", track(7)), 0),
        (box(b"moov", track(7), track(5)), 12),
        (box(b"moov", track(7))[:-20], 7),
        (b"", 0),
    ],
    ids=["nested", "64-bit size", "to the end", "too long", "too short", "not an index", "two", "cut off", "empty"],
)
def test_boxes_are_read_as_ffmpeg_reads_them(content: bytes, entries: int) -> None:
    assert iso_media.unfolded_entries(reader_of(content)) == entries


@given(st.binary(max_size=300).map(lambda noise: box(b"moov", box(b"trak", noise))) | st.binary(max_size=60))
def test_any_bytes_have_a_count(content: bytes) -> None:
    assert iso_media.unfolded_entries(reader_of(content)) >= 0


def reader_of(content: bytes) -> iso_media.ReadAt:
    return lambda offset, size: content[offset : offset + size]


def test_silence_without_end_in_a_few_bytes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = endless_silence(40)
    assert len(bomb) < 1_000
    assert load_audio(endless_silence(2)).duration == pytest.approx(2 * 65.535, abs=0.1)
    monkeypatch.setattr(limits, "FREE_SECONDS", 600)
    for source in (bomb, OneWay(bomb)):
        with pytest.raises(AudioDecodeError) as caught:
            load_audio(source, name="talk")
        assert "to 0.2 hours, as no recording does; it is damaged, or made to do harm" in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "size", "is_plausible"),
    [
        (3_600, 10, True),  # an hour of nothing is too little to care
        (10 * 3_600, 10 * 3_600 * 25, True),  # ten hours of silence as FLAC
        (100 * 3_600, 100 * 3_600 * 87, True),  # Codec 2 at 700 bit/s
        (3_601, 10, False),
        (-1, 10**9, False),
        (float("nan"), 10**9, False),
        (float("inf"), 10**9, False),
    ],
)
def test_how_long_so_many_bytes_may_last(seconds: float, size: int, is_plausible: bool) -> None:
    assert limits.is_plausible(seconds, size) is is_plausible


@pytest.mark.parametrize("stated", [b"99:59:59.900000000", b"999999999999:00:00", b"000000:99:99.90000"])
def test_a_length_that_cannot_be_true_is_measured_instead(stated: bytes) -> None:
    honest = encode(SECOND, 16_000, "matroska", "flac")
    tag = b"00:00:01.000000000"
    assert honest.count(tag) == 1
    assert audio_seconds(honest.replace(tag, stated)) == pytest.approx(1.0)


def test_a_wav_that_states_days_lasts_as_long_as_it_does() -> None:
    assert audio_seconds(wav(int16(SECOND), stated=2**31 - 4_096)) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [2**40, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_box_that_ends_nowhere_is_damage_like_any_other(size: int, tmp_path: Path) -> None:
    path = tmp_path / "talk"
    path.write_bytes(box(b"ftyp", b"isom\0\0\0\0isom") + b"\0\0\0\1free" + size.to_bytes(8, "big") + bytes(99))
    for source in (path, path.read_bytes()):
        with pytest.raises(AudioDecodeError, match="damaged or cut off before its index"):
            load_audio(source)


def test_a_pipe_without_end_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """An MP4 from a pipe is kept until its index is there, which may be at its end."""
    film = encode(SECOND, 16_000, "ipod", "aac")
    assert load_audio(OneWay(film)).duration == pytest.approx(1, abs=0.1)
    monkeypatch.setattr(limits, "MAX_COPY_BYTES", len(film) // 2)
    with pytest.raises(InputReadError, match="talk is of a kind that has to be kept whole, and larger than"):
        load_audio(OneWay(film), name="talk")


def test_a_pipe_may_hold_more_than_is_searched_for_a_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    film = encode(SECOND, 16_000, "ipod", "aac")
    monkeypatch.setattr(reading, "_FRUITLESS_BYTES", len(film) // 4)
    monkeypatch.setattr(reading, "_COPY_BYTES", 100)
    assert load_audio(OneWay(film)).warnings == ()


def test_a_container_of_a_thousand_tracks_is_refused_or_read() -> None:
    content = mp4(*(track(3, number=number) for number in range(1, 1_001)))
    with pytest.raises(InputError):
        load_audio(io.BytesIO(content))
