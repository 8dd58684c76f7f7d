"""Clips of a store as WAV files with a manifest a language: what `s2t2 translate`, `finetune` and `evaluate` read.

Knows: stores, the corpus, our manifest. Does not know: models.
"""

from __future__ import annotations

import argparse
import json
import wave
from pathlib import Path
from typing import Any

from labels import LANGUAGES
from speech_store import SAMPLING_RATE, Clip, ClipStore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("stores", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True, help="receives clips/ and a manifest for each language")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first so many clips of each store")
    parser.add_argument("--clips", type=int, help="at most so many of each store")
    options = parser.parse_args()
    lines = options.corpus.read_text(encoding="utf-8").splitlines()
    rows = {row["id"]: row for row in map(json.loads, lines)}
    manifests: dict[str, list[dict[str, Any]]] = {lang: [] for lang in LANGUAGES}
    for folder in options.stores:
        store = ClipStore(folder)
        samples = store.samples()
        for clip in store.clips[options.skip :][: options.clips]:
            path = options.output / "clips" / f"{folder.name}-{clip.name}.wav"
            write_wav(path, samples[clip.start : clip.start + clip.length].tobytes())
            for lang, manifest in manifests.items():
                manifest.append(manifest_row(path.relative_to(options.output), clip, rows[clip.row], lang))
    for lang, manifest in manifests.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in manifest)
        (options.output / f"{lang}.jsonl").write_text(text, encoding="utf-8")


def manifest_row(path: Path, clip: Clip, row: dict[str, Any], lang: str) -> dict[str, Any]:
    """The row of a clip; `reference` stands beside the hypothesis in a translation's output."""
    return {
        "audio_filepath": path.as_posix(),
        "duration": round(clip.seconds, 3),
        "text": row[lang],
        "reference": row[lang],
        "transcript": row["en"],
        "voice": clip.speaker.get("voice") or "+".join(clip.speaker.get("blend", {})) or clip.engine,
        "source": row["source"],
        "family": row["family"],
    }


def write_wav(path: Path, pcm: bytes) -> None:
    """16-bit mono samples at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes(pcm)


if __name__ == "__main__":
    main()
