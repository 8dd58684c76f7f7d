"""What one update of the full-size model takes on this machine: seconds and peak memory, encoder frozen and learning.

    python scripts/bench_finetune.py [--batch-seconds 40] [--update-seconds 40] [--model DIR] [--limit-gb 24]

`s2t2 finetune` runs as a process of its own on the clips of the repository, from random weights of the published
sizes (332 million) or from --model. Peak memory is what the operating system says of the process, the file of the
weights included as far as it is mapped. Exit status 1 above --limit-gb.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from parity import clip_files
from s2t2_cli.audio import audio_seconds
from s2t2_cli.training.log import read_log

# wav2vec 2.0 Large and the decoder of arXiv 2104.06678, section 3.2.
ENCODER = {
    "model_type": "wav2vec2", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096, "feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True,
}  # fmt: skip
DECODER = {"vocab_size": 10_224}

TEXT = "Guten Morgen, wo ist der Bahnhof, und wann fährt heute der letzte Zug nach Hause?"


def prepare(folder: Path, seconds: float) -> None:
    """A manifest with at least so many seconds of real speech, configurations, and a tokenizer of a few letters."""
    lengths = {clip: audio_seconds(clip) for clip in clip_files()}
    rows: list[dict[str, object]] = []
    total = 0.0
    while total < seconds:
        for clip, length in lengths.items():
            rows.append({"audio_filepath": str(clip), "duration": length, "text": TEXT})
            total += length
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "encoder.json").write_text(json.dumps(ENCODER))
    (folder / "decoder.json").write_text(json.dumps(DECODER))
    bpe = [sys.executable, "-m", "s2t2_cli", "learn-bpe", folder / "train.jsonl", "--lang", "de", "--symbols", "5"]
    run([*map(str, bpe), "--output", str(folder / "bpe")])


def run(command: list[str]) -> tuple[float, float]:
    """Seconds and peak gigabytes of a process that has to succeed."""
    started = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"bench: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_maxrss / 2**20


def main() -> None:
    """Run both, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-seconds", type=float, default=40.0)
    parser.add_argument("--update-seconds", type=float, default=40.0)
    parser.add_argument("--model", help="start from this checkpoint instead of random weights")
    parser.add_argument("--limit-gb", type=float, default=24.0)
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, options.update_seconds)
        begin = ["--model", options.model] if options.model else ["--model", folder / "encoder.json"]
        begin += [] if options.model else ["--decoder", folder / "decoder.json", "--tokenizer", folder / "bpe"]
        for name, frozen in (("encoder frozen", 9), ("all learning", 0)):
            output = folder / name.replace(" ", "-")
            command = [
                sys.executable, "-m", "s2t2_cli", "finetune", *begin, "--train", folder / "train.jsonl", "--lang", "de",
                "--batch-seconds", options.batch_seconds, "--update-seconds", options.update_seconds,
                "--max-updates", 1, "--freeze-encoder-updates", frozen, "--device", "cpu", "--quiet", "-o", output,
            ]  # fmt: skip
            seconds, peak = run([str(one) for one in command])
            (line,) = read_log(output / "training")
            step = line["amount"] / line["speed"]
            print(
                f"{name}: one update of {line['amount']:.1f} s of audio took {step:.1f} s, the process {seconds:.0f} s;"
                f" peak {peak:.1f} GiB",
                flush=True,
            )
            worst = max(worst, peak)
    sys.exit(1 if worst > options.limit_gb else 0)


if __name__ == "__main__":
    main()
