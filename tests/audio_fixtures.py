"""Recordings of many kinds, made on the spot with PyAV."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Kind of file: container, codec, rate it is written at. Those in EXACT give back the very samples, but for rounding.
EXACT = {
    "wav, 8 bit": ("wav", "pcm_u8", 16_000),
    "wav, 16 bit": ("wav", "pcm_s16le", 16_000),
    "wav, 24 bit": ("wav", "pcm_s24le", 16_000),
    "wav, 32 bit": ("wav", "pcm_s32le", 16_000),
    "wav, float32": ("wav", "pcm_f32le", 16_000),
    "wav, float64": ("wav", "pcm_f64le", 16_000),
    "flac": ("flac", "flac", 16_000),
    "flac in ogg": ("ogg", "flac", 16_000),
    "flac in matroska": ("matroska", "flac", 16_000),
    "alac": ("ipod", "alac", 16_000),
    "aiff": ("aiff", "pcm_s16be", 16_000),
    "au": ("au", "pcm_s16be", 16_000),
    "caf": ("caf", "pcm_s16le", 16_000),
    "wavpack": ("wv", "wavpack", 16_000),
    "tta": ("tta", "tta", 16_000),
    "wave64": ("w64", "pcm_s16le", 16_000),
}
LOSSY = {
    "wav, mu-law": ("wav", "pcm_mulaw", 8_000),
    "wav, a-law": ("wav", "pcm_alaw", 8_000),
    "wav, adpcm": ("wav", "adpcm_ima_wav", 16_000),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "mp3 at 8 kHz": ("mp3", "libmp3lame", 8_000),
    "m4a": ("ipod", "aac", 44_100),
    "mp4": ("mp4", "aac", 48_000),
    "aac": ("adts", "aac", 22_050),
    "opus": ("ogg", "libopus", 48_000),
    "opus in webm": ("webm", "libopus", 48_000),
    "mpeg-ts": ("mpegts", "aac", 48_000),
    "wma": ("asf", "wmav2", 44_100),
    "ac3": ("ac3", "ac3", 48_000),
}


def speech(path: Path, rate: int = 16_000) -> Samples:
    """The recording in a mono 16 kHz WAV file, shape (n,), at another rate if wanted."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])


def tone(hertz: float, seconds: float, rate: int) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(
    samples: Samples,
    rate: int,
    container: str,
    codec: str,
    *,
    layout: str = "mono",
    tags: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    seekable: bool = True,
) -> bytes:
    """A file of `samples`, shape (n,) or (channels, n)."""
    out = io.BytesIO() if seekable else OneWay()
    with av.open(out, "w", format=container) as file:
        file.metadata.update(tags or {})
        stream = file.add_stream(codec, rate=rate, layout=layout, options=options or {})
        stream.bit_rate = 64_000
        file.mux(_packets(stream, samples, rate, layout))
    return out.getvalue()


def encode_kind(samples: Samples, kind: str) -> bytes:
    """A file of one of the kinds above; `samples` have the rate of the kind."""
    container, codec, rate = (EXACT | LOSSY)[kind]
    return encode(samples, rate, container, codec)


def video(samples: Samples | None, container: str = "mp4", seconds: int = 1) -> bytes:
    """A moving picture, with sound (16 kHz, AAC) or without."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        pictures = file.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound = None if samples is None else file.add_stream("aac", rate=16_000, layout="mono")
        for number in range(10 * seconds):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode(None))
        if sound is not None:
            file.mux(_packets(sound, samples, 16_000, "mono"))
    return out.getvalue()


def two_tracks(first: Samples, second: Samples, default: int) -> bytes:
    """A Matroska file with two 16 kHz audio tracks; track number `default` (0 or 1) is marked as such."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        tracks = [file.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        for number, track in enumerate(tracks):
            track.disposition = av.stream.Disposition.default if number == default else 0
        for track, samples in zip(tracks, (first, second), strict=True):
            file.mux(_packets(track, samples, 16_000, "mono"))
    return out.getvalue()


def image(codec: str) -> bytes:
    """A picture file, `codec` png or mjpeg."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.time_base = 64, 48, Fraction(1, 25)
    context.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    return b"".join(map(bytes, [*context.encode(frame.reformat(format=context.pix_fmt)), *context.encode(None)]))


def wav(
    data: bytes, *, rate: int = 16_000, channels: int = 1, bits: int = 16, code: int = 1, stated: int | None = None
) -> bytes:
    """A WAV file by hand, for what no encoder would write; `stated` is the size its header gives the data."""
    align = channels * bits // 8
    header = struct.pack("<HHIIHH", code, channels, rate, rate * align % 2**32, align % 2**16, bits)
    size = len(data) if stated is None else stated
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + body


def int16(samples: Samples) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


class OneWay(io.RawIOBase):
    """A binary stream that cannot seek, as a pipe; what is written to it is kept."""

    def __init__(self, content: bytes = b"", piece: int = 4_096) -> None:
        self._source = io.BytesIO(content)
        self._piece = piece
        self._written = bytearray()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self._source.read(min(self._piece, len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def getvalue(self) -> bytes:
        return bytes(self._written)


def likeness(found: Samples, wanted: Samples) -> float:
    """Correlation of two recordings, shifted against each other by up to 0.2 s for the best match."""
    size = len(found) + len(wanted)
    spectrum = np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size))
    shifts = np.fft.irfft(spectrum, size)
    near = np.concatenate([shifts[:3_200], shifts[-3_200:]])
    return float(near.max() / np.sqrt((found.astype(float) ** 2).sum() * (wanted.astype(float) ** 2).sum()))


def _packets(stream: av.AudioStream, samples: Samples, rate: int, layout: str) -> list[av.Packet]:
    # Interleaved: PyAV loses count of the planes of eight channels.
    interleaved = np.ascontiguousarray(np.atleast_2d(samples).T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return [*stream.encode(frame), *stream.encode(None)]
