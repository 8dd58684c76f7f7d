"""Records what the ffmpeg program makes of a few recordings: tests/golden/audio.npz.

This is the reference's way to read a file: `ffmpeg -i FILE -ac 1 -ar 16000 -f f32le -` (ffmpeg 5.1.9 from Debian 12
made the recorded values). Needs that program and the package's own environment:

    .venv/bin/python scripts/make_golden_audio.py
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parent.parent
CLIP = REPOSITORY / "tests/data/goforward.wav"
GOLDEN = REPOSITORY / "tests/golden/audio.npz"

# Rate and channels of the 16-bit WAV files that are asked about.
CASES = [(8_000, 1), (11_025, 2), (16_000, 2), (22_050, 1), (44_100, 2), (48_000, 6)]
SECONDS = 0.05


def main() -> None:
    with wave.open(str(CLIP)) as clip:
        clip.setpos(16_000)
        speech = np.frombuffer(clip.readframes(8_000), np.int16)
    recorded: dict[str, NDArray[np.generic]] = {}
    for rate, channels in CASES:
        # The speech played faster or slower, each channel a little later than the one before.
        length = round(SECONDS * rate)
        given = np.stack([speech[10 * channel :][:length] for channel in range(channels)], axis=1)
        recorded[f"given_{rate}_{channels}"] = given
        recorded[f"expected_{rate}_{channels}"] = from_ffmpeg(wav(given, rate))
    np.savez_compressed(GOLDEN, **recorded)
    print(f"wrote {GOLDEN.relative_to(REPOSITORY)} ({GOLDEN.stat().st_size} bytes)", file=sys.stderr)


def wav(samples: NDArray[np.int16], rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((samples.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def from_ffmpeg(content: bytes) -> NDArray[np.float32]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(content)
        file.flush()
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", file.name]
        command += ["-ac", "1", "-ar", "16000", "-f", "f32le", "-"]
        return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, "<f4")


if __name__ == "__main__":
    main()
