"""Resident memory of one `s2t2 translate` over thousands of short clips: after the 200th result, and after the last.

    python scripts/bench_memory.py [--checkpoint FOLDER] [--clips 2000] [--rounds 1] [--threads 2] [--dtype float32]

The miniature checkpoint, whose own memory hides nothing, and then --checkpoint where that is another one. Clips of
varied length are cut from real speech. What the process holds is read from /proc whenever a line of output arrives
(Linux). The last results come as one batch, and the process leaves right after them: the last reading made while it
lived counts. Growth above 5 % is called FAIL; nothing else follows from it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarking import (
    MINIATURE,
    Search,
    clip_files,
    describe,
    environment,
    joined_clips,
    lengths_between,
    make_parser,
    weights_size,
    write_figures,
)

FIRST = 200
LIMIT = 0.05


def resident(pid: int) -> dict[str, int] | None:
    """Bytes that a process holds, in all and without files; None when it is over."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)
             if name in ("VmRSS", "RssAnon", "VmHWM")}  # fmt: skip
    return found if "VmRSS" in found else None  # a process that has ended keeps its name only


def watch(command: list[str], threads: int) -> tuple[list[dict[str, int]], int]:
    """Run to the end: a reading for each line of output while the process lives, and its peak in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(threads))
    assert process.stdout is not None
    readings = []
    number = 0
    for number, _ in enumerate(process.stdout, start=1):
        if now := resident(process.pid):
            readings.append({"line": number, **now})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {process.returncode}")
    print(f"{number} results; the last reading at {readings[-1]['line']}", flush=True)
    return readings, usage.ru_maxrss * 1024


def measure(checkpoint: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One run's figures."""
    command = [str(Path(sys.executable).with_name("s2t2")), "translate", str(folder), "--model", str(checkpoint)]
    command += ["--quiet", "--device", "cpu", "--dtype", options.dtype, "--threads", str(options.threads)]
    command += Search(options.beams, options.max_new_tokens or None).flags()
    if options.batch_seconds:
        command += ["--batch-seconds", str(options.batch_seconds)]
    readings, peak = watch(command, options.threads)
    after = next((one for one in readings if one["line"] >= FIRST), readings[0])
    last = readings[-1]
    growth = last["VmRSS"] / after["VmRSS"] - 1
    step = max(1, len(readings) // 100)
    return {
        "first": after,
        "last": last,
        "growth": round(growth, 4),
        "growth_anonymous": round(last["RssAnon"] / after["RssAnon"] - 1, 4),
        "verdict": "PASS" if growth <= LIMIT else "FAIL",
        "peak_mb": round(peak / 1e6, 1),
        "peak_to_weights": round(peak / weights_size(checkpoint), 3),
        "curve_mb": [[one["line"], round(one["VmRSS"] / 1e6, 1)] for one in readings[::step]],
    }


def main() -> None:
    """Make the clips, run, print, write."""
    parser = make_parser(__doc__, rounds=1)
    parser.set_defaults(checkpoint=MINIATURE)  # the full-size one takes an hour
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--shortest", type=float, default=0.3, help="seconds")
    parser.add_argument("--longest", type=float, default=2.5, help="seconds")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--max-new-tokens", type=int, default=5, help="0: as many as the checkpoint makes")
    parser.add_argument("--batch-seconds", type=float)
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        many = options.clips * options.longest
        lengths = lengths_between(options.shortest, options.longest, many)[: options.clips]
        joined_clips(clip_files(), lengths, Path(scratch))
        for checkpoint in dict.fromkeys([MINIATURE, options.checkpoint]):
            for _ in range(options.rounds):
                found = measure(checkpoint, Path(scratch), options)
                runs.append({"checkpoint": describe(checkpoint), "dtype": options.dtype, **found})
                print(
                    f"{found['verdict']}: {found['first']['VmRSS'] / 1e6:.1f} MB after result {found['first']['line']},"
                    f" {found['last']['VmRSS'] / 1e6:.1f} MB after the last ({found['growth']:+.1%});"
                    f" peak {found['peak_mb']:.0f} MB, {found['peak_to_weights']:.2f} of the weights",
                    flush=True,
                )
    figures = {"clips": options.clips, "audio_seconds": round(sum(lengths), 1), "runs": runs}
    write_figures("memory", options, options.checkpoint, figures)


if __name__ == "__main__":
    main()
