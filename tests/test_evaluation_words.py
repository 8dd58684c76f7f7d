"""What does not count is taken out before scoring, and what differs is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.evaluation.differences import mark_differences
from s2t2_cli.evaluation.normalization import Normalization


@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        (Normalization(), " Wie  bitte? ", " Wie  bitte? "),
        (Normalization(ignore_case=True), "Wie  BITTE?", "wie bitte?"),
        (Normalization(ignore_punctuation=True), "Wie, bitte? 10:30 – l'hora, 5 €", "Wie bitte 10 30 l hora 5 €"),
        (Normalization(ignore_punctuation=True), "أين، من فضلك؟ «هنا»", "أين من فضلك هنا"),
        (Normalization(ignore_case=True, lang="tr"), "ILIK İstanbul", "ılık istanbul"),
        (Normalization(ignore_case=True, lang="tr-TR"), "I", "ı"),
        (Normalization(ignore_case=True, lang="de"), "I", "i"),
        (Normalization(True, True, "de"), "„Ja“, sagte ER.", "ja sagte er"),
    ],
)
def test_normalization(rules: Normalization, text: str, expected: str) -> None:
    assert rules(text) == expected


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (Normalization(), ""),
        (Normalization(True, True, "tr"), "lower-cased (Turkish), punctuation made spaces"),
        (Normalization(ignore_case=True), "lower-cased"),
    ],
)
def test_its_rules_have_names(rules: Normalization, words: str) -> None:
    assert str(rules) == words


def shown(parts: list[tuple[str, bool]]) -> str:
    return "".join(f"[{text}]" if differs else text for text, differs in parts)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("Wo ist der Bahnhof?", "Wo ist der Bahnhof?", ("Wo ist der Bahnhof?", "Wo ist der Bahnhof?")),
        ("Wo ist der Bahnhof?", "Wo der Bahnhof", ("Wo [ist] der Bahnhof[?]", "Wo der Bahnhof")),
        ("um drei Uhr", "um vier Uhr Uhr", ("um [drei] Uhr", "um [vier] Uhr [Uhr]")),
        ("ganz anders", "nichts davon stimmt", ("[ganz anders]", "[nichts davon stimmt]")),
        ("l'hora", "d'hora", ("[l]'hora", "[d]'hora")),
        ("كِتَابٌ جديد", "كِتَابٌ قديم", ("كِتَابٌ [جديد]", "كِتَابٌ [قديم]")),
        ("da ist etwas", "", ("da ist etwas", "")),
        ("", "zu viel", ("", "[zu viel]")),
    ],
)
def test_differences(reference: str, hypothesis: str, expected: tuple[str, str]) -> None:
    marked, (other,) = mark_differences(reference, [hypothesis])
    assert (shown(marked), shown(other)) == expected


def test_of_the_reference_what_no_hypothesis_has() -> None:
    marked, others = mark_differences("a b c d", ["a x c", "b c"])
    assert (shown(marked), [shown(one) for one in others]) == ("a b c [d]", ["a [x] c", "b c"])


def test_what_does_not_count_does_not_differ() -> None:
    marked, (other,) = mark_differences("Ja, gern!", ["ja gern"], Normalization(True, True))
    assert (shown(marked), shown(other)) == ("Ja, gern!", "ja gern")


@given(st.text(), st.lists(st.text(), max_size=3))
def test_no_character_is_lost(reference: str, hypotheses: list[str]) -> None:
    marked, others = mark_differences(reference, hypotheses)
    assert ["".join(text for text, _ in parts) for parts in (marked, *others)] == [reference, *hypotheses]
