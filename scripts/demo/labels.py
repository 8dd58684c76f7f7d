"""Sentences of the corpus as what training aims at: sub-words in four languages, and the sounds of the English.

Knows: tokenizers, the phonemes' alphabet, which rows train. Does not know: audio, the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from network import START
from speech_store import ClipStore

from s2t2_cli.subwords import learn
from s2t2_cli.text import MosesTokenizer
from s2t2_cli.tokenization import Speech2Text2Tokenizer

LANGUAGES = ("de", "tr", "ca", "ar")
DOMAIN = ("alarm", "calendar", "datetime", "transport", "weather")
# The sounds of misaki's American alphabet, units of the CTC behind the blank; stress, spaces and punctuation are not.
SOUNDS = {sound: place + 1 for place, sound in enumerate("AIOTWYbdfhijklmnpstuvwzæðŋɐɑɔəɛɜɡɪɹʃʊʌʒʤʧθᵊᵻ")}


@dataclass(frozen=True)
class Labels:
    """A sentence's ids: its phonemes, and its sub-words with the end token a language, None where untranslated."""

    phonemes: tuple[int, ...]
    translations: tuple[tuple[int, ...] | None, ...]


def joined_labels(sentences: Sequence[Labels]) -> Labels:
    """Labels of sentences that follow each other in one clip: one end token behind the last."""
    translations: list[tuple[int, ...] | None] = []
    for parts in zip(*(sentence.translations for sentence in sentences), strict=True):
        told = [part for part in parts if part is not None]
        whole = len(told) == len(parts)
        translations.append((*(token for part in told for token in part[:-1]), START) if whole else None)
    return Labels(tuple(sound for sentence in sentences for sound in sentence.phonemes), tuple(translations))


class Corpus:
    """Sentences with their labels; the sub-words are learnt from the training partition."""

    def __init__(self, path: Path, folder: Path, vocabulary: int, stores: Sequence[ClipStore]) -> None:
        self.rows = {row["id"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
        label_text = {lang: MosesTokenizer(lang) for lang in LANGUAGES}
        self.tokenizers = []
        for lang in LANGUAGES:
            target = folder / "tokenizers" / lang
            if not (target / "vocab.json").exists():
                texts = [row[lang] for row in self.rows.values() if row["partition"] == "train" and row[lang]]
                target.mkdir(parents=True, exist_ok=True)
                learn([label_text[lang](text) for text in texts], vocab_size=vocabulary).save_pretrained(target)
            self.tokenizers.append(Speech2Text2Tokenizer.from_pretrained(target))
        training = {name for name, row in self.rows.items() if row["partition"] == "train" and _in_domain(row)}
        spoken = {clip.row: clip.phonemes for store in stores for clip in store.clips if clip.row in training}
        self.labels = {
            row: Labels(
                tuple(SOUNDS[sound] for sound in phonemes if sound in SOUNDS),
                tuple(
                    (*tokenizer.encode(label_text[lang](self.rows[row][lang])), START) if self.rows[row][lang] else None
                    for lang, tokenizer in zip(LANGUAGES, self.tokenizers, strict=True)
                ),
            )
            for row, phonemes in spoken.items()
        }


def _in_domain(row: Mapping[str, Any]) -> bool:
    """All but MASSIVE's other scenarios, whose words would need more training than the demo is given."""
    return row["source"] != "massive" or row["family"] in DOMAIN
