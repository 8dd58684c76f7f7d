"""Make the miniature checkpoint of the tests, with what the reference says about it.

    .venv-oracle/bin/python scripts/make_miniature.py

Its weights are random: it proves that a way from sound to text works, and translates nothing. `s2t2 doctor`,
`make demo` and the tests use it. `expected.json` beside it holds the reference's tokens and score for the bundled clip.
Needs the oracle's environment (transformers 4.40.2) and the repository's `tests/data`.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import oracle
from parity_cases import cases

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "data" / "miniature"
CLIP = ROOT / "tests" / "data" / "goforward.wav"

WORDS = """
Ein Mann sagte zum Universum ich existiere gut Guten Morgen Tag Abend wo ist der Bahnhof die das und nicht wie viel
kostet heute morgen Uhr links rechts bitte danke zwei drei vier fünf sechs sieben acht neun zehn Straße Zug Wetter
"""
MARKS = [*'.,!?:;"', "'", "&apos;", "&quot;", "@-@"]


def subwords() -> tuple[dict[str, int], list[str]]:
    """A vocabulary of letters and words, and the merges that lead from the ones to the others."""
    letters = sorted({letter for word in WORDS.split() for letter in word})
    merges: list[str] = []
    for word in WORDS.split():
        piece = word[0]
        for place, letter in enumerate(word[1:], start=2):
            pair = f"{piece} {letter}" + ("</w>" if place == len(word) else "")
            if pair not in merges:
                merges.append(pair)
            piece += letter
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *MARKS, *WORDS.split(), *letters, *(letter + "@@" for letter in letters)]
    tokens = list(dict.fromkeys(tokens))
    # fairseq pads its dictionaries to a multiple of eight.
    tokens += [f"madeupword{number:04d}" for number in range(-len(tokens) % 8)]
    return {token: number for number, token in enumerate(tokens)}, merges


def main() -> None:
    """Write the folder."""
    oracle.quiet()
    vocabulary, merges = subwords()
    case = cases(0)[0]
    case["seed"] = 140
    case["encoder"] |= {"hidden_size": 32, "intermediate_size": 64, "conv_dim": [16] * 7}
    case["decoder"] |= {"vocab_size": len(vocabulary), "max_length": 200, "max_target_positions": 256, "init_std": 0.25}
    case["generation"] |= {"max_length": 20}
    case["eos_scale"] = 6.0
    FOLDER.mkdir(parents=True, exist_ok=True)
    oracle.make_checkpoint(case, FOLDER)
    binary = FOLDER / "pytorch_model.bin"
    state = torch.load(binary, weights_only=True)
    binary.unlink()
    save_file(state, FOLDER / "model.safetensors", metadata={"format": "pt"})
    (FOLDER / "vocab.json").write_text(json.dumps(vocabulary, indent=2, ensure_ascii=False) + "\n")
    (FOLDER / "merges.txt").write_text("\n".join(merges) + "\n")
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (FOLDER / "special_tokens_map.json").write_text(json.dumps(special))
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(special | {"tokenizer_class": "Speech2Text2Tokenizer"}))

    with wave.open(str(CLIP)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    model = oracle.load(FOLDER)
    found = oracle.translate(model, [samples])
    tokens = [int(token) for token in found["sequences"][0] if token != 2]
    (FOLDER / "expected.json").write_text(
        json.dumps({"tokens": tokens, "score": round(float(found["scores"][0]), 6)}) + "\n"
    )
    texts = {token: text for text, token in vocabulary.items()}
    print(" ".join(texts[token] for token in tokens), found["sequences"].shape, found["scores"])


if __name__ == "__main__":
    main()
