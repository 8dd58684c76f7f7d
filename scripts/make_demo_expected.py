"""Record what the reference makes of the bundled clip with the bundled German checkpoint (`s2t2 doctor` compares).

.venv-oracle/bin/python scripts/make_demo_expected.py
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
from transformers import Speech2Text2Tokenizer

import oracle

FOLDER = Path(__file__).resolve().parent.parent / "src" / "s2t2_cli" / "data" / "demo"


def main() -> None:
    """Write `expected.json` beside the checkpoints."""
    oracle.quiet()
    with wave.open(str(FOLDER / "clip.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    found = oracle.translate(oracle.load(FOLDER / "de"), [samples])
    ids = found["sequences"][0]
    expected = {
        "tokens": [int(token) for token in ids if token not in (1, 2)],
        "raw_text": Speech2Text2Tokenizer.from_pretrained(FOLDER / "de").decode(ids, skip_special_tokens=True),
        "score": round(float(found["scores"][0]), 6),
    }
    (FOLDER / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
