"""Does this installation turn sound into the tokens it should?

Knows: the bundled clip, the bundled checkpoint that translates it and what the reference says about the two.
Does not know: the terminal, the user's own checkpoints.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from s2t2_cli.checkpoint.bundled import DEMO, bundled_name

# The reference's score on another machine; float32 sums in another order differ by this much.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class SelfTestResult:
    """Whether the way from the bundled recording to text works, one sentence about it, and the seconds it took."""

    ok: bool
    detail: str
    seconds: float


def bundled_clip() -> Path:
    """A spoken sentence of the demo's domain (NOTICE names source and licence)."""
    return Path(str(files("s2t2_cli") / "data" / DEMO / "clip.wav"))


def expected_translation() -> dict[str, object]:
    """What the reference makes of the clip in German: `tokens`, `raw_text`, `score`."""
    expected: dict[str, object] = json.loads(bundled_clip().with_name("expected.json").read_text(encoding="utf-8"))
    return expected


def run_selftest() -> SelfTestResult:
    """Translate the bundled clip with the bundled German checkpoint and compare with the reference."""
    from s2t2_cli.translator import Translator

    started = time.perf_counter()
    expected = expected_translation()
    translator = Translator.from_pretrained(bundled_name(DEMO, "de"), device="cpu")
    result = next(translator.translate(bundled_clip()))
    seconds = time.perf_counter() - started
    if result.error is not None:
        return SelfTestResult(False, f"the bundled clip failed: {result.error}", seconds)
    if list(result.tokens) != expected["tokens"] or result.raw_text != expected["raw_text"]:
        return SelfTestResult(False, "the bundled clip gives other tokens than the reference", seconds)
    if result.score is None or abs(result.score - float(str(expected["score"]))) > _TOLERANCE:
        return SelfTestResult(
            False, f"the bundled clip scores {result.score}, the reference {expected['score']}", seconds
        )
    return SelfTestResult(True, f"the bundled clip says “{result.text}”, as the reference says", seconds)
