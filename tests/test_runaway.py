"""Output that ran away is told from what people say: real loops of a model, loops by hand, ordinary sentences."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from s2t2_cli import Translator
from s2t2_cli.audio import load_audio
from s2t2_cli.generation.hypotheses import Hypothesis
from s2t2_cli.runaway import RETRY_NO_REPEAT_NGRAM_SIZE, better_of, is_runaway


def ids(sentence: str) -> list[int]:
    """An id for each sub-word, the same for the same; what matters is only which are equal."""
    words = sentence.split()
    return [words.index(word) for word in words]


@pytest.fixture(scope="module")
def translator(tiny_checkpoint: Path) -> Translator:
    return Translator.from_pretrained(tiny_checkpoint)


class TestModel:
    """The miniature checkpoint has random weights: it loops as soon as nothing makes it stop."""

    @pytest.mark.parametrize("search", [{"num_beams": 1}, {"length_penalty": 5.0}], ids=["one token", "two in turn"])
    def test_a_loop_is_found_and_a_second_try_is_better(
        self, translator: Translator, clip: Path, search: dict[str, Any]
    ) -> None:
        samples = load_audio(clip).samples
        features = translator.feature_extractor(samples, sampling_rate=16_000, return_tensors="pt")

        def answer(**settings: Any) -> Hypothesis:
            """What the model itself says, before anybody checks it."""
            return translator.model.generate(**features, **settings, return_dict_in_generate=True).hypotheses[0][0]

        looping = answer(**search)
        second = answer(**search, no_repeat_ngram_size=RETRY_NO_REPEAT_NGRAM_SIZE)
        assert is_runaway(looping.tokens, 2.8) == "repetition"
        assert is_runaway(second.tokens, 2.8) is None
        assert better_of(looping, second, 2.8) is second

    def test_what_it_says_otherwise_is_left_alone(self, translator: Translator, clip: Path) -> None:
        (result,) = translator.translate(clip)
        assert result.tokens
        assert is_runaway(result.tokens, 2.8) is None
        assert result.warnings == ()


class TestLoops:
    @pytest.mark.parametrize("period", range(1, 9))
    def test_whatever_comes_again_and_again_is_one(self, period: int) -> None:
        assert is_runaway([*range(100, 110), *list(range(period)) * 8], 60) == "repetition"

    def test_also_before_the_end(self) -> None:
        assert is_runaway(ids("ja ja ja ja ja ja ja ja ja und dann war Schluss ."), 60) == "repetition"
        assert is_runaway([*[1, 2, 3, 4, 5] * 6, 1, 2, 7], 60) == "repetition"

    def test_also_with_variations(self) -> None:
        """Never four equal rounds in a row, and yet nothing new."""
        rounds = [[1, 2, 3, 9, 1, 2, 3, 8], [1, 2, 3, 8, 1, 2, 3, 9]]
        tokens = [token for n in (0, 1, 1, 0, 0, 1) for token in rounds[n]]
        assert is_runaway(tokens, 60) == "repetition"

    @pytest.mark.parametrize(
        "sentence",
        [
            "eins zwei drei drei drei",
            "null null null",
            "die Vor@@ wahl ist null null null null null sieben",
            "sie@@ ben sie@@ ben sie@@ ben sie@@ ben",
            "neun@@ und@@ neun@@ zig neun@@ und@@ neun@@ zig neun@@ und@@ neun@@ zig",
            "eins zwei eins zwei eins zwei eins zwei",
            "ja ja ja ja , das ist gut , gut , gut",
            "hin und her und hin und her und hin und her",
            "wenn Fliegen hinter Fliegen fliegen , fliegen Fliegen Fliegen hinter@@ her .",
            "",
        ],
    )
    def test_what_people_do_say_twice_or_more_is_none(self, sentence: str) -> None:
        assert is_runaway(ids(sentence), 10) is None

    @given(st.lists(st.integers(0, 9), min_size=1, max_size=16), st.integers(1, 3))
    def test_a_number_read_out_is_none(self, digits: list[int], subwords: int) -> None:
        """Of up to 16 digits, each a word of some sub-words, unless most of its pairs come again and again."""
        assume(len(set(pairwise(digits))) > len(digits) / 2)
        tokens = [digit * 10 + part for digit in digits for part in range(subwords)]
        assert is_runaway(tokens, len(digits) * 0.4) is None


class TestDuration:
    def test_two_hundred_tokens_are_not_said_in_two_seconds(self) -> None:
        assert is_runaway(range(199), 2) == "too_long_for_duration"
        assert is_runaway(range(199), 20) is None

    def test_fast_speech_is_possible(self) -> None:
        """Of 100 spoken sentences one has over 11.7 tokens a second; one of 2.1 s has 35 in all."""
        assert is_runaway(range(117), 10) is None
        assert is_runaway(range(35), 2.1) is None

    def test_a_word_takes_no_time(self) -> None:
        assert is_runaway(range(5), 0.1) is None

    def test_a_vocabulary_of_letters_needs_more(self) -> None:
        assert is_runaway(range(180), 10) == "too_long_for_duration"
        assert is_runaway(range(180), 10, tokens_per_second=30) is None


class TestBetter:
    GOOD = Hypothesis((1, 2, 3, 4), -1.5, 2)
    LOOP = Hypothesis((1, 2, *[3] * 12), -0.1, 2)

    def test_a_second_try_that_ends_replaces_a_loop_whatever_the_scores(self) -> None:
        assert better_of(self.LOOP, self.GOOD, 3) is self.GOOD

    def test_a_first_that_is_no_loop_stays(self) -> None:
        assert better_of(self.GOOD, self.LOOP, 3) is self.GOOD
        assert better_of(self.GOOD, Hypothesis((5, 6), -0.2, 2), 3) is self.GOOD

    def test_of_two_that_ran_away_the_one_with_less_of_it(self) -> None:
        shorter = Hypothesis((1, 2, *[3] * 9), -0.2, 2)
        assert better_of(self.LOOP, shorter, 3) is shorter
        assert better_of(shorter, self.LOOP, 3) is shorter
        too_long = Hypothesis(tuple(range(100)), -0.5)
        assert better_of(too_long, Hypothesis(tuple(range(60)), -0.9), 3).tokens == tuple(range(60))

    def test_no_words_are_no_improvement(self) -> None:
        assert better_of(self.LOOP, Hypothesis((), -0.01, 2), 3) is self.LOOP
