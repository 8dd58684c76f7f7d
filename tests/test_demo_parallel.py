"""The demo corpus: what becomes of parallel text given by option (`scripts/demo/text_massive.py` and its like).

The rows are MASSIVE's (CC BY 4.0) and the Refugee Phrasebook's (CC0), or of their kind.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "demo"))

from text_augment import augmented
from text_english import is_question, readable_english
from text_german import written_german
from text_massive import is_fragment, massive_row, massive_rows, spelled_dayparts, turkish_asks
from text_phrasebook import phrasebook_rows
from text_rows import LANGUAGES, read_rows

DEMO = Path(__file__).parents[1] / "scripts" / "demo"


def record(
    en: str,
    de: str,
    tr: str = "evet",
    ca: str = "sí",
    ar: str = "هل نعم",
    partition: str = "train",
    scenario: str = "alarm",
) -> dict[str, str]:
    cells = {"en": en, "de": de, "tr": tr, "ca": ca, "ar": ar}
    return {"id": "1", "partition": partition, "scenario": scenario, "intent": "any", **cells}


WAKE = record(
    "wake me up at nine am on friday",
    "weck mich am freitag um neun uhr auf",
    "beni cuma günü sabah dokuzda uyandır",
    "desperta'm a les nou a. m. del divendres",
    "صحيني تسعة الصباح يوم الجمعة",
)


@pytest.mark.parametrize(
    ("spoken", "english", "written"),
    [
        ("weck mich am freitag um neun uhr auf", "wake me up", "Weck mich am Freitag um neun Uhr auf."),
        ("wird es morgen windig werden", "will it be windy tomorrow", "Wird es morgen windig werden?"),
        ("es soll am nächsten morgen regnen", "it is to rain", "Es soll am nächsten Morgen regnen."),
        ("ist es gerade am regnen", "is it raining", "Ist es gerade am Regnen?"),
        ("sag mir wie spät es ist", "tell me what time it is", "Sag mir, wie spät es ist."),
        (
            "zeig mir die wecker die ich gestellt habe",
            "show me the alarms",
            "Zeig mir die Wecker, die ich gestellt habe.",
        ),
        ("olly spiel musik", "olly play music", "Olly, spiel Musik."),
        ("wer hat das spiel gewonnen", "who won", "Wer hat das Spiel gewonnen?"),
        ("welcher tag ist der dritte märz", "what day is it", "Welcher Tag ist der dritte März?"),
        ("welcher tag ist der dritte", "what day is it", "Welcher Tag ist der Dritte?"),
        ("was gibt es neues", "what is new", "Was gibt es Neues?"),
        ("spiel ein neues lied", "play a new song", "Spiel ein neues Lied."),
        ("bitte löschen sie alle termine", "please delete all events", "Bitte löschen Sie alle Termine."),
        ("lösche sie", "delete them", "Lösche sie."),
        ("erkläre es", "explain it", "Erkläre es."),
        ("regnet es", "is it raining", "Regnet es?"),
        ("fahre b. m. w. nach berlin", "drive", "Fahre BMW nach Berlin."),
    ],
)
def test_german_is_written_as_germans_write(spoken: str, english: str, written: str) -> None:
    assert written_german(spoken, english) == written


@pytest.mark.parametrize(
    ("spoken", "readable"),
    [
        ("wake me up at nine am on friday", "Wake me up at nine a.m. on Friday."),
        ("i am awake at five p. m.", "I am awake at five p.m."),
        ("what's the u. v. index today", "What's the U.V. index today?"),
        ("do i have alarms", "Do I have alarms?"),
        ("do not disturb me", "Do not disturb me."),
        ("olly tell me if it rains", "Olly tell me if it rains."),
    ],
)
def test_english_for_a_synthesizer(spoken: str, readable: str) -> None:
    assert readable_english(spoken, frozenset({"olly"})) == readable


@pytest.mark.parametrize(
    ("spoken", "asks"), [("at what time is it", True), ("today is monday is it", True), ("stop", False)]
)
def test_english_questions(spoken: str, asks: bool) -> None:
    assert is_question(spoken) is asks


@pytest.mark.parametrize(
    ("turkish", "asks"),
    [
        ("yarın yağmur yağacak mı", True),
        ("saat kaç", True),
        ("bana saatin kaç olduğunu söyle", False),
        ("alarmı sil", False),
    ],
)
def test_turkish_questions(turkish: str, asks: bool) -> None:
    assert turkish_asks(turkish, english_asks=True) is asks


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("a les nou a. m.", "a les nou del matí"),
        ("a les set trenta a. m. del dilluns", "a les set trenta del matí del dilluns"),
        ("a les quatre p. m.", "a les quatre de la tarda"),
        ("a les deu p. m.", "a les deu de la nit"),
        ("la una p. m.", "la una del migdia"),
        ("fins les p. m.", "fins les p. m."),
    ],
)
def test_catalan_parts_of_the_day(written: str, spelled: str) -> None:
    assert spelled_dayparts(written) == spelled


@pytest.mark.parametrize(
    ("english", "arabic", "fragment"),
    [
        ("book me a taxi for one p. m.", "taxi وحدة الظهر", True),
        ("can you book me a taxi", "سيارة", True),
        ("turn on the radio", "radio", True),
        ("what do i have to do on saturday", "يوم السبت", True),
        ("wake me up at six am", "صحيني ستة الصبح", False),
        ("call me", "كلمني", False),
        ("what is the weather now", "كيف الطقس الحين", False),
    ],
)
def test_fragments_in_arabic(english: str, arabic: str, fragment: bool) -> None:
    assert is_fragment(english, arabic) is fragment


def test_a_row_has_capitals_and_marks_in_every_language() -> None:
    row = massive_row(WAKE)
    assert (row.id, row.source, row.family, row.partition) == ("massive-1", "massive", "alarm", "train")
    assert [getattr(row, language) for language in LANGUAGES] == [
        "Wake me up at nine a.m. on Friday.",
        "Weck mich am Freitag um neun Uhr auf.",
        "Beni cuma günü sabah dokuzda uyandır.",
        "Desperta'm a les nou del matí del divendres.",
        "صحيني تسعة الصباح يوم الجمعة.",
    ]


def test_a_question_has_its_mark_in_every_language() -> None:
    row = massive_row(record("will it rain", "wird es regnen", "istanbul'da yağmur yağacak mı", "plourà", "هل ستمطرُ"))
    assert (row.de, row.tr, row.ca, row.ar) == (
        "Wird es regnen?",
        "İstanbul'da yağmur yağacak mı?",
        "Plourà?",
        "هل ستمطر؟",
    )


def test_what_is_scored_stays_as_published_but_for_capitals_and_marks() -> None:
    tested = WAKE | {"partition": "test"}
    assert massive_row(tested).ca == "Desperta'm a les nou a. m. del divendres."
    fragment = record("book me a taxi", "buche ein taxi", ar="taxi", partition="test")
    rows, dropped = massive_rows([fragment])
    assert [row.ar for row in rows] == ["taxi."]
    assert not dropped


def test_training_rows_lose_what_is_no_translation() -> None:
    fragment = record("book me a taxi now", "buche jetzt ein taxi", ar="taxi")
    long = "please tell me what is on my calendar"
    too_short = record(long, "termine", "takvimimde ne var", "digues què hi ha al calendari", "قل لي وش في التقويم حقي")
    empty = record("stop", "", ar="وقف")
    rows, dropped = massive_rows([fragment, too_short, empty])
    assert [row.ar for row in rows] == [""]
    assert dropped == {
        "Arabic cells that are a fragment": 1,
        "rows with a translation too short to be one": 1,
        "rows with an empty cell": 1,
    }


def test_another_day_and_hour_in_every_language_at_once() -> None:
    made = {new["en"]: new for new in augmented([WAKE], random.Random(1), each=100)}
    assert {language: made["wake me up at six am on monday"][language] for language in LANGUAGES} == {
        "en": "wake me up at six am on monday",
        "de": "weck mich am montag um sechs uhr auf",
        "tr": "beni pazartesi günü sabah altıda uyandır",
        "ca": "desperta'm a les sis a. m. de dilluns",
        "ar": "صحيني ستة الصباح يوم الاثنين",
    }
    assert made["please wake me up at nine am on friday"]["tr"].startswith("lütfen beni")
    assert "wake me up at two am on friday" not in made  # "sabah" and "الصباح" do not go with two
    assert all(new["partition"] == "train" for new in made.values())


@pytest.mark.parametrize(
    "unsure",
    [
        WAKE | {"partition": "test"},
        WAKE | {"scenario": "music"},
        record("am i free tomorrow", "habe ich morgen zeit", "boş muyum", "estic lliure demà", "أنا فاضي بكره"),
        record("was it cold today", "war es heute kalt", "bugün soğuk muydu", "avui ha fet fred", "كان اليوم بارد"),
        record("is it monday", "ist montag", "pazartesi mi", "és dilluns", "هل يوم الاثنين"),
    ],
    ids=["test row", "another domain", "not found in Turkish", "past tense", "particle agrees"],
)
def test_what_is_unsure_is_left_alone(unsure: dict[str, str]) -> None:
    assert not list(augmented([unsure], random.Random(1)))


def test_the_phrasebook_without_alternatives_and_remarks() -> None:
    phrases = [
        {"en": "Food", "de": "Lebensmittel", "tr": "Yiyecekler", "ca": "Aliments", "ar": "طعام"},
        {"en": "water", "de": "(das) Wasser", "tr": "Su", "ca": "(l')aigua", "ar": "ماء"},
        {"en": "Where is..?", "de": "Wo ist...", "tr": "... nerede?", "ca": "On és...?", "ar": "این ...؟"},
        {
            "en": "(My child) is hungry",
            "de": "(mein Kind) hat Hunger",
            "tr": "Çocuğum aç",
            "ca": "(El meu fill) té gana",
            "ar": "طفلي جائع",
        },
        {
            "en": "What time is it?",
            "de": "Wie spät ist es?",
            "tr": "saat kaç",
            "ca": "Quina hora és?",
            "ar": "كم الساعة؟",
        },
        {"en": "I have cancer", "de": "Ich habe Krebs", "tr": "Kanserim.", "ca": "", "ar": "عندي سرطان"},
    ]
    rows, dropped = phrasebook_rows(phrases, said={"what time is it"})
    assert [(row.en, row.de, row.ca) for row in rows] == [
        ("Water.", "Wasser.", "Aigua."),
        ("My child is hungry.", "Mein Kind hat Hunger.", "El meu fill té gana."),
    ]
    assert dropped == {"a heading": 1, "a gap to fill": 1, "in the templates": 1, "an empty cell": 1}


FAMILY = """\
== family greetings 10 ==
Hello. | Hallo. | Merhaba. | Hola. | مرحبا.
"""


def test_the_whole_way_from_tables_to_the_corpus(tmp_path: Path) -> None:
    with (tmp_path / "massive.tsv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(WAKE), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows([WAKE, WAKE | {"id": "2", "partition": "test", "en": "wake me up at six am on friday"}])
    for kind, text in (("slots", "== slot any ==\nen\nnothing\n"), ("families", FAMILY)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "all.txt").write_text(text, encoding="utf-8")
    options = ["--massive", tmp_path / "massive.tsv", "--templates", tmp_path, "--output", tmp_path / "out"]
    subprocess.run([sys.executable, DEMO / "text_corpus.py", *options], check=True, capture_output=True)
    rows = read_rows(tmp_path / "out" / "corpus.jsonl")
    english = [row.en for row in rows if row.partition == "train"]
    assert "Wake me up at nine a.m. on Friday." in english
    assert "Wake me up at six a.m. on Friday." not in english  # it is in the test partition
    assert {row.source for row in rows} == {"template", "massive", "massive-augmented"}
    assert len({row.id for row in rows}) == len(rows)
    counted = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert counted["rows"]["massive train"] == 1
    assert "wake\t" in (tmp_path / "out" / "words.tsv").read_text(encoding="utf-8")
