"""The small checkpoints that come inside the package, so that a first translation needs no download.

Knows: their names, languages, what they understand and what they were made of.
Does not know: how they are read (resolution), whether they are what is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

DEMO = "demo"
"""What a user types; the language picks the checkpoint."""


@dataclass(frozen=True, slots=True)
class BundledCheckpoint:
    """One checkpoint of the package, in the published layout."""

    lang: str
    language: str
    licence: str = "Apache-2.0"

    @property
    def name(self) -> str:
        return f"{DEMO}-{self.lang}"

    @property
    def folder(self) -> Path:
        return Path(str(files("s2t2_cli") / "data" / DEMO / self.lang))


BUNDLED = {
    one.name: one
    for one in (
        BundledCheckpoint("de", "German"),
        BundledCheckpoint("tr", "Turkish"),
        BundledCheckpoint("ca", "Catalan"),
        BundledCheckpoint("ar", "Arabic"),
    )
}

ABOUT = {
    "understands": (
        "everyday assistant and travel sentences in clear English: greetings, numbers, clock times, weekdays and dates,"
        " alarms, calendar, weather, transport, where is / how much / I would like"
    ),
    "does not understand": "anything else: it answers with sentences of its own domain, fluent and wrong",
    "made of": (
        "synthetic speech (Kokoro-82M, hibari, flite), template sentences, MASSIVE 1.1 (CC BY 4.0), the Refugee"
        " Phrasebook (CC0); trained by scripts/demo"
    ),
    "for real work": "s2t2 models list shows the published checkpoints",
}
"""What a user must know before trusting it, fact by fact."""


def bundled_name(model: str, lang: str | None) -> str:
    """`demo` with a language is that language's checkpoint, alone the German one; any other name stays."""
    if model != DEMO:
        return model
    name = f"{DEMO}-{lang or 'de'}"
    return name if name in BUNDLED else model
