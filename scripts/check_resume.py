"""Kill a run again and again, go on with it each time, and compare with a run that nobody disturbed.

    python scripts/check_resume.py [--files 300] [--kills 20] [--seed 1] [--model FOLDER] [--work FOLDER]

Real processes and SIGKILL: at random moments while the program starts, and at random sizes of its output; now and then
the last line is torn, too. Some of the recordings are broken. Exit status 0 if the file is that of the undisturbed run,
line by line, and so is the exit status. Scores may differ by 1e-4, for a clip's batch mates are others after each kill.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_BROKEN_EVERY = 50
_TOLERANCE = 1e-4
_STARTING = 1.5  # seconds: about what the program takes until it has a model


def make_recordings(folder: Path, count: int, chance: random.Random) -> None:
    """`count` pieces of a real recording, of a third of a second to a second; some are not audio at all."""
    with wave.open(str(DATA / "goforward.wav")) as clip:
        rate, samples = clip.getframerate(), clip.readframes(clip.getnframes())
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:05d}.wav"
        if number % _BROKEN_EVERY == _BROKEN_EVERY // 2:
            path.write_bytes(b"this is not audio")
            continue
        start = chance.randrange(len(samples) // 2 - rate) * 2
        with wave.open(str(path), "wb") as piece:
            piece.setparams((1, 2, rate, 0, "NONE", ""))
            piece.writeframes(samples[start : start + chance.randrange(rate // 3, rate) * 2])


def translate(folder: Path, output: Path, model: str, *options: str) -> subprocess.Popen[bytes]:
    """Start a run over `folder`; small batches, so that lines come one by one."""
    program = [sys.executable, "-m", "s2t2_cli", "translate", str(folder), "--model", model, "--quiet"]
    return subprocess.Popen(
        [*program, "--format", "jsonl", "--output", str(output), "--batch-seconds", "2", "--threads", "1", *options],
        stderr=subprocess.DEVNULL,
    )


def kill_at(process: subprocess.Popen[bytes], output: Path, size: int, delay: float) -> bool:
    """SIGKILL `delay` seconds after `output` has grown to `size` bytes; False if the process ended before."""
    while process.poll() is None:
        if output.exists() and output.stat().st_size >= size:
            time.sleep(delay)
            process.kill()
            break
        time.sleep(0.001)
    return process.wait() == -9


def tear(output: Path, chance: random.Random) -> bool:
    """Cut the last line off anywhere within it, as a full disk or a power cut leaves it; False if there is none."""
    if not count_lines(output):
        return False
    content = output.read_bytes()
    start = content.rfind(b"\n", 0, len(content) - 1) + 1
    output.write_bytes(content[: chance.randrange(start, len(content))])
    return True


def are_equal(undisturbed: Path, killed: Path) -> bool:
    """Whether both files hold the same records in the same order."""
    expected, found = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] for path in (undisturbed, killed)
    )
    scores = [(one.pop("score", 0.0), other.pop("score", 0.0)) for one, other in zip(expected, found, strict=False)]
    return expected == found and all(abs(one - other) <= _TOLERANCE for one, other in scores)


def count_lines(output: Path) -> int:
    return output.read_bytes().count(b"\n") if output.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default=str(DATA / "miniature"))
    parser.add_argument("--work", type=Path, help="a folder that stays; otherwise one that goes")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as passing:
        work = arguments.work or Path(passing)
        work.mkdir(exist_ok=True)
        make_recordings(work / "recordings", arguments.files, chance)
        undisturbed, killed = work / "undisturbed.jsonl", work / "killed.jsonl"
        status = translate(work / "recordings", undisturbed, arguments.model).wait()
        size_in_the_end = undisturbed.stat().st_size

        kills = 0
        for size in sorted(chance.randrange(size_in_the_end) for _ in range(arguments.kills)):
            process = translate(work / "recordings", killed, arguments.model, "--resume")
            # One in five dies while it starts: whatever the file holds then, it is large enough.
            is_early = chance.random() < 0.2
            wait = chance.uniform(0, _STARTING) if is_early else chance.uniform(0, 0.02)
            kills += kill_at(process, killed, 0 if is_early else size, wait)
            torn = ", the last one torn" if chance.random() < 0.4 and tear(killed, chance) else ""
            print(f"kill {kills}: {count_lines(killed)} of {arguments.files} lines{torn}", flush=True)
        last = translate(work / "recordings", killed, arguments.model, "--resume").wait()

        if not are_equal(undisturbed, killed) or last != status:
            print(f"after {kills} kills the file is another, or exit status {last} is not {status}", file=sys.stderr)
            return 1
        print(f"{kills} kills, {count_lines(killed)} lines as if undisturbed, exit status {status}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
