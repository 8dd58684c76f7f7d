"""Write the demo checkpoints' corpus: templates filled, and parallel text given by option.

    python scripts/demo/text_corpus.py --output DIR [--massive TSV] [--phrasebook TSV] [--templates DIR] [--seed N]

Knows: all sources, how sentences are parted into train, dev and test. Does not know: speech, training.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from text_augment import augmented
from text_english import normalise_english
from text_massive import is_fragment, massive_row, massive_rows, read_massive
from text_numbers import number_tables
from text_partition import bare, part
from text_phrasebook import phrasebook_rows, read_phrasebook
from text_rows import Row, read_rows, row_id, write_rows
from text_templates import Sentence, read_templates

TEMPLATES = Path(__file__).with_name("templates")
SCORED = ("alarm", "calendar", "datetime", "transport", "weather")


def template_sentences(rng: random.Random, folder: Path = TEMPLATES) -> list[Sentence]:
    """Each family's quota of different sentences, fewer where it has no more."""
    tables, families = read_templates(folder, number_tables(rng))
    used: Counter[tuple[str, int]] = Counter()
    sentences = []
    for family in families:
        seen: set[str] = set()
        misses = 0
        for template, chosen in family.fillings(tables, used, rng):
            english = template.text("en", chosen, tables)
            misses = misses + 1 if english in seen else 0
            if english not in seen:
                seen.add(english)
                sentences.append(template.sentence(chosen, tables))
            if len(seen) >= family.quota or misses > 40 * len(family.templates):
                break
    return sentences


def corpus(
    massive: list[dict[str, str]], phrasebook: list[dict[str, str]], seed: int, templates: Path = TEMPLATES
) -> tuple[list[Row], dict[str, dict[str, int]]]:
    """All rows in a fixed order, and what was left out of each source, by reason."""
    rng = random.Random(seed)
    from_massive, massive_dropped = massive_rows(massive)
    sentences = template_sentences(rng, templates)
    from_phrasebook, phrasebook_dropped = phrasebook_rows(
        phrasebook, {normalise_english(each.text["en"]) for each in sentences}
    )
    scored = [row for row in from_massive if row.partition != "train" and row.family in SCORED]
    augmentation = augmented_rows(massive, from_massive, scored, sentences, rng)
    given = [*from_massive, *augmentation, *from_phrasebook]
    from_templates, templates_dropped = part(sentences, given, scored)
    dropped = {"massive": massive_dropped, "phrasebook": phrasebook_dropped, "template": templates_dropped}
    return [*from_templates, *given], {source: dict(reasons) for source, reasons in dropped.items()}


def augmented_rows(
    massive: list[dict[str, str]], rows: list[Row], scored: list[Row], sentences: list[Sentence], rng: random.Random
) -> list[Row]:
    """Training rows with another day or hour, none of which is said elsewhere, scored sentences included."""
    known = {normalise_english(row.en) for row in rows if row.partition == "train"}
    known |= {normalise_english(row.en) for row in scored}
    known |= {normalise_english(sentence.text["en"]) for sentence in sentences}
    new = []
    for record in augmented(massive, rng):
        row = massive_row(record)
        english = normalise_english(row.en)
        if english not in known:
            known.add(english)
            arabic = "" if is_fragment(record["en"], record["ar"]) else row.ar
            new.append(replace(row, id=row_id("massive-augmented", english), source="massive-augmented", ar=arabic))
    return new


def unlike(rows: list[Row], known: list[Row]) -> list[Row]:
    """The rows whose English and German are both new."""
    english, german = {normalise_english(row.en) for row in known}, {bare(row.de) for row in known}
    return [row for row in rows if normalise_english(row.en) not in english and bare(row.de) not in german]


def statistics(rows: list[Row], dropped: dict[str, dict[str, int]]) -> dict[str, object]:
    """Counts of rows by source, partition and family, and of the English words."""
    words = Counter(word for row in rows if row.partition == "train" for word in normalise_english(row.en).split())
    return {
        "rows": {
            f"{source} {partition}": count
            for (source, partition), count in sorted(Counter((row.source, row.partition) for row in rows).items())
        },
        "families": {
            f"{family} {partition}": count
            for (family, partition), count in sorted(
                Counter((row.family, row.partition) for row in rows if row.source == "template").items()
            )
        },
        "left out": dropped,
        "English words in training": {
            "types": len(words),
            "tokens": words.total(),
            "once": sum(count == 1 for count in words.values()),
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the demo checkpoints' corpus.")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where corpus.jsonl, words.tsv and statistics.json go"
    )
    parser.add_argument(
        "--massive",
        type=Path,
        metavar="TSV",
        help="MASSIVE's rows: id, partition, scenario, intent, en, de, tr, ca, ar",
    )
    parser.add_argument(
        "--phrasebook", type=Path, metavar="TSV", help="the Refugee Phrasebook's rows: en, de, tr, ca, ar"
    )
    parser.add_argument(
        "--templates", type=Path, default=TEMPLATES, metavar="DIR", help="slots/ and families/ (default: ours)"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides which sentences the templates give (default: 1)")
    parser.add_argument(
        "--unlike", type=Path, metavar="CORPUS", help="leave out what this corpus.jsonl says, in English or in German"
    )
    options = parser.parse_args()
    rows, dropped = corpus(
        read_massive(options.massive) if options.massive else [],
        read_phrasebook(options.phrasebook) if options.phrasebook else [],
        options.seed,
        options.templates,
    )
    if options.unlike is not None:
        rows = unlike(rows, read_rows(options.unlike))
    write_rows(rows, options.output / "corpus.jsonl")
    words = Counter(word for row in rows if row.partition == "train" for word in normalise_english(row.en).split())
    (options.output / "words.tsv").write_text(
        "".join(f"{word}\t{count}\n" for word, count in words.most_common()), encoding="utf-8"
    )
    found = statistics(rows, dropped)
    (options.output / "statistics.json").write_text(
        json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(json.dumps(found, indent=2, ensure_ascii=False), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
