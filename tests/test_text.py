"""Natural text out of what the checkpoints write.

The examples are `raw_text` as the reference gives it: Moses-tokenised, after its English clean-up.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacremoses import MosesDetokenizer

from s2t2_cli.punctuation import join_tokens, unescape
from s2t2_cli.text import Detokenizer, clean_up_tokenization, language_code

CLEAN_UP = json.loads((Path(__file__).parent / "golden" / "text" / "clean_up.json").read_text(encoding="utf-8"))


@cache
def detokenizer(lang: str | None) -> Detokenizer:
    """One for each language is enough."""
    return Detokenizer(lang)


@pytest.mark.parametrize("golden", CLEAN_UP, ids=lambda one: repr(one["text"]))
def test_the_clean_up_equals_the_reference(golden: dict[str, str]) -> None:
    assert clean_up_tokenization(golden["text"]) == golden["clean"]


def test_the_reference_sentence_reads_as_people_write_it() -> None:
    assert detokenizer("de")('Ein Mann sagte zum Universum : " Sir, ich existiert! "') == (
        'Ein Mann sagte zum Universum: "Sir, ich existiert!"'
    )


GERMAN = {
    # quotation marks
    'Er las " Faust ", " Die Räuber " und " Woyzeck ".': 'Er las "Faust", "Die Räuber" und "Woyzeck".',
    'Er rief : " Was soll das? ", sagte sie. " Na gut ".': 'Er rief: "Was soll das?", sagte sie. "Na gut".',
    '"... und dann ", sagte er.': '"... und dann", sagte er.',
    '( siehe " ( x ) " )': '(siehe "(x)")',
    "„ Er sagte : ‚ Nein ‘, und ging “, sagte sie.": "„Er sagte: ‚Nein‘, und ging“, sagte sie.",
    "Sie fragte : „ Wo ist „ Faust “? “": "Sie fragte: „Wo ist „Faust“?“",
    "» Ja «, sagte er.": "»Ja«, sagte er.",
    "« Ja », sagte er.": "«Ja», sagte er.",
    "“ Ja ”, sagte er.": "“Ja”, sagte er.",
    'Die " Bild " -Zeitung': 'Die "Bild"-Zeitung',
    '" Ja " – " nein "': '"Ja" – "nein"',
    # one of a pair is missing
    'Er sagte : " Hallo': 'Er sagte: "Hallo',
    '" Hallo, sagte er.': '"Hallo, sagte er.',
    'Hallo ", sagte er.': 'Hallo", sagte er.',
    'Hallo ", sagte er : " Na gut "': 'Hallo", sagte er: "Na gut"',
    '" Hallo, sagte er : " Tschüss "': '"Hallo, sagte er: "Tschüss"',
    "Haus “, sagte er": "Haus“, sagte er",
    "Das „ Haus": "Das „Haus",
    'Das " Haus". Das " Auto "': 'Das "Haus". Das "Auto"',
    "Ja «, sagte er": "Ja«, sagte er",
    'Er sagte : "': 'Er sagte: "',
    "Er sagte „": "Er sagte „",
    '"': '"',
    # apostrophes and single marks, after the clean-up has taken their spaces
    "Wie geht's? Hans' Auto": "Wie geht's? Hans' Auto",
    "geht ’ s noch": "geht’s noch",
    "Sie fragte :'Wo? '": "Sie fragte: 'Wo?'",
    "' Hallo '.": "'Hallo'.",
    "Er sagte'Nein'und ging": "Er sagte 'Nein' und ging",
    "Rock'n'Roll": "Rock'n'Roll",
    # numbers, units, times
    "1.000 und 3,5 %, 2 ‰": "1.000 und 3,5 %, 2 ‰",
    "100 % ig und 100 % -ige": "100 %ig und 100 %-ige",
    "um 10 : 30 Uhr, 3 : 1, 10 : 30 : 05": "um 10:30 Uhr, 3:1, 10:30:05",
    "im Jahr 1999 : 3,5 : 5 Tore": "im Jahr 1999: 3,5: 5 Tore",
    "Es ist 3. 5 oder 3, 5": "Es ist 3. 5 oder 3, 5",
    "5 € pro Stück, in € gerechnet ; 3 $": "5 € pro Stück, in € gerechnet; 3 $",
    "für $ 5 oder 5 € 30": "für $5 oder 5 € 30",
    "20 ° C, 90 ° und 5 ° F.": "20 °C, 90° und 5 °F.",
    "km / h und / oder 1 / 2": "km/h und/oder 1/2",
    # other punctuation
    "z. B. ( d. h. so ) [ 1 ] { a } ; gut : ja": "z. B. (d. h. so) [1] {a}; gut: ja",
    "nein – doch … und so... ja": "nein – doch … und so... ja",
    "Was?!": "Was?!",
    "5 @-@ jährig @-@ so": "5-jährig-so",
    "- ja -": "- ja -",
    # escapes and addresses
    "A &amp; B &quot; x &quot; &#91; y &#93; &#124; &lt;z&gt; &amp;lt;": 'A & B "x" [y] | <z> &lt;',
    "https : / / www.example.com / pfad": "https://www.example.com/pfad",
    "name @ example.com": "name@example.com",
    # what is no text
    "Ich gehe zur Univer@@": "Ich gehe zur Univer",
    "Univer@@ sität @@": "Univer@@ sität",
    "@@": "",
    "<unk> ist <unk>.": "<unk> ist <unk>.",
    "": "",
    "  \n ": "",
    "😀 😀 !": "😀 😀!",
    "日 本 ist 日本": "日本 ist 日本",
}


@pytest.mark.parametrize(("raw_text", "text"), GERMAN.items())
def test_german(raw_text: str, text: str) -> None:
    assert detokenizer("de")(raw_text) == text


TURKISH = {
    "Ankara'da saat 10.30'da": "Ankara'da saat 10.30'da",
    "Ankara ’ da": "Ankara’da",
    '" Merhaba! " dedi.': '"Merhaba!" dedi.',
    "“ Gel ” dedi, “ git ” dedi.": "“Gel” dedi, “git” dedi.",
    "' Merhaba!'dedi.": "'Merhaba!' dedi.",
    "% 5 artış, % 4 ; oran % 3,5 : 5 % ( % 7 )": "%5 artış, %4; oran %3,5: 5% (%7)",
    "TL ₺ 5 veya 5 ₺ verdi": "TL ₺5 veya 5 ₺ verdi",
    "i ̇ stanbul": "i̇stanbul",
    "Bekle … geliyorum": "Bekle… geliyorum",
}


@pytest.mark.parametrize(("raw_text", "text"), TURKISH.items())
def test_turkish(raw_text: str, text: str) -> None:
    assert detokenizer("tr")(raw_text) == text


CATALAN = {
    "L'home s'ha anat d'aquí, se'n va.": "L'home s'ha anat d'aquí, se'n va.",
    "l' home s' ha d' anar m' agrada n' hi ha": "l'home s'ha d'anar m'agrada n'hi ha",
    "L ’ home d ’ aquí": "L’home d’aquí",
    "dona' m, anar-se' n, porta' ls, digues-li' l": "dona'm, anar-se'n, porta'ls, digues-li'l",
    "el col · legi, COL · LEGI i 3 · 4": "el col·legi, COL·LEGI i 3 · 4",
    "« Bon dia », va dir. « Adéu ».": "«Bon dia», va dir. «Adéu».",
    "Bon dia », va dir": "Bon dia», va dir",
    'Va dir : " Vés-te\'n! "': 'Va dir: "Vés-te\'n!"',
    "¿ Què fas? ¡ Vine!": "¿Què fas? ¡Vine!",
    "un 5 % i … fi": "un 5 % i… fi",
}


@pytest.mark.parametrize(("raw_text", "text"), CATALAN.items())
def test_catalan(raw_text: str, text: str) -> None:
    assert detokenizer("ca")(raw_text) == text


ARABIC = {
    'قال : " مرحبا ، كيف حالك ؟ " ثم ذهب.': 'قال: "مرحبا، كيف حالك؟" ثم ذهب.',
    "شكراً جزيلاً ؛ نعم!": "شكراً جزيلاً؛ نعم!",
    "« نعم » ، قال.": "«نعم»، قال.",
    "هل هذا صحيح ؟! ( نعم ) : لا": "هل هذا صحيح؟! (نعم): لا",
    "العدد 3.5 و 1,000 و ٣٫٥ و 50 ٪ و ٥٠ ٪ و 5 %": "العدد 3.5 و 1,000 و ٣٫٥ و 50٪ و ٥٠٪ و 5%",
    "السـلام علـيكم": "السـلام علـيكم",
    "شكرا ً": "شكراً",
    "هنا … هناك": "هنا… هناك",
}


@pytest.mark.parametrize(("raw_text", "text"), ARABIC.items())
def test_arabic(raw_text: str, text: str) -> None:
    assert detokenizer("ar")(raw_text) == text


def test_without_a_language_only_escapes_and_markers_are_undone() -> None:
    assert detokenizer(None)('Er : " ja &quot; 5 @-@ jährig ( Univer@@') == 'Er : " ja " 5-jährig ( Univer'


def test_another_language_gets_what_is_common_to_all() -> None:
    assert detokenizer("sv")('Han sade : " hej! " ( 10 : 30 )') == 'Han sade: "hej!" (10:30)'


@pytest.mark.parametrize(
    ("tag", "code"),
    [("de", "de"), ("DE", "de"), ("de-AT", "de"), ("ger", "de"), ("tur", "tr"), ("cat_ES", "ca"), ("ara", "ar"),
     ("zh-CN", "zh"), (None, None), ("", None)],
)  # fmt: skip
def test_language_tags(tag: str | None, code: str | None) -> None:
    assert language_code(tag) == code


def words(text: str) -> str:
    """The text without its white space."""
    return "".join(text.split())


def plain(raw_text: str) -> str:
    """`raw_text` without Moses' escapes and markers."""
    text = re.sub(r"\s*@@\s*$", "", raw_text)
    for escape, character in (
        ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&#91;", "["), ("&#93;", "]"),
        ("&#124;", "|"), ("&amp;", "&"),
    ):  # fmt: skip
        text = text.replace(escape, character)
    return " ".join("-" if token == "@-@" else token for token in text.split())


TOKENS = st.sampled_from(
    [
        *"\"'„“”«»‹›‚‘’()[]{}.,:;?!%€$°/·،؟؛٪-–_\\`#¿¡",
        *("...", "…", "5", "3,5", "Haus", "l", "l'", "s'", "C", "ig", "-x", "http", "a.de", "مرحبا", "日", "本", "😀"),
        *("@-@", "&amp;", "&quot;", "&apos;", "&#91;", "&#124;", "&lt;", "ab@@", "@@", "<unk>", "''", "``"),
        *("i", "\u0307", "\u0301", "\u200f", "ـ"),
    ]
)


@pytest.mark.parametrize("lang", ["de", "tr", "ca", "ar", "sv", None])
@given(tokens=st.lists(TOKENS, max_size=14), cleaned=st.booleans(), separator=st.sampled_from([" ", "  ", " \u00a0"]))
def test_no_character_is_lost_added_or_moved(
    lang: str | None, tokens: list[str], cleaned: bool, separator: str
) -> None:
    raw_text = separator.join(tokens)
    if cleaned:
        raw_text = clean_up_tokenization(raw_text)
    text = detokenizer(lang)(raw_text)
    assert words(text) == words(plain(raw_text))
    assert text == " ".join(text.split())


@pytest.mark.parametrize("lang", ["de", "tr", "ca", "ar", None])
@given(text=st.text(st.characters(exclude_characters="@&", exclude_categories=["Cs"])))
def test_any_text_keeps_its_characters(lang: str | None, text: str) -> None:
    assert words(detokenizer(lang)(text)) == words(text)


# Its own quotation marks, which here are left to `QuotationMarks`, are not among them.
WORDS_AND_PUNCTUATION = st.one_of(
    st.text("([{¿¡$€£¥₺,.?!:;\\%}])", min_size=1, max_size=3),
    st.sampled_from([*"/·،؛؟٪-–_#°»«’…😀@日。は", "-x", "5", "$5", "l'", "Haus", "(a)", "本語"]),
)


@given(tokens=st.lists(WORDS_AND_PUNCTUATION))
def test_tokens_are_joined_as_by_sacremoses(tokens: list[str]) -> None:
    assert join_tokens(tokens) == MosesDetokenizer(lang="").detokenize(tokens, unescape=False)


def test_korean_words_stay_apart() -> None:
    assert join_tokens(["안녕", "하세요", "."]) == "안녕 하세요."


@given(pieces=st.lists(st.sampled_from(["&amp;", "&", "amp;", "quot;", "&quot;", "&lt;", "&#91;", "&bra;", "x", " "])))
def test_escapes_are_undone_as_by_sacremoses(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert unescape(text) == MosesDetokenizer().unescape_xml(text)


def test_translating_needs_no_sacremoses() -> None:
    program = (
        "import sys, s2t2_cli.text as text; text.Detokenizer('de')('Ja !');"
        "sys.exit('sacremoses' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
