"""Recordings made small enough to live inside a page.

Knows: how audio becomes a `data:` address that browsers play. Does not know: the page, or where recordings lie.
"""

from __future__ import annotations

import base64
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError
from numpy.typing import NDArray

from s2t2_cli.audio import SAMPLING_RATE, load_audio

_CODEC = "libopus"
_BITS_PER_SECOND = 24_000
_FRAME = 960  # samples that Opus takes at a time: 60 ms at 16 kHz


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording as an address that needs no file; `duration` in seconds."""

    address: str
    duration: float


def make_clip(recording: Path) -> Clip:
    """The whole recording, mono: Opus in WebM, or WAV at 16 kHz where this FFmpeg has no Opus.

    Raises InputError for a recording that cannot be read.
    """
    audio = load_audio(recording)
    try:
        kind, data = "audio/webm", _opus(audio.samples)
    except (UnknownCodecError, FFmpegError):
        kind, data = "audio/wav", _wav(audio.samples)
    return Clip(f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}", audio.duration)


def _opus(samples: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm", options={"fflags": "+bitexact"}) as container:
        # For speech, and half as much work as the most careful way.
        options = {"application": "voip", "compression_level": "5", "frame_duration": "60"}
        stream: Any = container.add_stream(_CODEC, rate=SAMPLING_RATE, layout="mono", options=options)
        stream.bit_rate = _BITS_PER_SECOND
        pcm = np.clip(samples * 32768.0, -32768, 32767).astype(np.int16)
        for start in range(0, len(pcm), _FRAME):
            block = np.ascontiguousarray(pcm[start : start + _FRAME])[np.newaxis]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = SAMPLING_RATE
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _wav(samples: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes(np.clip(samples * 32768.0, -32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()
