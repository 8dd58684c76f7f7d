"""The whole process for one clip, from a cached checkpoint: wall time and peak memory against the shortest script.

    python scripts/bench_process.py [--checkpoint FOLDER] [--clip FILE] [--rounds 5] [--threads 2] [--tokens 30]

`s2t2 translate` in float32 and int8, and the shortest script that does the same with the reference (`oracle.py
translate`), one process after the other, in turns. One run of each beforehand fills the caches: the converted and the
quantised copy of the weights, and the operating system's. Float32 must print the reference's text. Peak memory is what
the operating system says of the process, the mapped file of weights included as far as it was read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarking import (
    ORACLE,
    REFERENCE,
    ROOT,
    Search,
    add_dtypes,
    clip_files,
    environment,
    joined_clips,
    make_parser,
    our,
    say,
    seconds_of,
    summary,
    take_turns,
    weights_size,
    write_figures,
)


def run(command: list[str], threads: int) -> dict[str, Any]:
    """Seconds, peak bytes, and what a process printed that has to succeed."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(threads))
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": seconds, "peak": usage.ru_maxrss * unit, "text": text.strip()}


def commands(options: argparse.Namespace, clip: Path) -> dict[str, list[str]]:
    """What each side runs."""
    search = Search(options.beams, options.tokens or None)
    s2t2 = [str(Path(sys.executable).with_name("s2t2")), "translate", str(clip), "--model", str(options.checkpoint)]
    s2t2 += ["--no-detokenize", "--quiet", "--device", "cpu", "--threads", str(options.threads), *search.flags()]
    found = {our(dtype): [*s2t2, "--dtype", dtype] for dtype in options.dtypes}
    settings = [f"{name}={value}" for name, value in search.settings().items()]
    oracle = ROOT / "scripts" / "oracle.py"
    found[REFERENCE] = [str(ORACLE), str(oracle), "translate", str(options.checkpoint), str(clip), *settings]
    return found


def main() -> None:
    """Take turns, print, write."""
    parser = make_parser(__doc__, rounds=5)
    add_dtypes(parser)
    parser.add_argument("--clip", type=Path, help="recording to translate; by default 5 s of joined speech")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=30, help="0: as many as the checkpoint makes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        clip = options.clip or joined_clips(clip_files(), [5.0], Path(scratch))[0]
        sides = commands(options, clip)
        first = {name: run(command, options.threads) for name, command in sides.items()}
        if our("float32") in first and first[our("float32")]["text"] != first[REFERENCE]["text"]:
            sys.exit("bench: float32 prints another text than the reference")
        answers = take_turns(list(sides), options.rounds, lambda name: run(sides[name], options.threads))
        length = round(seconds_of(clip), 2)
    found = summary({name: [one["seconds"] for one in records] for name, records in answers.items()})
    weights = weights_size(options.checkpoint)
    peaks = {name: statistics.median(one["peak"] for one in records) for name, records in answers.items()}
    for name, one in found.items():
        one["peak_mb"] = round(peaks[name] / 1e6, 1)
        one["peak_to_weights"] = round(peaks[name] / weights, 3)
        one["peak_to_reference"] = round(peaks[name] / peaks[REFERENCE], 3)
    extra = {
        name: f"peak {one['peak_mb']:.0f} MB: {one['peak_to_weights']:.2f} of the weights, "
        f"{one['peak_to_reference']:.2f} of the reference's"
        for name, one in found.items()
    }
    say("whole process", found, extra)
    figures = {"clip_seconds": length, "beams": options.beams, "tokens": options.tokens, "sides": found}
    write_figures("process", options, options.checkpoint, figures)


if __name__ == "__main__":
    main()
