"""Record what the reference makes of every parity case, for the tests that run without it.

    .venv-oracle/bin/python scripts/make_golden_parity.py

Writes `tests/golden/parity.json`: for each case and each batch of clips the ids, the scores, and the first and last
frame of the bridged encoder states. Weights are not stored: both sides make them from the case (`random_weights`).
Needs the oracle's environment (transformers 4.40.2).
"""

from __future__ import annotations

import json
import tempfile
import wave
from pathlib import Path

import numpy as np
import torch

import oracle
from parity_cases import GOLDEN_BATCHES, cases, golden_clips

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run all cases."""
    oracle.quiet()
    torch.set_num_threads(1)
    with wave.open(str(ROOT / "tests" / "data" / "goforward.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    clips = golden_clips(samples)
    golden = {}
    for case in cases(12):
        with tempfile.TemporaryDirectory() as scratch:
            oracle.make_checkpoint(case, Path(scratch))
            model = oracle.load(Path(scratch))
        batches = []
        for batch in GOLDEN_BATCHES:
            found = oracle.translate(model, [clips[one] for one in batch])
            entry = {"sequences": found["sequences"].tolist()}
            if "scores" in found:
                entry["scores"] = [round(float(score), 5) for score in found["scores"]]
            entry["encoder"] = [[round(float(x), 5) for x in found["encoder"][0, frame, :6]] for frame in (0, -1)]
            entry["logits"] = [round(float(x), 5) for x in found["logits"][0, :6]]
            batches.append(entry)
        golden[case["name"]] = batches
    file = ROOT / "tests" / "golden" / "parity.json"
    lines = [f"{json.dumps(name)}: {json.dumps(batches, separators=(',', ':'))}" for name, batches in golden.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
