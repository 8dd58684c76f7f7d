"""Record what the reference says about training: losses, gradients, how much SpecAugment hides.

    .venv-oracle/bin/python scripts/make_golden_training.py

Writes `tests/golden/training.json`. Of each gradient it holds the norm and the product with fixed random numbers, two
figures that a wrong gradient has no way to share. Needs the oracle's environment (transformers 4.40.2).
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import torch

import oracle

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"

# Stretches of the bundled clip, in samples, and labels for the miniature checkpoint, which end in the end token 2.
STRETCHES = [(0, 30_000), (12_000, 28_000), (5_000, 40_000)]
LABELS = [[17, 23, 9, 2], [40, 2, -100, -100], [51, 18, 2, -100]]

# Lengths of rows in frames, the width of the batch, prob, span, least.
MASKS = [
    ([49, 120, 31], 120, 0.15, 5, 2),
    ([300, 8, 40], 300, 0.15, 5, 0),
    ([499, 250], 499, 0.65, 10, 2),
    ([32, 32], 32, 0.25, 8, 1),
]
DRAWS = 4000


def main() -> None:
    """Write the file."""
    oracle.quiet()
    with wave.open(str(DATA / "goforward.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    clips = [samples[first:last] for first, last in STRETCHES]
    loss, gradients = oracle.loss_and_gradients(DATA / "miniature", clips, torch.tensor(LABELS))
    rows = {}
    for name, gradient in sorted(gradients.items()):
        numbers = np.random.RandomState(0).standard_normal(gradient.shape)
        rows[name] = [float(np.linalg.norm(gradient)), float((gradient * numbers).sum())]
    masks = [
        {"lengths": lengths, "width": width, "prob": prob, "span": span, "least": least}
        | {"hidden": oracle.masked_spans(lengths, width, prob, span, least, DRAWS)}
        for lengths, width, prob, span, least in MASKS
    ]
    golden = {"stretches": STRETCHES, "labels": LABELS, "loss": loss, "gradients": rows, "masks": masks}
    target = ROOT / "tests" / "golden" / "training.json"
    target.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"loss {loss:.4f}, {len(rows)} gradients")


if __name__ == "__main__":
    main()
