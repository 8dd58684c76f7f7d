"""Join clips to a long recording with gaps, translate it, and compare with the clips and with their places.

    python scripts/check_long_recording.py CLIPS… --model FOLDER [--minutes 60] [--record FILE]

CLIPS are WAV files of one sentence each, 16 kHz mono, or folders of them. Says how many of them lie in exactly one
segment, how far the segments' times are from where speech begins and ends (35 dB below a clip's loudest 10 ms), how
many sentences are the same as of the clip alone, how much more memory a process takes than for ten seconds, and whether
the first line comes within 15 s of audio. Beside the share of equal sentences stands the same share for clips that have
only lost 10 ms at either end: no cutting can do better than the model's own steadiness. Exit status 1 if a bound of the
acceptance is missed.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2t2_cli import Translator
from s2t2_cli.audio import load_audio

RATE = 16_000
Samples = NDArray[np.int16]


def read(path: Path) -> Samples:
    return (load_audio(path).samples * 32_767).astype("<i2")


def write(path: Path, parts: list[Samples]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        for part in parts:
            file.writeframes(part.tobytes())


def spoken(samples: Samples) -> tuple[float, float]:
    """From when to when something is to be heard, in seconds."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(np.float64)
    powers = (frames**2).mean(axis=1)
    loud = np.flatnonzero(powers > powers.max() * 10**-3.5)
    return float(loud[0]) / 100, float(loud[-1] + 1) / 100


def join(clips: list[Path], seconds: float, chance: random.Random) -> tuple[list[Samples], list[tuple[float, Path]]]:
    """Clips with gaps of 0.5 to 2.5 s, and where each begins."""
    parts: list[Samples] = []
    places: list[tuple[float, Path]] = []
    count = 0
    while count < seconds * RATE:
        clip = chance.choice(clips)
        gap = np.zeros(round(chance.uniform(0.5, 2.5) * RATE), np.int16)
        places.append(((count + len(gap)) / RATE, clip))
        parts += [gap, read(clip)]
        count += len(gap) + len(parts[-1])
    return parts, places


def run(path: Path, model: str) -> tuple[dict[str, Any], float]:
    """The record of a recording, and the peak of the process in MB."""
    command = [sys.executable, "-m", "s2t2_cli", "translate", str(path), "--model", model, "--format", "jsonl", "-q"]
    process = subprocess.Popen([*command, "--segmentation", "vad"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    record = json.loads(process.stdout.read())
    _, _, usage = os.wait4(process.pid, 0)
    return record, usage.ru_maxrss / 1024


class FirstPart(io.RawIOBase):
    """A file that gives 15 s and the rest only after the first segment."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.go_on = threading.Event()
        self.was_waited_for = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._file.tell() >= 15 * RATE * 2 and not self.go_on.wait(0 if self.was_waited_for else 120):
            self.was_waited_for = True
        return self._file.readinto(memoryview(buffer)[:4_096])


def first_line_is_early(translator: Translator, path: Path) -> bool:
    file = FirstPart(path)
    for _ in translator.translate(file, segmentation="vad", on_segment=lambda *_: file.go_on.set()):  # type: ignore[arg-type]
        break
    return not file.was_waited_for


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--record", type=Path, help="gzip file for the recording's JSONL record, which a test reads")
    options = parser.parse_args()
    clips = [file for one in options.clips for file in (sorted(one.rglob("*.wav")) if one.is_dir() else [one])]
    work = options.work or Path(tempfile.mkdtemp())

    parts, places = join(clips, 60 * options.minutes, random.Random(options.seed))
    long, short, start = work / "long.wav", work / "short.wav", work / "start.wav"
    write(long, parts)
    whole = np.concatenate(parts)
    write(short, [whole[: 10 * RATE]])
    write(start, [whole[: 40 * RATE]])

    _, small = run(short, options.model)
    record, large = run(long, options.model)
    if options.record is not None:
        content = json.dumps({**record, "audio_filepath": long.name, "model": "demo"}, ensure_ascii=False)
        options.record.write_bytes(gzip.compress(content.encode(), mtime=0))
    translator = Translator.from_pretrained(options.model)
    used = sorted({clip for _, clip in places})
    alone = dict(zip(used, (one.text for one in translator.translate(used, segmentation="none")), strict=True))
    trimmed = [{"raw": read(clip)[160:-160], "sampling_rate": RATE} for clip in used]
    steady = sum(
        one.text == alone[clip] for one, clip in zip(translator.translate(trimmed), used, strict=True)
    )  # fmt: skip

    in_one = same = 0
    furthest = 0.0
    for begin, clip in places:
        first, last = (begin + one for one in spoken(read(clip)))
        hits = [one for one in record["segments"] if one["start"] < last and one["end"] > first]
        if len(hits) == 1:
            in_one += 1
            same += hits[0]["text"] == alone[clip]
            furthest = max(furthest, abs(hits[0]["start"] - first), abs(hits[0]["end"] - last))
    early = first_line_is_early(translator, start)

    count = len(places)
    print(f"{count} clips in {record['duration'] / 60:.1f} minutes, {len(record['segments'])} segments")
    print(f"in exactly one segment: {in_one}; times off by at most {furthest:.3f} s")
    print(f"same sentence as alone: {same / count:.1%}; with 10 ms less at either end: {steady / len(used):.1%}")
    print(f"peak memory: {large:.0f} MB, for ten seconds {small:.0f} MB; first line within 15 s: {early}")
    met = in_one == count and furthest <= 0.3 and same >= 0.95 * count and large - small <= 200 and early
    print("all bounds are met" if met else "a bound is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
