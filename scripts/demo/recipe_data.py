"""The folder that `scripts/recipe.py` wants: labelled and unlabelled clips, validation, test, text of other sentences.

What is labelled sounds as the synthesizer made it; all else runs too fast and too high, which a model has to learn.
What is tested, and what the language model reads, is about some topics; what is labelled and what is not, about all.

Knows: how the corpora are shared out, so that no sentence serves twice. Does not know: models.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from export_clips import manifest_row, write_wav
from speech_store import SAMPLING_RATE, Clip, ClipStore

from s2t2_cli.audio import load_audio

# Whoever comes first keeps a sentence.
PARTS = ("test", "valid", "train", "unlabelled")
TOPICAL = ("test", "valid")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path, nargs="+", metavar="CORPUS")
    for part in PARTS:
        parser.add_argument(
            f"--{part}",
            action="append",
            required=True,
            metavar="STORE[=COUNT]",
            help="a store, or its first clips",
        )
    parser.add_argument(
        "--topics", type=_names, required=True, help="families of validation, test and text, with commas between"
    )
    parser.add_argument("--speed", type=float, default=1.6, help="of all recordings but the labelled (default: 1.6)")
    parser.add_argument("--lang", default="de")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    lines = (line for corpus in options.corpora for line in corpus.read_text(encoding="utf-8").splitlines())
    rows = {row["id"]: row for row in map(json.loads, lines)}
    topical = {name: row for name, row in rows.items() if row["family"] in options.topics}
    heard: set[str] = set()
    answers: set[str] = set()
    for part in PARTS:
        manifest, sentences = [], set()
        for store, clip in _clips(getattr(options, part), topical if part in TOPICAL else rows, heard):
            sentences.add(rows[clip.row]["en"])
            answers.add(rows[clip.row][options.lang])
            path = options.output / "clips" / f"{part}-{store.folder.name}-{clip.name}.wav"
            samples = store.samples()[clip.start : clip.start + clip.length]
            if part != "train":
                samples = _faster(samples, options.speed)
            write_wav(path, samples.tobytes())
            line = manifest_row(path.relative_to(options.output), clip, rows[clip.row], options.lang)
            line["duration"] = round(len(samples) / SAMPLING_RATE, 3)
            if part == "unlabelled":
                line = {field: line[field] for field in ("audio_filepath", "duration")}
            manifest.append(json.dumps(line, ensure_ascii=False) + "\n")
        heard |= sentences
        (options.output / f"{part}.jsonl").write_text("".join(manifest), encoding="utf-8")
    others = (
        row[options.lang]
        for row in topical.values()
        if row["partition"] == "train" and row["source"] == "template" and row["en"] not in heard
    )
    text = "".join(f"{sentence}\n" for sentence in others if sentence not in answers)
    (options.output / "text.txt").write_text(text, encoding="utf-8")


def _faster(samples: npt.NDArray[np.int16], speed: float) -> npt.NDArray[np.int16]:
    """As a tape that runs too fast: shorter and higher by the factor, and nothing of the sound is lost below 5 kHz."""
    tape = {"array": samples.astype(np.float32) / 32768, "sampling_rate": round(SAMPLING_RATE * speed)}
    return (np.clip(load_audio(tape).samples, -1.0, 1.0) * 32767).astype(np.int16)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


def _clips(
    wanted: Iterable[str], rows: Mapping[str, Mapping[str, Any]], heard: Collection[str]
) -> Iterator[tuple[ClipStore, Clip]]:
    """The clips of the stores that say sentences among `rows` not in `heard`."""
    for one in wanted:
        folder, _, count = one.partition("=")
        store = ClipStore(Path(folder))
        unheard = (clip for clip in store.clips if clip.row in rows and rows[clip.row]["en"] not in heard)
        for clip in islice(unheard, int(count) if count else None):
            yield store, clip


if __name__ == "__main__":
    main()
