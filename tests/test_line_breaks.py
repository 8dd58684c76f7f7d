"""Where subtitles break: at sentences, clauses, words; two lines of 42 characters; nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.line_breaks import LINE_LENGTH, break_text


def words_of(text: str) -> str:
    """The text without its spaces: what must come through whatever the breaks."""
    return "".join(text.split())


class TestCues:
    def test_a_short_sentence_is_one_line(self) -> None:
        assert break_text("Guten Morgen.") == [("Guten Morgen.",)]

    def test_two_lines_are_about_equally_long(self) -> None:
        assert break_text("Wir sind gestern mit dem Zug nach Hamburg gefahren.") == [
            ("Wir sind gestern mit dem", "Zug nach Hamburg gefahren."),
        ]

    def test_a_line_ends_with_its_clause_where_that_is_near(self) -> None:
        assert break_text("Ich weiß noch gar nicht, wann der Zug nach Hamburg abfährt.") == [
            ("Ich weiß noch gar nicht,", "wann der Zug nach Hamburg abfährt."),
        ]

    def test_a_cue_ends_with_its_sentence_if_it_can(self) -> None:
        text = (
            "Gestern sind wir nach Hamburg gefahren. Das Wetter war so schlecht, dass niemand mit dem Auto fahren "
            "wollte."
        )
        assert break_text(text) == [
            ("Gestern sind wir nach Hamburg gefahren.",),
            ("Das Wetter war so schlecht,", "dass niemand mit dem Auto fahren wollte."),
        ]

    def test_short_sentences_share_a_cue(self) -> None:
        assert break_text("Ja. Das stimmt. Genau.") == [("Ja. Das stimmt. Genau.",)]

    def test_without_sentences_it_ends_with_a_clause(self) -> None:
        text = "als der Zug endlich in Hamburg ankam, regnete es so stark, dass wir am Bahnhof bleiben mussten"
        assert [lines[-1][-1] for lines in break_text(text)] == [",", "n"]

    def test_the_point_of_an_ordinal_or_abbreviation_ends_no_sentence(self) -> None:
        text = "Die große Ausstellung im alten Museum am Hafen beginnt erst am 3. Mai und dauert z. B. bis zum 4. Juni."
        ends = {lines[-1].split()[-1] for lines in break_text(text)}
        assert not ends & {"3.", "z.", "B.", "4."}

    def test_what_lasts_long_is_spread_over_its_time(self) -> None:
        text = "Wir gehen jetzt nach Hause zurück, weil es spät ist."
        assert len(break_text(text, seconds=5)) == 1
        assert break_text(text, seconds=16) == [("Wir gehen jetzt nach Hause zurück,",), ("weil es spät ist.",)]

    def test_arabic_keeps_its_logical_order(self) -> None:
        text = "ذهبنا أمس بالقطار إلى هامبورغ، لأن الطقس كان سيئًا للغاية. هل تفهم ما أقوله لك الآن يا صديقي؟"
        cues = break_text(text)
        assert [lines[-1][-1] for lines in cues] == [".", "؟"]
        assert " ".join(" ".join(lines) for lines in cues) == text

    def test_a_line_of_digits_does_not_come_last(self) -> None:
        """Readers of SRT, pysubs2 among them, take it for the number of the next cue."""
        (lines,) = break_text("Das Aktenzeichen des Verfahrens lautet also 20242025")
        assert not lines[-1].isdigit()


class TestWords:
    def test_a_word_too_long_for_a_line_is_broken_after_a_hyphen(self) -> None:
        (lines,) = break_text("Rhein-Main-Donau-Schifffahrtsgesellschafts-Kapitän")
        assert lines == ("Rhein-Main-Donau-", "Schifffahrtsgesellschafts-Kapitän")

    def test_else_in_equal_parts(self) -> None:
        assert break_text("a" * 43) == [("a" * 22, "a" * 21)]

    def test_a_word_that_fits_is_never_broken(self) -> None:
        word = "Donaudampfschifffahrtsgesellschaftskapitän"
        assert len(word) == LINE_LENGTH
        assert break_text(f"der {word}") == [("der", word)]

    def test_marks_stay_with_their_letter(self) -> None:
        (lines,) = break_text("aaaaaaaaaaaaaaaaaaaaaa\u0301aaaaaaaaaaaaaaaaaaaaaaa")
        assert not any(line.startswith("\u0301") for line in lines)

    def test_nothing_visible_is_nothing_to_show(self) -> None:
        assert break_text("") == break_text(" \n\t ") == break_text("\u200b \u200e") == []

    def test_controls_are_spelled_out_and_break_no_line(self) -> None:
        assert break_text("a\nb\x1b[2Jc\u2028d") == [("a b\\x1b[2Jc d",)]


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["der", "Zug", "nach,", "gefahren.", "Mai", "3.", "ja!", "“So”,", "2024", "القطار", "هل؟"]),
        st.text(st.sampled_from("abü-/1.س\u0301"), min_size=1, max_size=100),
    ),
    max_size=40,
).map(" ".join)


@given(TEXTS, st.floats(0, 60))
def test_any_text_keeps_its_words_and_every_line_fits(text: str, seconds: float) -> None:
    cues = break_text(text, seconds)
    assert words_of("".join("".join(lines) for lines in cues)) == words_of(text)
    for lines in cues:
        assert 1 <= len(lines) <= 2
        for line in lines:
            assert 0 < len(line) <= LINE_LENGTH
            assert line == line.strip()


@given(st.lists(st.text(st.sampled_from("abü,."), min_size=1, max_size=LINE_LENGTH), max_size=40))
def test_words_that_fit_a_line_stay_whole(words: list[str]) -> None:
    cues = break_text(" ".join(words))
    assert [word for lines in cues for line in lines for word in line.split()] == words
