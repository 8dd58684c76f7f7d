"""Record what the reference's tokenizer, feature extractor and processor do, for the tests that run without it.

    .venv-oracle/bin/python scripts/make_golden_text.py

Writes `tests/golden/text/*.json`. Each case carries the files of its checkpoint, so a test needs nothing else.
Needs the oracle's environment (transformers 4.40.2).
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import wave
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from transformers import Speech2Text2Processor, Speech2Text2Tokenizer, Wav2Vec2FeatureExtractor, logging

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "text"

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
PUBLISHED = {**SPECIAL, "tokenizer_class": "Speech2Text2Tokenizer"}
EXTRACTOR = {
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0,
    "return_attention_mask": True,
    "sampling_rate": 16000,
}

# Moses-tokenised, as the checkpoints were trained on.
SENTENCES = (
    'Ein Mann sagte zum Universum : " Sir , ich existiere ! "',
    "Das kostet 3,5 € , d. h. 5 % mehr ( z. B. 1.000 Euro ) .",
    "Wie geht ' s dir ? Ich weiß es nicht .",
    "Ankara ' da % 50 ' si geldi ; İstanbul ' un nüfusu arttı .",
    "L ' home s ' ha anat d ' aquí , se ' n va .",
    "« Bon dia » , va dir la noia del col · legi .",
    'قال : " مرحبا ، كيف حالك ؟ " ثم ذهب .',
    "I do n't know , we 're fine and he 's gone , I 've seen I 'm late .",
)


def token(content: str, **fields: bool) -> dict[str, Any]:
    """An entry of `added_tokens_decoder`."""
    usual = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word", "special"), False)
    return {"content": content, **usual, **fields}


def learn_merges(count: int) -> list[tuple[str, str]]:
    """The most frequent pairs of SENTENCES, one after the other."""
    words = [[*word[:-1], word[-1] + "</w>"] for sentence in SENTENCES for word in sentence.split()]
    merges: list[tuple[str, str]] = []
    for _ in range(count):
        pairs = Counter(pair for word in words for pair in pairwise(word))
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in words:
            for position in range(len(word) - 1):
                if tuple(word[position : position + 2]) == best:
                    word[position : position + 2] = ["".join(best)]
    return merges


def vocabulary(merges: list[tuple[str, str]], chance: random.Random) -> dict[str, int]:
    """Special tokens first, then most of the subwords there can be."""
    letters = {letter for sentence in SENTENCES for letter in sentence if not letter.isspace()}
    parts = [*sorted(letters), *sorted(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    subwords = [part.replace("</w>", "") if part.endswith("</w>") else part + "@@" for part in parts]
    kept = [one for one in dict.fromkeys(subwords) if chance.random() < 0.9]
    return {one: number for number, one in enumerate(["<s>", "<pad>", "</s>", "<unk>", *kept])}


def tokenizer_checkpoints() -> dict[str, dict[str, Any]]:
    """Name to files (JSON values, and text for merges.txt)."""
    chance = random.Random(7)
    merges = learn_merges(70)
    vocab = vocabulary(merges, chance)
    size = len(vocab)
    frequencies = "".join(f"{a} {b} {chance.randint(1, 999)}\n" for a, b in merges)
    plain = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    malformed = "\n\nx\n" + plain.replace("\n", "\r\n", 30) + f"{merges[0][0]} {merges[0][1]}\nE i\nunfinished line"
    published = {"vocab.json": vocab, "merges.txt": frequencies, "tokenizer_config.json": PUBLISHED}
    added = {str(size + 2): token("<x>"), str(size): token("<Y>", normalized=True), "0": token("<s>", special=True)}
    return {
        "published": {**published, "special_tokens_map.json": SPECIAL},
        "january 2024": {**published, "tokenizer_config.json": {**PUBLISHED, "model_max_length": 1024}},
        "no merges": {"vocab.json": vocab, "tokenizer_config.json": PUBLISHED},
        "only vocabulary and merges": {"vocab.json": vocab, "merges.txt": plain},
        "malformed merges": {**published, "merges.txt": malformed},
        "empty merges": {**published, "merges.txt": ""},
        "lower case": {**published, "tokenizer_config.json": {**PUBLISHED, "do_lower_case": True}},
        "no clean-up": {**published, "tokenizer_config.json": {**PUBLISHED, "clean_up_tokenization_spaces": False}},
        "other sides": {
            **published,
            "tokenizer_config.json": {
                **PUBLISHED, "padding_side": "left", "truncation_side": "left", "model_max_length": 5
            },
        },
        "added tokens": {
            **published,
            "tokenizer_config.json": {**PUBLISHED, "added_tokens_decoder": added, "do_lower_case": True},
            "special_tokens_map.json": {"bos_token": "<ignored>"},
        },
        "older added tokens": {
            **published,
            "special_tokens_map.json": {
                **SPECIAL, "bos_token": {"content": "<x>", "lstrip": True}, "additional_special_tokens": ["<Y>"]
            },
            "added_tokens.json": {"<x>": size + 1, "<z>": size},
        },
        "special tokens elsewhere": {
            **published,
            "tokenizer_config.json": {**PUBLISHED, "eos_token": ",", "mask_token": "<m>"},
        },
        "ids with gaps": {**published, "vocab.json": {one: number * 2 for one, number in vocab.items()}},
    }  # fmt: skip


TEXTS = (
    *SENTENCES,
    "",
    " \t\n",
    "<s> Ein Mann</s><pad> <unk>x <x>Mann <Y> <z> <m>",
    "ha@@ llo Mann@@",
    "MANN İSTANBUL ΑΣ ΣΑΣ <S>",
    "\u00a0Ein\u2003Mann\u2028sagte",
    "</w> a</w>b Ein</w>",
    "日本 😀 Einzigartigkeiten",
)

CALLS: tuple[dict[str, Any], ...] = (
    {"padding": True},
    {"padding": "max_length", "max_length": 6, "truncation": True},
    {"padding": "max_length", "max_length": 4},
    {"max_length": 3},
    {"max_length": 3, "truncation": False},
    {"truncation": True},
    {"padding": "longest", "pad_to_multiple_of": 8, "return_attention_mask": False},
    {"padding": "max_length"},
)


def record_tokenizer(folder: Path, chance: random.Random) -> dict[str, Any]:
    """All that one tokenizer says."""
    tokenizer = Speech2Text2Tokenizer.from_pretrained(folder)
    size = max(tokenizer.encoder.values())
    encodes = tokenizer.bpe_ranks is not None
    rows = [[chance.randint(0, size + 4) for _ in range(chance.randint(0, 16))] for _ in range(8)]
    rows += [[2, 4, 5, 2, 1], [5, 2], [5], [-1, 10**6, 3], []]
    record: dict[str, Any] = {
        "attributes": {
            name: getattr(tokenizer, name)
            for name in (
                "vocab_size", "bos_token", "eos_token", "unk_token", "pad_token", "bos_token_id", "eos_token_id",
                "unk_token_id", "pad_token_id", "all_special_tokens", "all_special_ids", "additional_special_tokens",
                "model_max_length", "padding_side", "truncation_side", "special_tokens_map",
            )
        } | {"special_tokens_map": {k: v for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}},
        "length": len(tokenizer),
        "added_vocab": tokenizer.get_added_vocab(),
        "decoded": [
            {
                "ids": row,
                "tokens": tokenizer.convert_ids_to_tokens(row),
                "text": tokenizer.decode(row),
                "skipped": tokenizer.decode(row, skip_special_tokens=True),
                "uncleaned": tokenizer.decode(row, clean_up_tokenization_spaces=False),
            }
            for row in rows
        ],
    }  # fmt: skip
    if encodes:
        record["encoded"] = [
            {"text": text, "tokens": tokenizer.tokenize(text), "ids": tokenizer.encode(text)} for text in TEXTS
        ]
        record["called"] = [
            {
                "options": options,
                "one": dict(tokenizer(TEXTS[0], **options)),
                "many": dict(tokenizer([*TEXTS[4:9]], **options)),
            }
            for options in CALLS
        ]
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_vocabulary(scratch)
        record["saved"] = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(Path(scratch).iterdir())
        }
    return record


def record_features() -> list[dict[str, Any]]:
    """Values here and there in what the extractor makes of parts of a real clip."""
    with wave.open(str(ROOT / "tests" / "data" / "goforward.wav")) as file:
        clip = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    batches = {
        "one": clip[:8000],
        "three": [clip[4000:9000], clip[:2500], np.zeros(700, np.float32)],
        "quiet": [clip[:3000] * np.float32(1e-4), clip[:400]],
    }
    options: tuple[dict[str, Any], ...] = (
        {"padding": True},
        {"padding": True, "return_attention_mask": False},
        {"padding": True, "return_attention_mask": True},
        {"padding": "max_length", "max_length": 6000},
        {"padding": "max_length", "max_length": 2000, "truncation": True, "pad_to_multiple_of": 512},
        {"padding": True, "max_length": 3000, "truncation": True},
        {"max_length": 300, "truncation": True},
    )
    records = []
    for settings in (EXTRACTOR, EXTRACTOR | {"return_attention_mask": False}, EXTRACTOR | {"do_normalize": False}):
        extractor = Wav2Vec2FeatureExtractor.from_dict(settings)
        for batch, raw_speech in batches.items():
            for option in options:
                found = extractor(raw_speech, sampling_rate=16000, return_tensors="np", **option)
                values = found["input_values"]
                places = np.linspace(0, values.shape[1] - 1, 9).astype(int)
                records.append({
                    "settings": settings,
                    "batch": batch,
                    "options": option,
                    "shape": values.shape,
                    "places": places.tolist(),
                    "values": [[float(f"{value:.8g}") for value in row] for row in values[:, places]],
                    "valid": found["attention_mask"].sum(-1).tolist() if "attention_mask" in found else None,
                })  # fmt: skip
    return records


def record_processor(files: dict[str, Any]) -> dict[str, Any]:
    """What comes of audio, of text and of both."""
    samples = [0.0, 1.0, 2.0, 3.0, 4.0]
    with tempfile.TemporaryDirectory() as scratch:
        write_files(Path(scratch), {**files, "preprocessor_config.json": EXTRACTOR})
        processor = Speech2Text2Processor.from_pretrained(scratch)
        audio, text = np.array(samples), list(SENTENCES[:2])
        calls = {
            "audio": processor(audio, sampling_rate=16000, return_tensors="np"),
            "text": processor(text=text, padding=True, return_tensors="np"),
            "both": processor(audio, text=text, sampling_rate=16000, padding=True, return_tensors="np"),
        }
    recorded = {name: {key: value.tolist() for key, value in found.items()} for name, found in calls.items()}
    return {"files": files, "samples": samples, "texts": text, "calls": recorded}


def write_files(folder: Path, files: dict[str, Any]) -> None:
    """Text as it is, all else as JSON."""
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        (folder / name).write_bytes(text.encode())


def main() -> None:
    """Write all golden files."""
    logging.set_verbosity_error()
    checkpoints = tokenizer_checkpoints()
    tokenizers = []
    for name, files in checkpoints.items():
        with tempfile.TemporaryDirectory() as scratch:
            write_files(Path(scratch), files)
            tokenizers.append({"name": name, "files": files, **record_tokenizer(Path(scratch), random.Random(name))})
    clean_up = [
        {"text": text, "clean": Speech2Text2Tokenizer.clean_up_tokenization(text)}
        for text in (*SENTENCES, "a ' b ' c . . . , ,", "ich ' un", " 's 'm n't", "x  . y ?  !", "")
    ]
    GOLDEN.mkdir(parents=True, exist_ok=True)
    golden = {
        "tokenizers": tokenizers,
        "features": record_features(),
        "processor": record_processor(checkpoints["published"]),
        "clean_up": clean_up,
    }
    for name, value in golden.items():
        rows = value if isinstance(value, list) else [value]
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
        (GOLDEN / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
