"""A language model in the search, against a slow computation of what each output should score."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from s2t2_cli import GenerationConfig, Speech2Text2Config, Speech2Text2ForCausalLM
from s2t2_cli.errors import ConfigurationError, UsageError
from s2t2_cli.generation import Fusion, GenerationOutput, generate
from s2t2_cli.modeling.cache import DecoderCache

PAD, END = 1, 2
VOCABULARY = 6
WIDTH = 8


def network(seed: int, *, attends: bool, **changes: Any) -> Speech2Text2ForCausalLM:
    config = Speech2Text2Config(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        init_std=0.6,
        add_cross_attention=attends,
        **changes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Speech2Text2ForCausalLM(config).eval()


TRANSLATION = network(1, attends=True)
LANGUAGE = network(2, attends=False)
STATES = torch.randn((3, 5, WIDTH), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def search(fusion: Fusion | None, states: Tensor = STATES, **settings: Any) -> GenerationOutput:
    usual: dict[str, Any] = {
        "eos_token_id": END,
        "pad_token_id": PAD,
        "decoder_start_token_id": 2,
        "suppress_tokens": [PAD],  # the reference counts positions differently behind a pad
        "max_length": 8,
        "num_beams": 3,
    }
    return generate(TRANSLATION, states, None, GenerationConfig.from_dict(usual | settings), fusion)


@torch.no_grad()
def slow_score(tokens: tuple[int, ...], states: Tensor, weight: float, model: Speech2Text2ForCausalLM) -> float:
    """The sum over an output of both models' log-probabilities, each model run over the whole text at once."""
    ids = torch.tensor([[2, *tokens[:-1]]])
    translated = TRANSLATION(ids, encoder_hidden_states=states[None], use_cache=False).logits.log_softmax(-1)
    likely = model(ids, use_cache=False).logits.log_softmax(-1)
    columns = torch.tensor(tokens)[None, :, None]
    return float((translated + weight * likely).gather(2, columns).sum())


def with_end(hypothesis: Any) -> tuple[int, ...]:
    return (*hypothesis.tokens, *(() if hypothesis.end is None else (hypothesis.end,)))


@given(
    st.integers(1, 5),
    st.sampled_from([0.05, 0.4, 1.0, 3.0]),
    st.sampled_from([0.0, 0.7, 1.5]),
    st.sampled_from([True, False, "never"]),
)
def test_the_score_is_that_of_the_text_under_both_models(
    beams: int, weight: float, length_penalty: float, early_stopping: bool | str
) -> None:
    output = search(
        Fusion(LANGUAGE, weight),
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )
    for utterance, best in enumerate(output.hypotheses):
        assert len(best) == beams
        for one in best:
            tokens = with_end(one)
            expected = slow_score(tokens, STATES[utterance], weight, LANGUAGE) / len(tokens) ** length_penalty
            assert one.score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("weight", [0.1, 1.0])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_a_beam_wide_enough_finds_the_best_outputs_of_all(weight: float, length_penalty: float) -> None:
    others = [token for token in range(VOCABULARY) if token not in (PAD, END)]
    longest = 3
    outputs = [
        (*tokens, *end)
        for length in range(longest + 1)
        for tokens in itertools.product(others, repeat=length)
        for end in ((END,) if length < longest else (),)
    ]
    found = search(
        Fusion(LANGUAGE, weight),
        STATES[:1],
        max_length=longest + 1,
        num_beams=VOCABULARY**longest,
        num_return_sequences=4,
        length_penalty=length_penalty,
        early_stopping=False,
    )
    ranked = sorted(
        ((slow_score(one, STATES[0], weight, LANGUAGE) / len(one) ** length_penalty, one) for one in outputs),
        reverse=True,
    )
    for hypothesis, (score, tokens) in zip(found.hypotheses[0], ranked, strict=False):
        assert with_end(hypothesis) == tokens
        assert hypothesis.score == pytest.approx(score, abs=1e-4)


@torch.no_grad()
def test_one_beam_takes_the_best_token_under_both_each_time() -> None:
    weight = 0.8
    fused = search(Fusion(LANGUAGE, weight), num_beams=1, early_stopping="never")
    for utterance, (hypothesis,) in enumerate(fused.hypotheses):
        ids = [2]
        while len(ids) < 8 and (len(ids) == 1 or ids[-1] != END):
            scores = TRANSLATION(torch.tensor([ids]), encoder_hidden_states=STATES[utterance : utterance + 1]).logits
            scores = scores[0, -1].log_softmax(-1) + weight * LANGUAGE(torch.tensor([ids])).logits[0, -1].log_softmax(
                -1
            )
            scores[PAD] = float("-inf")
            ids.append(int(scores.argmax()))
        assert with_end(hypothesis) == tuple(ids[1:])


def test_the_language_model_changes_the_outcome() -> None:
    """Else nothing above proves anything."""
    assert search(Fusion(LANGUAGE, 1.0)).sequences.tolist() != search(None).sequences.tolist()


class Unusable:
    """A language model that must not be run."""

    config = LANGUAGE.config

    def new_cache(self) -> DecoderCache:
        raise AssertionError("asked for a cache")

    def __call__(self, *args: Any, **options: Any) -> Any:
        raise AssertionError("was run")


@pytest.mark.parametrize("beams", [1, 4])
def test_weight_0_is_a_search_without_it_to_the_last_bit(beams: int) -> None:
    fusion = Fusion(Unusable(), 0.0)
    without = search(None, num_beams=beams, num_return_sequences=beams)
    zero = search(fusion, num_beams=beams, num_return_sequences=beams)
    assert torch.equal(zero.sequences, without.sequences)
    assert torch.equal(zero.sequences_scores, without.sequences_scores)
    assert fusion.seconds == 0.0


@given(st.integers(1, 4), st.sampled_from([True, False]))
def test_utterances_of_a_batch_do_not_influence_each_other(beams: int, early_stopping: bool) -> None:
    settings: dict[str, Any] = {"num_beams": beams, "early_stopping": early_stopping, "max_length": 12}
    together = search(Fusion(LANGUAGE, 0.5), **settings)
    for utterance, best in enumerate(together.hypotheses):
        (alone,) = search(Fusion(LANGUAGE, 0.5), STATES[utterance : utterance + 1], **settings).hypotheses
        assert [one.tokens for one in alone] == [one.tokens for one in best]
        assert [one.score for one in alone] == pytest.approx([one.score for one in best], abs=1e-5)


def test_the_rules_have_the_last_word() -> None:
    output = search(Fusion(LANGUAGE, 50.0), forced_bos_token_id=4, no_repeat_ngram_size=1, max_length=5)
    for (best,) in output.hypotheses:
        assert best.tokens[0] == 4
        assert sorted(best.tokens) == [0, 3, 4, 5]  # the end token counts as a repetition of the start token
    # A forced token costs nothing, whatever either model thinks of it.
    forced = search(Fusion(LANGUAGE, 50.0), forced_bos_token_id=4, max_length=2)
    assert forced.sequences_scores.tolist() == [0.0, 0.0, 0.0]


def test_a_text_starts_for_the_language_model_as_it_was_trained() -> None:
    """A translation model that starts with <s> still finds a language model that starts with </s>."""
    weight = 1.0
    output = search(Fusion(LANGUAGE, weight), STATES[:1], decoder_start_token_id=0, max_length=2)
    (best,) = output.hypotheses[0]
    with torch.no_grad():
        spoken = TRANSLATION(torch.tensor([[0]]), encoder_hidden_states=STATES[:1]).logits[0, -1].log_softmax(-1)
        likely = LANGUAGE(torch.tensor([[2]])).logits[0, -1].log_softmax(-1)
    (token,) = with_end(best)
    assert best.score == pytest.approx(float(spoken[token] + weight * likely[token]), abs=1e-5)


def test_it_runs_once_a_step_over_the_rows_that_are_left() -> None:
    rows: list[int] = []

    class Counted:
        config = LANGUAGE.config
        new_cache = staticmethod(LANGUAGE.new_cache)

        def __call__(self, input_ids: Tensor, **options: Any) -> Any:
            assert input_ids.shape[1] == 1
            rows.append(len(input_ids))
            return LANGUAGE(input_ids, **options)

    fusion = Fusion(Counted(), 0.3)
    output = search(fusion, num_beams=2, early_stopping=True, max_length=12)
    longest = max(len(with_end(one)) for (one,) in output.hypotheses)
    assert rows[0] == 2 * len(STATES)
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < rows[0]
    assert len(rows) >= longest
    assert fusion.seconds > 0


def test_another_vocabulary_is_refused() -> None:
    other = Speech2Text2ForCausalLM(Speech2Text2Config(vocab_size=9, d_model=8, add_cross_attention=False))
    with pytest.raises(ConfigurationError, match="has 9 tokens and the translation model 6"):
        search(Fusion(other, 0.1))


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_must_make_sense(weight: float) -> None:
    with pytest.raises(UsageError, match=r"give 0 or more, such as 0\.1"):
        Fusion(LANGUAGE, weight)
