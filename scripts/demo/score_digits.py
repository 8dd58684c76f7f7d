"""How many spoken digits came out right: `python scripts/demo/score_digits.py manifest.tsv translations.jsonl`.

Knows: reference digits in the manifest, hypotheses in JSON lines, the best alignment of the two.
Does not know: models, audio.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="TSV with file, speaker, german_reference")
    parser.add_argument("translations", type=Path, help="what s2t2 translate --format jsonl wrote")
    options = parser.parse_args()
    lines = options.translations.read_text(encoding="utf-8").splitlines()
    said = {Path(record["audio_filepath"]).name: record.get("text", "") for record in map(json.loads, lines)}
    right, spoken = Counter[str](), Counter[str]()
    with options.manifest.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            reference, hypothesis = _words(row["german_reference"]), _words(said[row["file"]])
            spoken[row["speaker"]] += len(reference)
            right[row["speaker"]] += matches(reference, hypothesis)
    for speaker, count in sorted(spoken.items()):
        print(f"{speaker}\t{right[speaker]} of {count}\t{right[speaker] / count:.1%}")
    print(f"all\t{right.total()} of {spoken.total()}\t{right.total() / spoken.total():.1%}")


def matches(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Words of the reference that come out right in an alignment with the fewest edits, of those the most matches."""
    # (edits, -matches) of aligning a prefix of the reference with each prefix of the hypothesis
    row = [(place, 0) for place in range(len(hypothesis) + 1)]
    for number, wanted in enumerate(reference, 1):
        above, row = row, [(number, 0)]
        for place, found in enumerate(hypothesis):
            same = wanted == found
            diagonal = (above[place][0] + (not same), above[place][1] - same)
            row.append(min(diagonal, (above[place + 1][0] + 1, above[place + 1][1]), (row[-1][0] + 1, row[-1][1])))
    return -row[-1][1]


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()


if __name__ == "__main__":
    main()
