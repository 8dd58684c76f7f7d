"""How fast, against the reference, on this machine, in one run (`make bench`).

    python scripts/bench_translate.py [--checkpoint FOLDER] [--clip FILE] [--rounds 5] [--threads 2]

Both sides load the same checkpoint and translate the same clip, in processes of their own that stay warm and take
turns, so that a machine that slows down slows both. Tokens must be equal. What counts is the ratio of the medians.
The full-size random checkpoint of `make parity-full` is taken where it was made, else the bundled miniature.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ORACLE = ROOT / ".venv-oracle" / "bin" / "python"
FULL_SIZE = ROOT / ".cache" / "parity-full" / "checkpoint"
DATA = ROOT / "src" / "s2t2_cli" / "data"


def serve_ours(checkpoint: Path, clip: Path, threads: int) -> None:
    """Answer each line on standard input with a timed translation by this package."""
    import torch

    from s2t2_cli import SpeechEncoderDecoderModel, Wav2Vec2FeatureExtractor
    from s2t2_cli.audio import load_audio

    torch.set_num_threads(threads)
    model = SpeechEncoderDecoderModel.from_pretrained(checkpoint, dtype=torch.float32)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(checkpoint)
    inputs = extractor(load_audio(clip).samples, sampling_rate=16_000, return_tensors="pt")

    def encode() -> Any:
        with torch.no_grad():
            return model.encode(inputs["input_values"])

    serve(encode, lambda encoded: model.generate(encoder_outputs=encoded))


def serve_oracle(checkpoint: Path, clip: Path, threads: int) -> None:
    """The same by transformers 4.40.2."""
    import wave

    import numpy as np
    import torch

    import oracle

    oracle.quiet()
    torch.set_num_threads(threads)
    model = oracle.load(checkpoint)
    with wave.open(str(clip)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    inputs = oracle.features([samples])["input_values"]

    def encode() -> Any:
        with torch.no_grad():
            return model.encoder(inputs)

    serve(encode, lambda encoded: model.generate(encoder_outputs=encoded))


def serve(encode: Any, search: Any) -> None:
    """For each line read, one JSON line: seconds in the encoder, seconds in the search, ids."""
    for _ in sys.stdin:
        started = time.perf_counter()
        encoded = encode()
        middle = time.perf_counter()
        ids = search(encoded)
        record = {"encoder": middle - started, "search": time.perf_counter() - middle, "ids": ids[0].tolist()}
        print(json.dumps(record), flush=True)


class Side:
    """One of the two processes."""

    def __init__(self, python: Path | str, name: str, options: argparse.Namespace) -> None:
        command = [python, __file__, "--serve", name, "--checkpoint", options.checkpoint, "--clip", options.clip]
        self.process = subprocess.Popen(
            [*map(str, command), "--threads", str(options.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.records: list[dict[str, Any]] = []

    def turn(self) -> dict[str, Any]:
        """One translation."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n")
        stdin.flush()
        record: dict[str, Any] = json.loads(stdout.readline())
        return record


def main() -> None:
    """Take turns, print medians and ratios, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--clip", type=Path, default=DATA / "goforward.wav")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", choices=["ours", "oracle"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.checkpoint = options.checkpoint or (FULL_SIZE if FULL_SIZE.exists() else DATA / "miniature")
    if options.serve:
        (serve_ours if options.serve == "ours" else serve_oracle)(options.checkpoint, options.clip, options.threads)
        return
    ours, reference = Side(sys.executable, "ours", options), Side(ORACLE, "oracle", options)
    if ours.turn()["ids"] != reference.turn()["ids"]:  # also the warm-up
        sys.exit("bench: the two sides give different tokens")
    for _ in range(options.rounds):
        for side in (ours, reference):
            side.records.append(side.turn())
    for side in (ours, reference):
        side.process.stdin.close()  # type: ignore[union-attr]
        side.process.wait()
    figures: dict[str, Any] = {
        "checkpoint": options.checkpoint.name,
        "clip": options.clip.name,
        "rounds": options.rounds,
    }
    figures["tokens"] = len(ours.records[0]["ids"])
    for part in ("encoder", "search", "total"):
        medians = []
        for side in (ours, reference):
            values = [one["encoder"] + one["search"] if part == "total" else one[part] for one in side.records]
            medians.append(statistics.median(values))
        figures[part] = {"ours_s": round(medians[0], 4), "reference_s": round(medians[1], 4)}
        figures[part]["ratio"] = round(medians[1] / medians[0], 2)
        print(
            f"{part:8} ours {medians[0]:.3f} s   reference {medians[1]:.3f} s"
            f"   {medians[1] / medians[0]:.2f} times faster"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
