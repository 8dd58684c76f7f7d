"""Compare this package with the reference on checkpoints that really translate (`make parity`).

    python scripts/parity_demo.py [--clips FOLDER] [--record tests/golden/demo.json]

The four bundled checkpoints translate a hundred spoken sentences, one by one and in batches of eight, with their own
search settings. A trained model's beams differ by more than the order of float32 sums, so the tokens must be the same.
Exit status 1 if anything differs. `--record` keeps the reference's tokens for the tests.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from parity import ROOT, ask_oracle, compare, other_answers, passes
from s2t2_cli.audio import load_audio
from s2t2_cli.checkpoint.bundled import BUNDLED

SPOKEN = ROOT / "tests" / "data" / "spoken"


def main() -> None:
    """Ask both, print a line a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, default=SPOKEN, help="folder of recordings")
    parser.add_argument("--record", type=Path, help="write the reference's tokens, clip by clip, to this JSON file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    files = sorted(path for path in options.clips.iterdir() if path.suffix in (".opus", ".wav", ".flac"))
    clips = [load_audio(file).samples for file in files]
    batches = [[number] for number in range(len(clips))]
    batches += [list(range(first, min(first + 8, len(clips)))) for first in range(0, len(clips), 8)]
    failed = 0
    recorded: dict[str, dict[str, list[int]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / "clips.npz", **{f"{number:04d}": clip for number, clip in enumerate(clips)})
        jobs = [
            {
                "case": {"name": one.name},
                "folder": str(one.folder),
                "make": False,
                "batches": batches,
                "out": str(folder / f"{one.name}.npz"),
            }
            for one in BUNDLED.values()
        ]
        ask_oracle({"clips": str(folder / "clips.npz"), "jobs": jobs}, folder)
        for one, job in zip(BUNDLED.values(), jobs, strict=True):
            expected = np.load(str(job["out"]))
            recorded[one.lang] = {
                file.name: [int(token) for token in expected[f"{number}/sequences"][0] if token not in (1, 2)]
                for number, file in enumerate(files)
            }
            found = compare(one.folder, clips, batches, expected)
            failed += not passes(found)
            print(
                f"{one.name}: {found['same']} of {found['sequences']} sequences identical ({found['tokens']} tokens),"
                f" score {found['score']:.1e}, encoder {found['encoder']:.1e}, logits {found['logits']:.1e}"
                f"{other_answers(found['contradicted'])}",
                flush=True,
            )
    if options.record is not None:
        lines = [
            f"{json.dumps(lang)}: {json.dumps(tokens, separators=(',', ':'))}" for lang, tokens in recorded.items()
        ]
        options.record.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
