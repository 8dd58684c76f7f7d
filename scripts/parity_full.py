"""One full-size random checkpoint in the published layout against the reference (`make parity-full`).

    python scripts/parity_full.py [--clips FOLDER] [--keep FOLDER]

Makes what a published repository holds (`pytorch_model.bin` of 1.3 GB, vocabulary of 10,224, merges), lets the
reference translate every clip, one by one and in batches of four, and then translates the folder with `s2t2
translate` as a user would. Tokens must be identical and scores within 1e-4; encoder states are compared too.
Clips: `../shared/data/speech` where it is there, else the recordings in `tests/data`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from parity import ROOT, TOLERANCE, ask_oracle, clip_files, compare, other_answers, passes
from s2t2_cli.audio import load_audio

VOCABULARY = 10_224
SHARED_CLIPS = ROOT.parent / "shared" / "data" / "speech"

CASE: dict[str, Any] = {
    "name": "full-size",
    "seed": 2104_06678,
    "encoder": {
        "model_type": "wav2vec2",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "conv_bias": True,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "num_conv_pos_embeddings": 128,
        "num_conv_pos_embedding_groups": 16,
        "initializer_range": 0.02,
    },
    "decoder": {
        "model_type": "speech_to_text_2",
        "vocab_size": VOCABULARY,
        "d_model": 256,
        "decoder_layers": 7,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 2048,
        "max_target_positions": 1024,
        # A wide output layer, so that a step is not a tie among ten thousand tokens.
        "init_std": 0.12,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "num_hidden_layers": 12,
    },
    "generation": {"num_beams": 5, "max_length": 200, "early_stopping": True},
    "generation_file": True,
    "weight_norm": "published",
    "file_dtype": "float32",
    "eos_scale": 2.5,
}


# The published settings, with which random weights repeat one token to the end; and a greedy search that may use each
# token once. (With beams such a search is a chain of near ties among ten thousand alike tokens, which float32 sums in
# another order settle otherwise: it would say nothing about the search.)
SEARCHES: dict[str, dict[str, Any]] = {
    "published": {},
    "varied": {"num_beams": 1, "no_repeat_ngram_size": 1, "max_length": 60},
}


def write_vocabulary(folder: Path) -> None:
    """10,224 random sub-words and the merges that make them, in the published files' form."""
    rng = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyzäöüßABCDEFGHIJKLMNOPQRSTUVWXYZ"
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(letter + "@@" for letter in letters), *',.!?:;"']
    merges: list[str] = []
    inner, known = list(letters), set(tokens)
    while len(tokens) < VOCABULARY - 4:
        left, right, last = rng.choice(inner), rng.choice(letters), rng.random() < 0.5
        token = left + right + ("" if last else "@@")
        if token not in known and len(token) < 12:
            known.add(token)
            tokens.append(token)
            merges.append(f"{left} {right}{'</w>' if last else ''} {rng.randint(1, 9999)}")
            if not last:
                inner.append(left + right)
    tokens += [f"madeupword{number:04d}" for number in range(VOCABULARY - len(tokens))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps(special | {"tokenizer_class": "Speech2Text2Tokenizer"}))


def command_line(checkpoint: Path, files: list[Path], form: str, settings: dict[str, Any]) -> list[str]:
    """The lines that `s2t2 translate` prints for the clips."""
    command = [sys.executable, "-m", "s2t2_cli", "translate", "--model", str(checkpoint), "--format", form, "--quiet"]
    command += ["--tokens"] if form == "jsonl" else []
    if settings:
        command += ["--num-beams", str(settings["num_beams"]), "--max-new-tokens", str(settings["max_length"] - 1)]
        command += ["--no-repeat-ngram-size", str(settings["no_repeat_ngram_size"])]
    done = subprocess.run([*command, *map(str, files)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def check_command_line(checkpoint: Path, files: list[Path], expected: Any, settings: dict[str, Any]) -> int:
    """How many clips `s2t2 translate` gets wrong, against the reference's one-by-one results."""
    wrong = 0
    records = [json.loads(line) for line in command_line(checkpoint, files, "jsonl", settings)]
    assert [record["audio_filepath"] for record in records] == [str(file) for file in files], "order"
    for number, record in enumerate(records):
        tokens = [int(token) for token in expected[f"{number}/sequences"][0][1:]]
        tokens = tokens[:-1] if tokens[-1] == 2 else tokens
        scores = expected.get(f"{number}/scores", [record["score"]])  # the reference has none for greedy search
        gap = abs(record["score"] - float(scores[0]))
        if record["tokens"] != tokens or gap > TOLERANCE:
            wrong += 1
            print(f"{record['audio_filepath']}: DIFFERS, score by {gap:.1e}")
    texts = command_line(checkpoint, files, "text", settings)
    assert [line.partition("\t")[2] for line in texts] == [record["text"] for record in records], "text and JSONL"
    kinds = len({token for record in records for token in record["tokens"]})
    print(
        f"s2t2 translate: {len(records) - wrong} of {len(records)} clips give the reference's tokens and scores "
        f"({kinds} different tokens)",
        flush=True,
    )
    return wrong


def main() -> None:
    """Make, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="folder of 16 kHz recordings")
    parser.add_argument("--keep", type=Path, default=ROOT / ".cache" / "parity-full", help="where the files go")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    folder = options.clips or SHARED_CLIPS
    files = sorted(folder.glob("*.wav"))
    if not files:
        print(f"no recordings in {folder}: taking those of the repository", file=sys.stderr)
        files = clip_files()
    checkpoint = options.keep / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    clips = [load_audio(file).samples for file in files]
    np.savez(options.keep / "clips.npz", **{f"{number:03d}": clip for number, clip in enumerate(clips)})
    batches = [[number] for number in range(len(clips))]
    batches += [list(range(first, min(first + 4, len(clips)))) for first in range(0, len(clips), 4)]
    jobs = [
        {
            "case": CASE,
            "folder": str(checkpoint),
            "make": number == 0 and not (checkpoint / "pytorch_model.bin").exists(),
            "batches": batches,
            "settings": settings,
            "out": str(options.keep / f"{name}.npz"),
        }
        for number, (name, settings) in enumerate(SEARCHES.items())
    ]
    write_vocabulary(checkpoint)
    if missing := [job for job in jobs if not Path(str(job["out"])).exists()]:
        ask_oracle({"clips": str(options.keep / "clips.npz"), "jobs": missing}, options.keep)
    failed = 0
    for name, settings in SEARCHES.items():
        expected = np.load(options.keep / f"{name}.npz")
        wrong = check_command_line(checkpoint, files, expected, settings)
        found = compare(checkpoint, clips, batches, expected, settings)
        print(
            f"{name} search: {found['same']} of {found['sequences']} sequences identical ({found['tokens']} tokens), "
            f"score {found['score']:.1e}, encoder {found['encoder']:.1e}, logits {found['logits']:.1e}"
            f"{other_answers(found['contradicted'])}",
            flush=True,
        )
        failed += bool(wrong) or not passes(found)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
