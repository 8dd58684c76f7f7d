"""The demo corpus: templates, numbers, partitions (`scripts/demo/text_*.py`)."""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "demo"))

from text_corpus import TEMPLATES, template_sentences, unlike
from text_english import normalise_english
from text_numbers import arabic, number_entry, number_tables, turkish
from text_partition import bare, part
from text_rows import LANGUAGES, Row, row_id
from text_templates import Entry, Family, Sentence, TemplateError, alternatives, capitalised, read_templates


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    return template_sentences(random.Random(1))


@pytest.fixture(scope="module")
def tables() -> dict[str, tuple[Entry, ...]]:
    return read_templates(TEMPLATES, number_tables(random.Random(1)))[0]


@pytest.fixture(scope="module")
def rows(sentences: list[Sentence]) -> list[Row]:
    return part(sentences, given=(), scored=())[0]


def test_there_are_enough_families_and_sentences(sentences: list[Sentence]) -> None:
    families = Counter(sentence.family for sentence in sentences)
    assert len(families) >= 40
    assert sum(families.values()) > 12_000
    assert max(families.values()) <= 1500  # no family drowns the others


def test_the_same_seed_gives_the_same_sentences() -> None:
    def made(seed: int) -> list[str]:
        rng = random.Random(seed)
        tables, families = read_templates(TEMPLATES, number_tables(rng))
        return [
            template.text("en", chosen, tables)
            for family in families
            for template, chosen in itertools.islice(family.fillings(tables, Counter(), rng), 5)
        ]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_sentences_are_written_as_they_should_be(sentences: list[Sentence]) -> None:
    for sentence in sentences:
        bare_number = sentence.family in ("digits", "numbers") and sentence.text["en"].islower()
        for language in LANGUAGES:
            text = sentence.text[language]
            assert re.fullmatch(r"[^\W\d_](?:[^\W\d_]|[ '.,?؟،·-])*", text), text
            assert "  " not in text, text
            if bare_number:
                assert re.fullmatch(r"[^.?A-Z]*\w", text), text
            else:
                assert re.search(r"(?:\w|\.m\.)[.?؟]$|\.m\.$", text), text
                assert text[0] == text[0].upper(), text


def test_questions_are_questions_in_every_language(sentences: list[Sentence]) -> None:
    for sentence in sentences:
        marks = {language: sentence.text[language][-1] in "?؟" for language in LANGUAGES}
        assert len(set(marks.values())) == 1, sentence.text


def test_arabic_is_without_vowel_signs(sentences: list[Sentence]) -> None:
    for sentence in sentences:
        assert re.fullmatch(r"[ء-غف-ي .،؟]+", sentence.text["ar"]), sentence.text["ar"]


@pytest.mark.parametrize(
    ("slot", "names"),
    [
        ("weekday", [Locale("en").days["format"]["wide"][day] for day in range(7)]),
        ("month", [Locale("en").months["format"]["wide"][month] for month in range(1, 13)]),
    ],
)
def test_days_and_months_are_complete(tables: dict[str, tuple[Entry, ...]], slot: str, names: list[str]) -> None:
    assert [entry["en"] for entry in tables[slot]] == names


@pytest.mark.parametrize("language", ["de", "tr", "ca", "ar"])
def test_names_agree_with_cldr(tables: dict[str, tuple[Entry, ...]], language: str) -> None:
    locale, english = Locale("ar", "EG") if language == "ar" else Locale(language), Locale("en")
    for day, entry in enumerate(tables["weekday"]):
        assert entry[language].lower() == locale.days["stand-alone"]["wide"][day].lower()
    for month, entry in enumerate(tables["month"], 1):
        assert entry[language].lower() == locale.months["stand-alone"]["wide"][month].lower()
    for slot, names, english_names in (
        ("language", locale.languages, english.languages),
        ("country", locale.territories, english.territories),
    ):
        codes = {name: code for code, name in english_names.items()} | {"England": "gbeng"}
        for entry in tables[slot]:
            if codes[entry["en"]] in names:
                assert entry[language].removeprefix("el ") == names[codes[entry["en"]]]


def test_numbers_in_every_language() -> None:
    assert number_entry(0)["ar"] == "صفر"
    assert {language: number_entry(21)[language] for language in LANGUAGES} == {
        "en": "twenty one",
        "de": "einundzwanzig",
        "tr": "yirmi bir",
        "ca": "vint-i-u",
        "ar": "واحد وعشرون",
    }
    assert number_entry(21)["ca.m"] == "vint-i-un"
    assert {language: number_entry(1200)[language] for language in LANGUAGES} == {
        "en": "one thousand two hundred",
        "de": "tausendzweihundert",
        "tr": "bin iki yüz",
        "ca": "mil dos-cents",
        "ar": "ألف ومئتان",
    }
    assert number_entry(12)["ar.degrees"] == "اثنتا عشرة درجة"
    assert number_entry(32)["ar.todegrees"] == "اثنتين وثلاثين درجة"


@given(st.integers(min_value=0, max_value=9999))
def test_turkish_numbers_are_those_of_num2words_written_apart(value: int) -> None:
    assert turkish(value).replace(" ", "") == num2words(value, lang="tr")


@given(st.integers(min_value=0, max_value=9999), st.integers(min_value=0, max_value=9999))
def test_different_numbers_have_different_names(one: int, other: int) -> None:
    for name in (arabic, turkish):
        assert (name(one) == name(other)) == (one == other)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Wake me up at 7:30 a.m.", "wake me up at seven thirty a m"),
        ("What’s the U.V. index?", "what's the u v index"),
        ("My sisters' well-known 'car'.", "my sisters' well known car"),
        ("It costs 1250 dollars!", "it costs one thousand two hundred and fifty dollars"),
    ],
)
def test_english_as_it_is_spoken(written: str, spoken: str) -> None:
    assert normalise_english(written) == spoken


@given(st.text(alphabet="abcXYZ '’.,?!-0123456789\n", max_size=40))
def test_spoken_english_is_bare(written: str) -> None:
    spoken = normalise_english(written)
    assert re.fullmatch(r"(?:[a-z']+(?: [a-z']+)*)?", spoken)
    assert normalise_english(spoken) == spoken


def test_english_that_cannot_be_spoken_is_refused() -> None:
    with pytest.raises(ValueError, match="no spoken form is known for 'é'"):
        normalise_english("Café")


def test_choices_of_wording() -> None:
    assert alternatives("[What's|What is] the [weather |]forecast?") == [
        "What's the weather forecast?",
        "What's the forecast?",
        "What is the weather forecast?",
        "What is the forecast?",
    ]


def test_turkish_capitals() -> None:
    assert capitalised("istanbul", "tr") == "İstanbul"
    assert capitalised("ışık", "tr") == "Işık"
    assert capitalised("istanbul", "ca") == "Istanbul"
    assert capitalised("_vier vier", "de") == "vier vier"


TABLE = """\
== slot fruit ==
en | de | de.acc | tr | ca | ar | tags
apple | der Apfel | den Apfel | elma | la poma | التفاحة | red
pear | die Birne | die Birne | armut | la pera | الإجاصة | green
"""
SENTENCE = """\
== family eating 10 ==
I eat the {fruit}. | Ich esse {fruit.acc}. | {fruit} yiyorum. | Menjo {fruit}. | آكل {fruit}.
"""


def folder_with(tmp_path: Path, slots: str, families: str) -> Path:
    for kind, text in (("slots", slots), ("families", families)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "all.txt").write_text(text, encoding="utf-8")
    return tmp_path


def every_sentence(family: Family, tables: Mapping[str, tuple[Entry, ...]]) -> set[tuple[str, ...]]:
    fillings = itertools.islice(family.fillings(tables, Counter(), random.Random(1)), 50)
    return {
        tuple(template.text(language, chosen, tables) for language in ("en", "de", "tr"))
        for template, chosen in fillings
    }


def test_a_template_takes_the_form_it_names(tmp_path: Path) -> None:
    tables, (family,) = read_templates(folder_with(tmp_path, TABLE, SENTENCE))
    assert family.size(tables) == 2
    assert every_sentence(family, tables) == {
        ("I eat the apple.", "Ich esse den Apfel.", "Elma yiyorum."),
        ("I eat the pear.", "Ich esse die Birne.", "Armut yiyorum."),
    }


def test_a_tag_chooses_among_the_entries(tmp_path: Path) -> None:
    tables, (family,) = read_templates(folder_with(tmp_path, TABLE, SENTENCE.replace("the {fruit}", "the {fruit@red}")))
    assert every_sentence(family, tables) == {("I eat the apple.", "Ich esse den Apfel.", "Elma yiyorum.")}


def test_a_row_may_name_another_slot(tmp_path: Path) -> None:
    slots = TABLE + "== slot two ==\nen | de\n[both|all] {fruit}s | {fruit.acc} zweimal\n"
    tables, _ = read_templates(folder_with(tmp_path, slots, SENTENCE))
    assert [(entry["en"], entry["de"]) for entry in tables["two"]] == [
        ("both apples", "den Apfel zweimal"),
        ("all apples", "den Apfel zweimal"),
        ("both pears", "die Birne zweimal"),
        ("all pears", "die Birne zweimal"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("{fruit.acc}", "{fruit.gen}", r"all\.txt:2: not every entry of 'fruit' has 'de\.gen'"),
        ("{fruit.acc}", "{furit}", r"all\.txt:2: there is no slot 'furit'"),
        ("the {fruit}", "it", r"all\.txt:2: \{fruit\.acc\} is in de, but not in en"),
        ("Menjo {fruit}. | ", "", r"all\.txt:2: 4 cells where 5 are due \(en, de, tr, ca, ar\)"),
        ("Menjo {fruit}", "Menjo {fruit", r"all\.txt:2: a bracket too many in ca"),
    ],
)
def test_a_slip_in_a_table_is_named_with_its_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        read_templates(folder_with(tmp_path, TABLE, SENTENCE.replace(before, after)))


def test_no_test_answer_was_seen_in_training(rows: list[Row]) -> None:
    by_partition = {
        partition: [row for row in rows if row.partition == partition] for partition in ("train", "dev", "test")
    }
    assert len(by_partition["test"]) == pytest.approx(600, abs=20)
    assert len(by_partition["dev"]) == pytest.approx(400, abs=20)
    for held, other in (("test", "train"), ("dev", "train"), ("test", "dev")):
        for key in (lambda row: normalise_english(row.en), lambda row: bare(row.de)):
            assert not {key(row) for row in by_partition[held]} & {key(row) for row in by_partition[other]}


def test_what_a_test_sentence_is_made_of_is_in_training(rows: list[Row]) -> None:
    words = {word for row in rows if row.partition == "train" for word in normalise_english(row.en).split()}
    for row in rows:
        assert set(normalise_english(row.en).split()) <= words


def test_many_families_are_tested(rows: list[Row]) -> None:
    assert len({row.family for row in rows if row.partition == "test"}) >= 35


def row(source: str, english: str, german: str, partition: str) -> Row:
    return Row("x", source, "weather", partition, english, german, "-", "-", "-")  # type: ignore[arg-type]


def test_what_others_train_on_is_no_test_of_ours_and_what_they_test_is_not_trained(
    sentences: list[Sentence], rows: list[Row]
) -> None:
    tested = next(row for row in rows if row.partition == "test" and row.family == "weather_day")
    trained = next(row for row in rows if row.partition == "train" and row.family == "weather_day")
    elsewhere = [row("massive", tested.en.lower(), tested.de.lower(), "train")]
    judged = [row("massive", trained.en.rstrip("?."), "-", "test")]
    again, dropped = part(sentences, elsewhere, judged)
    partitions = {normalise_english(row.en): row.partition for row in again}
    assert partitions[normalise_english(tested.en)] == "train"
    assert normalise_english(trained.en) not in partitions
    assert dropped["said in a test of another source"] == 1


def test_another_seed_gives_sentences_that_nobody_knows(rows: list[Row]) -> None:
    """Those of one seed in another's corpus are known by their English or by their German alone."""
    other = part(template_sentences(random.Random(2)), given=(), scored=())[0]
    fresh = unlike(other, rows)
    assert len(rows) / 3 < len(fresh) < len(other)
    for key in (lambda row: normalise_english(row.en), lambda row: bare(row.de)):
        assert not set(map(key, fresh)) & set(map(key, rows))
    same_german = row("template", "nobody ever said this", f"{rows[0].de.upper()}!", "train")
    assert unlike([same_german, fresh[0]], rows) == [fresh[0]]


def test_an_id_belongs_to_a_sentence() -> None:
    assert row_id("template", "good morning") == row_id("template", "good morning")
    assert row_id("template", "good morning") != row_id("template", "good evening")
