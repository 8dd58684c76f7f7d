"""The folder that `scripts/recipe.py` wants: labelled and unlabelled clips, validation, test, text of other sentences.

What is labelled is the synthesizer's own sound; all else is heard as if recorded elsewhere, which a model has to learn.

Knows: how the corpus is shared out, so that no sentence serves twice. Does not know: models.
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
from perturbation import perturbed
from speech_store import SAMPLING_RATE, Clip, ClipStore

# Whoever comes first keeps a sentence.
PARTS = ("test", "valid", "train", "unlabelled")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    for part in PARTS:
        parser.add_argument(
            f"--{part}",
            action="append",
            required=True,
            metavar="STORE[:SOURCE][=COUNT]",
            help="a store, or its first clips; of sentences of this source only",
        )
    parser.add_argument("--families", type=_names, required=True, help="only sentences of these, with commas between")
    parser.add_argument("--lang", default="de")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    corpus = map(json.loads, options.corpus.read_text(encoding="utf-8").splitlines())
    rows = {row["id"]: row for row in corpus if row["family"] in options.families}
    heard: set[str] = set()
    answers: set[str] = set()
    for part in PARTS:
        lines, sentences = [], set()
        for number, (store, clip) in enumerate(_clips(getattr(options, part), rows, heard)):
            sentences.add(rows[clip.row]["en"])
            answers.add(rows[clip.row][options.lang])
            path = options.output / "clips" / f"{part}-{store.folder.name}-{clip.name}.wav"
            samples = _samples(store, clip)
            if part != "train":
                samples = _recorded_elsewhere(samples, np.random.default_rng((PARTS.index(part), number)), store)
            write_wav(path, samples.tobytes())
            line = manifest_row(path.relative_to(options.output), clip, rows[clip.row], options.lang)
            line["duration"] = round(len(samples) / SAMPLING_RATE, 3)
            if part == "unlabelled":
                line = {field: line[field] for field in ("audio_filepath", "duration")}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        heard |= sentences
        (options.output / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
    others = (
        row[options.lang]
        for row in rows.values()
        if row["partition"] == "train" and row["source"] == "template" and row["en"] not in heard
    )
    text = "".join(f"{sentence}\n" for sentence in others if sentence not in answers)
    (options.output / "text.txt").write_text(text, encoding="utf-8")


def _samples(store: ClipStore, clip: Clip) -> npt.NDArray[np.int16]:
    return store.samples()[clip.start : clip.start + clip.length]


def _recorded_elsewhere(
    samples: npt.NDArray[np.int16], random: np.random.Generator, store: ClipStore
) -> npt.NDArray[np.int16]:
    """In another room or over another line, in noise, beside somebody else of the store."""

    def floats(one: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        return one.astype(np.float32) / 32768

    def other() -> npt.NDArray[np.float32]:
        return floats(_samples(store, store.clips[random.integers(len(store.clips))]))

    heard = perturbed(floats(samples), random, other, clean=0.0)
    heard *= min(1.0, 0.95 / float(np.abs(heard).max(initial=1e-5)))
    return (heard * 32767).astype(np.int16)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


def _clips(
    wanted: Iterable[str], rows: Mapping[str, Mapping[str, Any]], heard: Collection[str]
) -> Iterator[tuple[ClipStore, Clip]]:
    """The clips of the stores that say sentences among `rows` not in `heard`."""
    for one in wanted:
        place, _, count = one.partition("=")
        folder, _, source = place.partition(":")
        store = ClipStore(Path(folder))
        unheard = (
            clip
            for clip in store.clips
            if (row := rows.get(clip.row)) and source in ("", row["source"]) and row["en"] not in heard
        )
        for clip in islice(unheard, int(count) if count else None):
            yield store, clip


if __name__ == "__main__":
    main()
