"""Does this installation turn sound into the tokens it should?

Knows: the bundled clip, the bundled miniature checkpoint (random weights) and what the reference says about the two.
Does not know: the terminal, the user's own checkpoints.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

# The reference's score on another machine; float32 sums in another order differ by this much.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class SelfTestResult:
    """Whether the way from the bundled recording to tokens works, one sentence about it, and the seconds it took."""

    ok: bool
    detail: str
    seconds: float


def bundled_clip() -> Path:
    """A real recording of 2.8 s, "go forward ten meters" (NOTICE names source and licence)."""
    return Path(str(files("s2t2_cli") / "data" / "goforward.wav"))


def miniature_checkpoint() -> Path:
    """A checkpoint in the published layout with random weights: it translates nothing, and always the same way."""
    return Path(str(files("s2t2_cli") / "data" / "miniature"))


def run_selftest() -> SelfTestResult:
    """Translate the bundled clip with the miniature checkpoint and compare with the reference's tokens and score."""
    from s2t2_cli.translator import Translator

    started = time.perf_counter()
    expected = json.loads((miniature_checkpoint() / "expected.json").read_text(encoding="utf-8"))
    translator = Translator.from_pretrained(miniature_checkpoint(), device="cpu")
    result = next(translator.translate(bundled_clip()))
    seconds = time.perf_counter() - started
    if result.error is not None:
        return SelfTestResult(False, f"the bundled clip failed: {result.error}", seconds)
    if list(result.tokens) != expected["tokens"]:
        return SelfTestResult(False, "the bundled clip gives other tokens than the reference", seconds)
    if result.score is None or abs(result.score - expected["score"]) > _TOLERANCE:
        return SelfTestResult(
            False, f"the bundled clip scores {result.score}, the reference {expected['score']}", seconds
        )
    return SelfTestResult(True, "the bundled clip gives the reference's tokens and score", seconds)
