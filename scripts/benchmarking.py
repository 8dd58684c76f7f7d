"""What the benchmarks share: options, clips of a given length, sides that take turns, summaries, result files.

Imported by scripts/bench_*.py. Standard library only, so that the process that measures stays small and starts no
threads of its own; what computes are the sides, processes of their own (benchmark_sides.py).

Knows: how to measure one against the other on a machine whose speed drifts. Does not know: any model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ORACLE = ROOT / ".venv-oracle" / "bin" / "python"
WHISPER = ROOT / ".venv-whisper" / "bin" / "python"
WHISPER_MODEL = ROOT / ".cache" / "whisper-base"
SIDES = ROOT / "scripts" / "benchmark_sides.py"
DATA = ROOT / "tests" / "data"
MINIATURE = DATA / "miniature"
FULL_SIZE = ROOT / ".cache" / "parity-full" / "checkpoint"
SPEECH = ROOT.parent / "shared" / "data" / "speech"
RESULTS = ROOT / "docs" / "benchmarks"

RATE = 16_000
REFERENCE = "reference"
DTYPES = ("float32", "int8")


def make_parser(description: str, *, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=FULL_SIZE if FULL_SIZE.exists() else MINIATURE,
        help="folder; by default the full-size random one of `make parity-full` where it was made, else the miniature",
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of each side, after one to warm up")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / machine_name(),
        help="folder for the figures; by default one in docs/benchmarks for each kind of processor",
    )
    return parser


def add_dtypes(parser: argparse.ArgumentParser) -> None:
    """The option that says which of ours take part."""
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES), help="what ours computes in")


# Clips


def clip_files(folder: Path | None = None) -> list[Path]:
    """The recordings of a folder; by default the shared ones where they are there, else the repository's."""
    folder = folder or (SPEECH if SPEECH.exists() else None)
    folders = [DATA] if folder is None else [folder]
    files = sorted(file for one in folders for file in one.glob("*.wav"))
    return files or sys.exit(f"bench: no .wav in {folder}")


def read_wave(path: Path) -> bytes:
    """The samples of a 16 kHz mono file, 16 bits each."""
    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            sys.exit(f"bench: {path} is not 16-bit mono at {RATE} Hz")
        return file.readframes(file.getnframes())


def seconds_of(path: Path) -> float:
    """Length of a recording."""
    return len(read_wave(path)) / 2 / RATE


def joined_clips(sources: Sequence[Path], seconds: Iterable[float], folder: Path) -> list[Path]:
    """Real speech cut to the given lengths: the sources end to end, over and over, each clip going on after the last.

    Written into `folder`, in this order.
    """
    speech = cycle([read_wave(path) for path in sources])
    folder.mkdir(parents=True, exist_ok=True)
    files, rest = [], b""
    for number, length in enumerate(seconds):
        size = 2 * round(length * RATE)
        while len(rest) < size:
            rest += next(speech)
        files.append(folder / f"{number:05d}.wav")
        with wave.open(str(files[-1]), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
            file.writeframes(rest[:size])
        rest = rest[size:]
    return files


def lengths_between(shortest: float, longest: float, total: float, seed: int = 0) -> list[float]:
    """Lengths drawn evenly between two, the same in every run, that add up to about `total`."""
    draw = random.Random(seed)
    lengths: list[float] = []
    while sum(lengths) < total:
        lengths.append(draw.uniform(shortest, longest))
    return lengths


# Sides


class Side:
    """One warm process that answers requests, a JSON object a line (see benchmark_sides.py)."""

    def __init__(self, name: str, python: Path | str, arguments: Iterable[object], threads: int) -> None:
        self.name = name
        if not Path(python).exists():
            sys.exit(f"bench: {name} needs {python}; `make bench` builds it")
        self._process = subprocess.Popen(
            [str(python), str(SIDES), *map(str, arguments), "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(threads),
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """What the side answers to one request."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"do": do, **request}, default=str) + "\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            sys.exit(f"bench: {self.name} ended while it was asked to {do}; its words are above")
        return answer

    def close(self) -> None:
        """No more requests."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def environment(threads: int) -> dict[str, str]:
    """A side's: its threads, and no look at the network."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}


@contextmanager
def started(options: argparse.Namespace, whisper: Path | None = None) -> Iterator[dict[str, Side]]:
    """Ours in each type of number, the reference, and faster-whisper if a model folder is given; by name."""
    with ExitStack() as stack:
        sides: dict[str, Side] = {}

        def start(name: str, python: Path | str, *arguments: object) -> None:
            sides[name] = Side(name, python, arguments, options.threads)
            stack.callback(sides[name].close)

        for dtype in options.dtypes:
            start(our(dtype), sys.executable, "ours", options.checkpoint, "--dtype", dtype)
        start(REFERENCE, ORACLE, "oracle", options.checkpoint)
        if whisper is not None:
            start("faster-whisper", WHISPER, "whisper", whisper)
        yield sides


def our(dtype: str) -> str:
    """What ours is called in the figures."""
    return f"ours {dtype}"


def take_turns(names: Sequence[str], rounds: int, turn: Callable[[str], Any]) -> dict[str, list[Any]]:
    """Every name's turn in each round, so that a machine that slows down slows all; answers by name, in order.

    The order is turned round from one round to the next, so that nobody always comes after the same one.
    """
    answers: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            answers[name].append(turn(name))
    return answers


# Figures


def summary(seconds: Mapping[str, Sequence[float]], reference: str = REFERENCE) -> dict[str, dict[str, Any]]:
    """By name: the median, how many times faster than the reference (median of the rounds' ratios), and each round."""
    figures: dict[str, dict[str, Any]] = {}
    for name, values in seconds.items():
        ratios = [slow / fast for slow, fast in zip(seconds[reference], values, strict=True)]
        figures[name] = {
            "seconds": round(statistics.median(values), 5),
            "times_faster": round(statistics.median(ratios), 3),
            "rounds": [round(value, 5) for value in values],
        }
    return figures


@dataclass(frozen=True)
class Search:
    """Settings that both sides understand. Equal work needs equal length: random weights seldom stop by themselves."""

    beams: int
    tokens: int | None
    """Exactly so many, the end token not included; None: the checkpoint's own limit, or where it stops."""

    def settings(self) -> dict[str, int]:
        """For `generate`, whose lengths count the start token."""
        lengths = {} if self.tokens is None else {"min_length": self.tokens + 1, "max_length": self.tokens + 1}
        return {"num_beams": self.beams, **lengths}

    def flags(self) -> list[str]:
        """For `s2t2 translate`."""
        flags = ["--num-beams", str(self.beams)]
        if self.tokens is not None:
            flags += ["--max-new-tokens", str(self.tokens), "--min-length", str(self.tokens + 1)]
        return flags


def cpu_model() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine_name() -> str:
    """What the processor calls itself, as the name of a folder: `intel-xeon`."""
    words = re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*", " ", cpu_model())
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "machine"


def machine(threads: int) -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "reference": "transformers 4.40.2",
    }


def describe(checkpoint: Path) -> dict[str, Any]:
    """Which checkpoint, without saying where on this machine."""
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder"]
    inside = checkpoint.resolve().is_relative_to(ROOT)
    return {
        "name": str(checkpoint.resolve().relative_to(ROOT)) if inside else checkpoint.name,
        "weights_mb": round(weights_size(checkpoint) / 1e6, 1),
        "encoder_layers": encoder["num_hidden_layers"],
        "encoder_width": encoder["hidden_size"],
    }


def weights_size(checkpoint: Path) -> int:
    """Bytes of the file of weights."""
    files = [checkpoint / name for name in ("pytorch_model.bin", "model.safetensors")]
    return next(file.stat().st_size for file in files if file.exists())


def write_figures(name: str, options: argparse.Namespace, checkpoint: Path, figures: Mapping[str, Any]) -> None:
    """One JSON file for each benchmark; the page in the docs is made of them."""
    head = {"machine": machine(options.threads), "checkpoint": describe(checkpoint), "rounds": options.rounds}
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / f"{name}.json"
    file.write_text(json.dumps({**head, **figures}, indent=2) + "\n", encoding="utf-8")
    print(f"written: {file}", flush=True)


def say(part: str, figures: Mapping[str, Mapping[str, Any]], extra: Mapping[str, str] | None = None) -> None:
    """A line for each side of a summary."""
    for name, one in figures.items():
        faster = "" if name == REFERENCE else f"{one['times_faster']:8.2f} times faster"
        print(f"{part:34} {name:24} {one['seconds']:9.3f} s {faster} {(extra or {}).get(name, '')}", flush=True)
