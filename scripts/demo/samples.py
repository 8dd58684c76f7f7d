"""Picks clips of the evaluation voices for the repository, compressed: `python scripts/demo/samples.py --help`.

Knows: stores, Ogg Opus and FLAC, our manifest. Does not know: models.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import av
import numpy as np
import numpy.typing as npt
from labels import LANGUAGES
from speech_store import SAMPLING_RATE, ClipStore

CODECS = {"opus": ("libopus", 24_000), "flac": ("flac", None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("stores", type=Path, nargs="+", help="stores of evaluation voices")
    parser.add_argument("--output", type=Path, required=True, help="receives the clips and manifest.jsonl")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--format", choices=sorted(CODECS), default="opus")
    parser.add_argument("--only", nargs="*", default=[], help="English sentences to take instead of random ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows = {row["id"]: row for row in map(json.loads, options.corpus.read_text(encoding="utf-8").splitlines())}
    places = [(store, clip) for folder in options.stores for store in [ClipStore(folder)] for clip in store.clips]
    if options.only:
        places = [(store, clip) for store, clip in places if rows[clip.row]["en"] in options.only]
    chosen = sorted(Random(options.seed).sample(range(len(places)), min(options.clips, len(places))))
    options.output.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, place in enumerate(chosen):
        store, clip = places[place]
        row, (voice,) = rows[clip.row], clip.speaker["blend"]
        path = options.output / f"{number:03d}-{voice}.{options.format}"
        encode(store.samples()[clip.start : clip.start + clip.length], path, *CODECS[options.format])
        record = {
            "audio_filepath": path.name,
            "duration": round(clip.seconds, 3),
            "voice": voice,
            "transcript": row["en"],
        }
        lines.append(json.dumps(record | {lang: row[lang] for lang in LANGUAGES}, ensure_ascii=False) + "\n")
    (options.output / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")


def encode(samples: npt.NDArray[np.int16], path: Path, codec: str, bit_rate: int | None) -> None:
    """16 kHz mono samples, compressed by FFmpeg."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else SAMPLING_RATE, layout="mono")
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLING_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


if __name__ == "__main__":
    main()
