"""The folder that `scripts/recipe.py` wants: labelled and unlabelled clips, validation, test, text of other sentences.

Knows: how the corpus is shared out, so that no sentence serves twice. Does not know: models.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from export_clips import manifest_row, write_wav
from speech_store import Clip, ClipStore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--train", type=Path, required=True, help="store whose first clips are labelled or unlabelled")
    parser.add_argument("--valid", type=Path, required=True, help="store of validation clips")
    parser.add_argument("--test", type=Path, required=True, help="store of test clips")
    parser.add_argument("--lang", default="de")
    parser.add_argument("--labelled", type=int, default=600)
    parser.add_argument("--unlabelled", type=int, default=2000)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    rows = {row["id"]: row for row in map(json.loads, options.corpus.read_text(encoding="utf-8").splitlines())}
    train, valid, test = (ClipStore(folder) for folder in (options.train, options.valid, options.test))
    heard = train.clips[: options.labelled + options.unlabelled]
    parts: dict[str, tuple[ClipStore, Sequence[Clip]]] = {
        "train": (train, heard[: options.labelled]),
        "unlabelled": (train, heard[options.labelled :]),
        "valid": (valid, valid.clips),
        "test": (test, test.clips),
    }
    for name, (store, clips) in parts.items():
        lines = []
        for clip in clips:
            path = options.output / "clips" / f"{name}-{clip.name}.wav"
            write_wav(path, store.samples()[clip.start : clip.start + clip.length].tobytes())
            line = manifest_row(path.relative_to(options.output), clip, rows[clip.row], options.lang)
            if name == "unlabelled":
                line = {field: line[field] for field in ("audio_filepath", "duration")}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        (options.output / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    spoken = {rows[clip.row]["en"] for clip in heard}
    others = [row for row in rows.values() if row["partition"] == "train" and row["source"] == "template"]
    text = "".join(f"{row[options.lang]}\n" for row in others if row["en"] not in spoken)
    (options.output / "text.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
