"""The folder that `scripts/recipe.py` wants: labelled and unlabelled clips, validation, test, text of other sentences.

Knows: how the corpus is shared out, so that no sentence serves twice. Does not know: models.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from export_clips import manifest_row, write_wav
from speech_store import Clip, ClipStore

# Whoever comes first keeps a sentence.
PARTS = ("test", "valid", "train", "unlabelled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    for part in PARTS:
        parser.add_argument(
            f"--{part}",
            action="append",
            required=True,
            metavar="STORE[:SOURCE][=COUNT]",
            help="a store, or its first clips; of sentences of this source (template)",
        )
    parser.add_argument("--lang", default="de")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    rows = {row["id"]: row for row in map(json.loads, options.corpus.read_text(encoding="utf-8").splitlines())}
    heard: set[str] = set()
    for part in PARTS:
        lines, sentences = [], set()
        for store, clip in _clips(getattr(options, part), rows, heard):
            sentences.add(rows[clip.row]["en"])
            path = options.output / "clips" / f"{part}-{store.folder.name}-{clip.name}.wav"
            write_wav(path, store.samples()[clip.start : clip.start + clip.length].tobytes())
            line = manifest_row(path.relative_to(options.output), clip, rows[clip.row], options.lang)
            if part == "unlabelled":
                line = {field: line[field] for field in ("audio_filepath", "duration")}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        heard |= sentences
        (options.output / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
    others = [row for row in rows.values() if row["partition"] == "train" and row["source"] == "template"]
    text = "".join(f"{row[options.lang]}\n" for row in others if row["en"] not in heard)
    (options.output / "text.txt").write_text(text, encoding="utf-8")


def _clips(
    wanted: Iterable[str], rows: Mapping[str, Mapping[str, Any]], heard: Collection[str]
) -> Iterator[tuple[ClipStore, Clip]]:
    """The clips of the stores that say sentences of their source not in `heard`."""
    for one in wanted:
        place, _, count = one.partition("=")
        folder, _, source = place.partition(":")
        store = ClipStore(Path(folder))
        unheard = (
            clip
            for clip in store.clips
            if (row := rows.get(clip.row)) and row["source"] == (source or "template") and row["en"] not in heard
        )
        for clip in islice(unheard, int(count) if count else None):
            yield store, clip


if __name__ == "__main__":
    main()
