"""The search, on decoders small enough to enumerate every output."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from s2t2_cli import GenerationConfig, Speech2Text2Config
from s2t2_cli.errors import ConfigurationError
from s2t2_cli.generation import generate
from s2t2_cli.generation.hypotheses import FinishedHypotheses
from s2t2_cli.generation.largest import largest
from s2t2_cli.generation.processors import build_processors
from s2t2_cli.modeling.cache import DecoderCache

START, PAD, END = 2, 1, 2
VOCABULARY = 6


@dataclass
class Logits:
    logits: Tensor


class Bigrams:
    """A decoder whose next token depends on the last one and the utterance: its best output can be enumerated."""

    def __init__(self, tables: Tensor) -> None:
        self.tables = tables  # (utterances, vocabulary, vocabulary)
        self.config = Speech2Text2Config(
            vocab_size=tables.shape[1], d_model=4, decoder_layers=1, decoder_attention_heads=1
        )

    def new_cache(self) -> DecoderCache:
        return DecoderCache(layers=1)

    def __call__(self, input_ids: Tensor, *, encoder_hidden_states: Tensor | None, past_key_values: DecoderCache,
                 **rest: Any) -> Logits:  # fmt: skip
        if encoder_hidden_states is not None:
            # The utterance's number rides in the cache the way encoder states do, so that reordering is exercised.
            past_key_values.store_cross(encoder_hidden_states[:, None], encoder_hidden_states[:, None])
        keys, _ = past_key_values.cross(0) or (torch.zeros(1, 1, 1, 1), None)
        utterances = keys[:, 0, 0, 0].long()
        rows = utterances.repeat_interleave(input_ids.shape[0] // len(utterances))
        return Logits(self.tables[rows, input_ids[:, -1]][:, None])


def search(tables: Tensor, **settings: Any) -> Any:
    states = torch.arange(len(tables), dtype=torch.float32)[:, None, None]
    defaults: dict[str, Any] = {
        "eos_token_id": END,
        "pad_token_id": PAD,
        "decoder_start_token_id": START,
        "max_length": 5,
    }
    return generate(Bigrams(tables), states, None, GenerationConfig.from_dict(defaults | settings))


def random_tables(seed: int, utterances: int = 1) -> Tensor:
    return torch.randn((utterances, VOCABULARY, VOCABULARY), generator=torch.Generator().manual_seed(seed)) * 2


def every_output(table: Tensor, longest: int, length_penalty: float) -> list[tuple[float, tuple[int, ...]]]:
    """All outputs of at most `longest` tokens, end token included, with their scores, best first."""
    log_probabilities = table.log_softmax(-1)
    found = []
    for length in range(1, longest + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=length):
            ended = tokens[-1] == END
            if END in tokens[:-1] or (not ended and length < longest):
                continue
            steps = zip((START, *tokens), tokens, strict=False)
            total = sum(float(log_probabilities[before, after]) for before, after in steps)
            found.append((total / length**length_penalty, tokens))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_a_beam_wide_enough_finds_the_best_outputs_of_all(seed: int, length_penalty: float) -> None:
    tables = random_tables(seed)
    wide = VOCABULARY**3
    output = search(
        tables,
        max_length=4,
        num_beams=wide,
        num_return_sequences=3,
        length_penalty=length_penalty,
        early_stopping=False,
    )

    best = every_output(tables[0], 3, length_penalty)[:3]
    for found, (score, tokens) in zip(output.hypotheses[0], best, strict=True):
        assert (*found.tokens, *(() if found.end is None else (found.end,))) == tokens
        assert found.score == pytest.approx(score, abs=1e-5)


@given(
    st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([True, False, "never"]), st.sampled_from([0.0, 0.7, 1.5])
)
def test_the_score_is_that_of_the_text_it_comes_with(
    seed: int, beams: int, early_stopping: bool | str, length_penalty: float
) -> None:
    tables = random_tables(seed)
    output = search(
        tables,
        num_beams=beams,
        num_return_sequences=beams,
        early_stopping=early_stopping,
        length_penalty=length_penalty,
        max_length=8,
    )
    log_probabilities = tables[0].log_softmax(-1)
    scores = []
    for one in output.hypotheses[0]:
        tokens = (*one.tokens, *(() if one.end is None else (one.end,)))
        total = sum(float(log_probabilities[a, b]) for a, b in zip((START, *tokens), tokens, strict=False))
        assert one.score == pytest.approx(total / len(tokens) ** length_penalty, abs=1e-4)
        scores.append(one.score)
    assert scores == sorted(scores, reverse=True)
    assert len({(one.tokens, one.end) for one in output.hypotheses[0]}) == beams


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([True, False, "never"]))
def test_utterances_of_a_batch_do_not_influence_each_other(seed: int, beams: int, early_stopping: bool | str) -> None:
    tables = random_tables(seed, utterances=4)
    settings = {"num_beams": beams, "early_stopping": early_stopping, "max_length": 9}
    together = search(tables, **settings).hypotheses
    alone = [search(tables[one : one + 1], **settings).hypotheses[0] for one in range(4)]
    assert [[one.tokens for one in best] for best in together] == [[one.tokens for one in best] for best in alone]


@given(st.integers(0, 10_000))
def test_greedy_takes_the_best_token_each_time(seed: int) -> None:
    tables = random_tables(seed, utterances=2)
    output = search(tables, num_beams=1, max_length=6)
    for table, row in zip(tables, output.sequences.tolist(), strict=True):
        token, expected = START, [START]
        while len(expected) < 6 and not (token == END and len(expected) > 1):
            token = int(table[token].argmax())
            expected.append(token)
        assert row == expected + [PAD] * (len(row) - len(expected))


def test_finished_utterances_cost_nothing() -> None:
    tables = torch.zeros(3, VOCABULARY, VOCABULARY)
    tables[0, :, END] = 50.0  # ends at once
    tables[1:, :, 4] = 50.0  # never ends
    rows: list[int] = []

    class Counted(Bigrams):
        def __call__(self, input_ids: Tensor, **rest: Any) -> Logits:
            rows.append(input_ids.shape[0])
            return super().__call__(input_ids, **rest)

    states = torch.arange(3, dtype=torch.float32)[:, None, None]
    settings = GenerationConfig(num_beams=1, max_length=4, eos_token_id=END, decoder_start_token_id=START)
    generate(Counted(tables), states, None, settings)
    assert rows == [3, 2, 2]


@pytest.mark.parametrize("beams", [1, 3])
def test_lengths_are_bounded(beams: int) -> None:
    tables = random_tables(3)
    tables[0, :, END] += 3
    assert search(tables, num_beams=beams, max_new_tokens=2).sequences.shape[1] <= 3
    shortest = search(tables, num_beams=beams, min_length=5, max_length=9).hypotheses[0][0]
    assert len(shortest.tokens) >= 4
    shortest = search(tables, num_beams=beams, min_new_tokens=5, max_length=9).hypotheses[0][0]
    assert len(shortest.tokens) >= 5


@pytest.mark.parametrize("beams", [1, 4])
def test_forced_tokens_stand_where_they_were_forced(beams: int) -> None:
    row = search(
        random_tables(5), num_beams=beams, forced_bos_token_id=4, forced_eos_token_id=END, max_length=5, min_length=5
    ).sequences[0]
    assert (row[1], row[-1]) == (4, END)


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 4))
def test_no_ngram_comes_twice(seed: int, size: int, beams: int) -> None:
    output = search(random_tables(seed), num_beams=beams, no_repeat_ngram_size=size, max_length=VOCABULARY)
    tokens = [START, *output.hypotheses[0][0].tokens]
    ngrams = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
    assert len(ngrams) == len(set(ngrams))


def test_rules_of_single_tokens() -> None:
    def apply(settings: GenerationConfig, history: list[int]) -> list[float]:
        scores = torch.tensor([[0.5, -1.0, 2.0, -2.0, 4.0, 0.0]])
        for rule in build_processors(settings, VOCABULARY):
            scores = rule(torch.tensor([history]), scores)
        return [round(value, 3) for value in scores[0].tolist()]

    never = float("-inf")
    assert apply(GenerationConfig(suppress_tokens=(0, 4)), [2]) == [never, -1.0, 2.0, -2.0, never, 0.0]
    assert apply(GenerationConfig(begin_suppress_tokens=(4,)), [2])[4] == never
    assert apply(GenerationConfig(begin_suppress_tokens=(4,)), [2, 3])[4] == 4.0
    assert apply(GenerationConfig(repetition_penalty=2.0), [2, 3]) == [0.5, -1.0, 1.0, -4.0, 4.0, 0.0]
    words = GenerationConfig(bad_words_ids=((4,), (3, 5), (2,)), eos_token_id=2)
    assert apply(words, [2, 3]) == [0.5, -1.0, 2.0, -2.0, never, never]
    assert apply(words, [2, 4]) == [0.5, -1.0, 2.0, -2.0, never, 0.0]
    normal = apply(GenerationConfig(renormalize_logits=True), [2])
    assert sum(2.718281828**value for value in normal) == pytest.approx(1, abs=1e-2)


def test_invalid_scores_are_replaced_if_asked() -> None:
    (rule,) = build_processors(GenerationConfig(remove_invalid_values=True), VOCABULARY)
    scores = rule(torch.tensor([[2]]), torch.tensor([[float("nan"), float("inf"), float("-inf"), 1.0]]))
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"suppress_tokens": [6]}, "suppress_tokens: token 6 lies outside the vocabulary of 6"),
        ({"bad_words_ids": [[3, -1]]}, "bad_words_ids: token -1"),
        ({"forced_bos_token_id": 9}, "forced_bos_token_id: token 9"),
        ({"max_length": 1}, "leaves no room"),
        ({"decoder_start_token_id": None}, "neither decoder_start_token_id nor bos_token_id"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        search(random_tables(0), **settings)


def test_among_equal_scores_the_later_hypothesis_comes_first() -> None:
    kept = FinishedHypotheses(GenerationConfig(num_beams=2, length_penalty=0.0))
    for token in (7, 8):
        kept.add((token,), -1.0, END)
    kept.add((9,), -1.0, END)  # no better than the worst: not kept
    assert [one.tokens for one in kept.best(2)] == [(8,), (7,)]


def test_bos_starts_where_no_start_token_is_named() -> None:
    output = search(random_tables(0), decoder_start_token_id=None, bos_token_id=3, pad_token_id=None, num_beams=1)
    assert output.sequences[0, 0] == 3


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 3),
    size=st.one_of(st.integers(12, 300), st.sampled_from([640, 704, 705, 767, 5_000])),
    count=st.integers(1, 12),
)
def test_the_largest_of_blocks_are_the_largest_of_all(seed: int, rows: int, size: int, count: int) -> None:
    values = torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))
    values[:, seed % size] = float("-inf")
    best, places = largest(values, count)
    expected = values.topk(count)
    assert best.equal(expected.values)
    assert places.equal(expected.indices)


def test_the_largest_are_found_among_equals_and_where_all_is_forbidden() -> None:
    values = torch.full((1, 1_000), float("-inf"))
    values[0, 990:] = 1.0  # behind the last whole block
    best, places = largest(values, 12)
    assert best[0].tolist() == [1.0] * 10 + [float("-inf")] * 2
    assert set(places[0, :10].tolist()) == set(range(990, 1_000))
    assert len(set(places[0].tolist())) == 12
