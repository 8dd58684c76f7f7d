"""The four checkpoints that were published with Speech2Text2 (arXiv 2104.06678).

Knows: their hub ids, languages, licence and the BLEU of their model cards.
Does not know: whether they are on this machine (inventory).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TARGET_LANGUAGE = re.compile(r"(?:en|demo)-([a-z]{2})$")


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """One published checkpoint; `bleu` is on the CoVoST 2 test set (table 2, row 10: no language model)."""

    lang: str
    language: str
    bleu: float
    licence: str = "MIT"

    @property
    def model_id(self) -> str:
        return f"facebook/s2t-wav2vec2-large-en-{self.lang}"


PUBLISHED = {
    one.lang: one
    for one in (
        PublishedCheckpoint("de", "German", 26.5),
        PublishedCheckpoint("tr", "Turkish", 17.5),
        PublishedCheckpoint("ca", "Catalan", 34.1),
        PublishedCheckpoint("ar", "Arabic", 20.2),
    )
}


def language_of(name: str) -> str | None:
    """The target language a model's name ends in, as the published and the bundled ones do."""
    found = _TARGET_LANGUAGE.search(Path(name).name)
    return found.group(1) if found else None
