"""The frames of a recording's audio track, as far as they decode.

Knows: PyAV; which track is meant; how to go on after damage and how to notice that something is missing.
Does not know: where bytes come from, resampling.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import av.stream
from av import AudioFrame, AudioStream, Packet
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from s2t2_cli.audio.formats import IMAGES, PAUSING_CODECS, STATES_LENGTH, container_options
from s2t2_cli.audio.headers import is_iso_media, is_playlist, leaves_length_open, mp3_states_length, ogg_is_complete
from s2t2_cli.audio.iso_media import unfolded_entries
from s2t2_cli.audio.limits import FREE_INDEX_ENTRIES, bound_allocations, is_plausible
from s2t2_cli.audio.reading import Reader
from s2t2_cli.errors import AudioDecodeError, NoAudioStreamError

# PyAV 18 brought it; without it the pictures of a video are read and thrown away.
_DISCARD = getattr(av.stream, "Discard", None)

# A recording may end a little before its stated length: encoders count their delay differently.
_MISSING_SECONDS = 0.25

_TAGGED_DURATION = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d*)?)", re.ASCII)

# A jump of the timestamps is a stretch that is missing. Pausing codecs leave out up to 0.4 s of a pause at a time.
_JUMP_SECONDS = 0.1
_PAUSE_SECONDS = 0.5


@dataclass
class Defects:
    """What turned out to be wrong with a recording of which something decoded, and what it says of itself."""

    truncated: bool = False
    decode_errors: bool = False
    claimed_seconds: float | None = None
    """How long it is by its own account, from the first frame on; None where it leaves that open or guesses."""


def decode_frames(reader: Reader, name: str, defects: Defects) -> Iterator[AudioFrame]:
    """The frames of the default audio track, or of the first; `defects` is filled in on the way.

    Raises `AudioDecodeError` (not audio, or nothing of it decodes), `NoAudioStreamError`, and what reading raises.
    """
    with _open_container(reader, name) as container:
        stream = _choose_stream(container, name)
        stated = _stated_seconds(container, stream, reader)
        defects.claimed_seconds = stated if stated is not None else _wav_seconds(container, stream, reader)
        progress = _Progress(stream, container.format.name, reader)
        for packet in _packets(container, stream, reader, progress):
            try:
                frames = stream.codec_context.decode(packet)
            except FFmpegError:
                progress.failed()
                continue
            for frame in frames:
                if frame.samples and frame.sample_rate > 0:
                    reader.bore_fruit()
                    progress.decoded(frame)
                    if not is_plausible(progress.seconds, reader.received):
                        raise _unfolding(name, reader.received, progress.seconds)
                    yield frame
            if packet is not None and packet.is_corrupt:
                progress.cut_short()
    if not progress.seconds and (progress.failing or stream.duration):
        raise AudioDecodeError(f"nothing of the audio in {name} can be decoded; it is damaged")
    progress.judge(stated, defects)


def _unfolding(name: str, size: int, seconds: float) -> AudioDecodeError:
    return AudioDecodeError(
        f"{name} unfolds {size:,} bytes to {seconds / 3600:.1f} hours, as no recording does;"
        " it is damaged, or made to do harm"
    )


class _Progress:
    """How far decoding came and what it met."""

    def __init__(self, stream: AudioStream, container: str, reader: Reader) -> None:
        self._is_ogg = container == "ogg"
        self._ends_anywhere = leaves_length_open(reader.head)
        self._reader = reader
        self._longest_jump = _PAUSE_SECONDS if stream.codec_context.name in PAUSING_CODECS else _JUMP_SECONDS
        self._end: float | None = None  # of the last frame, by its timestamp
        self.seconds = 0.0  # decoded
        self.failing = False  # nothing has decoded since the last failure
        self._errors = False

    def decoded(self, frame: AudioFrame) -> None:
        self._errors |= self.failing
        self.failing = frame.is_corrupt
        length = frame.samples / frame.sample_rate
        if frame.time is not None:
            self._errors |= self._end is not None and frame.time - self._end > self._longest_jump
            self._end = frame.time + length
        self.seconds += length

    def failed(self) -> None:
        self.failing = True

    def cut_short(self) -> None:
        """A packet had fewer bytes than its container promised: an error unless it ends a WAV of open length."""
        self.failing |= not self._ends_anywhere

    def judge(self, stated: float | None, defects: Defects) -> None:
        """At the end: damage that nothing followed is a missing end."""
        reached = max(self.seconds, self._end or 0.0)
        # Where bytes were skipped without timestamps to tell, the sum says nothing about the end.
        missing = stated is not None and not self._errors and stated - reached > _MISSING_SECONDS
        # An Ogg states its length on its last page, so that what is missing then was before it.
        ends = self._is_ogg and ogg_is_complete(self._reader.tail)
        defects.decode_errors = self._errors or (missing and ends)
        defects.truncated = self.failing or ((missing or self._is_ogg) and not ends)


def stated_seconds(reader: Reader, name: str) -> float | None:
    """How long the recording is according to its container, None where that says nothing or would be a guess.

    What cannot be true of so few bytes counts as nothing said. Raises as `decode_frames` does where there is no
    audio track.
    """
    size = reader.size
    with _open_container(reader, name) as container:
        stated = _stated_seconds(container, _choose_stream(container, name), reader)
    return stated if stated is not None and is_plausible(stated, reader.received if size is None else size) else None


@contextmanager
def _open_container(reader: Reader, name: str) -> Iterator[InputContainer]:
    bound_allocations()
    _check_index(reader, name)
    try:
        # Tags in another encoding than UTF-8 are common, and of no interest here.
        container = av.open(reader, "r", container_options=container_options(), metadata_errors="replace")
    except FFmpegError as problem:
        reader.raise_pending()
        raise AudioDecodeError(_why_not_audio(reader, name)) from problem
    with container:
        reader.raise_pending()
        yield container


def _check_index(reader: Reader, name: str) -> None:
    if not is_iso_media(reader.head):
        return
    entries = unfolded_entries(reader.read_at)
    if entries > FREE_INDEX_ENTRIES and entries > (reader.size or 0):
        raise AudioDecodeError(
            f"{name} claims to hold {entries:,} pieces of sound or picture, more than it has bytes;"
            " it is damaged, or made to do harm"
        )


def _why_not_audio(reader: Reader, name: str) -> str:
    if not reader.received:
        return f"{name} is empty"
    if is_playlist(reader.head):
        return f"{name} is a playlist, which is not followed; name the recordings themselves"
    if is_iso_media(reader.head):
        return f"{name} is an MP4 or QuickTime file that is damaged or cut off before its index"
    return f"{name} is not audio, or not in a format that can be read here"


def _choose_stream(container: InputContainer, name: str) -> AudioStream:
    if not container.streams.audio:
        if container.format.name in IMAGES:
            raise NoAudioStreamError(f"{name} is an image, not a recording")
        raise NoAudioStreamError(f"{name} has no audio track (its format is {container.format.long_name})")
    decodable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not decodable:
        raise _undecodable(name)
    chosen = next((stream for stream in decodable if Disposition.default in stream.disposition), decodable[0])
    try:
        chosen.codec_context.open()
    except FFmpegError as problem:
        raise _undecodable(name) from problem
    for stream in container.streams:
        if stream is not chosen and _DISCARD is not None:
            stream.discard = _DISCARD.all
    return chosen


def _undecodable(name: str) -> AudioDecodeError:
    return AudioDecodeError(f"{name} holds audio of a kind that cannot be decoded here; convert it to FLAC")


def _packets(
    container: InputContainer, stream: AudioStream, reader: Reader, progress: _Progress
) -> Iterator[Packet[AudioStream] | None]:
    """The packets of `stream`, the one that empties the decoder last (None if the container broke off)."""
    try:
        for packet in container.demux(stream):
            reader.raise_pending()
            yield packet
    except FFmpegError:
        reader.raise_pending()
        yield None
        progress.failed()
    except IndexError:
        # PyAV stumbles over tracks that showed up on the way (FLV), after the last packet of all those it knew.
        return


def _stated_seconds(container: InputContainer, stream: AudioStream, reader: Reader) -> float | None:
    """How long the audio track is according to its container, where that is more than a guess."""
    if container.format.name not in STATES_LENGTH:
        return None
    if container.format.name == "mp3" and not mp3_states_length(reader.read_at):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Matroska: a tag that most writers add, or the length of the longest track.
    if found := _TAGGED_DURATION.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = found.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _wav_seconds(container: InputContainer, stream: AudioStream, reader: Reader) -> float | None:
    """What the header of a WAV says. A shorter one shows by its last packet, so it is not among those compared."""
    if container.format.name not in ("wav", "w64") or leaves_length_open(reader.head):
        return None
    return None if stream.duration is None or stream.time_base is None else float(stream.duration * stream.time_base)
