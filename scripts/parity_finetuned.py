"""Does the reference read what `s2t2 finetune` writes, and generate the same tokens? (`make parity`)

    python scripts/parity_finetuned.py

Trains two miniatures for a few updates: the bundled checkpoint, and a new decoder on an encoder of random weights with
sub-words of its own. Then transformers 4.40.2 loads the two folders and translates real clips. Exit status 1 if any
token differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from parity import ROOT, ask_oracle, clip_files, compare, other_answers, passes
from s2t2_cli.audio import load_audio

MINIATURE = ROOT / "tests" / "data" / "miniature"

SENTENCES = ["Guten Morgen!", "Wo ist der Bahnhof?", "heute zehn Uhr"]
S2T2 = [sys.executable, "-m", "s2t2_cli"]
COMMON = ["--lang", "de", "--lr", "0.003", "--freeze-encoder-updates", "5", "--update-seconds", "30", "--quiet"]
SETTINGS = {"max_length": 40}


def prepare(folder: Path) -> None:
    """A manifest, sub-words learned from it, and the configurations of the second model."""
    rows = [
        {"audio_filepath": str(clip), "text": SENTENCES[number % len(SENTENCES)]}
        for number, clip in enumerate(clip_files())
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = json.loads((MINIATURE / "config.json").read_text())["encoder"]
    (folder / "encoder.json").write_text(json.dumps(encoder))
    (folder / "decoder.json").write_text(json.dumps({"decoder_layers": 2, "d_model": 64, "decoder_ffn_dim": 128}))
    bpe = ["learn-bpe", folder / "train.jsonl", "--lang", "de", "--symbols", "20", "--output", folder / "bpe"]
    subprocess.run([*S2T2, *map(str, bpe)], check=True, stdout=subprocess.DEVNULL)


def starts(folder: Path) -> dict[str, list[str]]:
    """What each model starts from."""
    new = ["--model", folder / "encoder.json", "--tokenizer", folder / "bpe", "--decoder", folder / "decoder.json"]
    return {"from a checkpoint": ["--model", str(MINIATURE)], "new decoder": [str(one) for one in new]}


def main() -> None:
    """Train, ask both, print a line a model."""
    warnings.filterwarnings("ignore")
    clips = [load_audio(file).samples for file in clip_files()]
    batches = [[one] for one in range(len(clips))] + [list(range(len(clips)))]
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder)
        np.savez(folder / "clips.npz", **{f"{number:03d}": clip for number, clip in enumerate(clips)})
        jobs = []
        for name, start in starts(folder).items():
            output = folder / name.replace(" ", "-")
            data = ["--train", str(folder / "train.jsonl"), "--output", str(output), "--max-updates", "25"]
            subprocess.run([*S2T2, "finetune", *start, *data, *COMMON], check=True)
            jobs.append(
                {
                    "case": {"name": name}, "folder": str(output), "make": False, "batches": batches,
                    "settings": SETTINGS, "out": str(output.with_suffix(".npz")),
                }
            )  # fmt: skip
        ask_oracle({"clips": str(folder / "clips.npz"), "jobs": jobs}, folder)
        for job in jobs:
            found = compare(Path(job["folder"]), clips, batches, np.load(job["out"]), SETTINGS)
            failed += not passes(found)
            print(
                f"{job['case']['name']}: {found['same']} of {found['sequences']} sequences identical"
                f" ({found['tokens']} tokens), score {found['score']:.1e}, encoder {found['encoder']:.1e}"
                f"{other_answers(found['contradicted'])}"
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
