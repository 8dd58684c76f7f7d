"""Rules that change next-token scores before the best are chosen.

Knows: what each row has generated so far, and its scores for every token. Does not know: beams, finished hypotheses.
Scores are log-probabilities in beam search and logits in greedy search; none of the rules renormalises unless asked
(reference behaviour). Each rule takes `history` (rows, generated so far, start token included) and `scores`
(rows, vocabulary), and returns the scores, which it may change in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from s2t2_cli.configuration import GenerationConfig, as_ids
from s2t2_cli.errors import ConfigurationError

Processor = Callable[[Tensor, Tensor], Tensor]

_NEVER = float("-inf")


def build_processors(settings: GenerationConfig, vocabulary: int) -> list[Processor]:
    """The rules that `settings` ask for, in the reference's order.

    Raises ConfigurationError for a token id outside the vocabulary.
    """
    ends = settings.eos_token_ids
    shortest = settings.min_length if settings.min_new_tokens is None else settings.min_new_tokens + 1
    forced_ends = as_ids(settings.forced_eos_token_id)
    _require_in_vocabulary(settings, vocabulary)
    rules: list[Processor] = []
    if settings.repetition_penalty != 1.0:
        rules.append(repetition_penalty(settings.repetition_penalty))
    if settings.no_repeat_ngram_size > 0:
        rules.append(no_repeat_ngram(settings.no_repeat_ngram_size))
    if settings.bad_words_ids:
        rules.append(bad_words(settings.bad_words_ids, ends))
    if shortest > 0 and ends:
        rules.append(suppress_before(shortest, ends))
    if settings.forced_bos_token_id is not None:
        rules.append(force_at(1, (settings.forced_bos_token_id,)))
    if forced_ends:
        rules.append(force_at(settings.output_limit - 1, forced_ends))
    if settings.remove_invalid_values:
        rules.append(remove_invalid_values)
    if settings.suppress_tokens:
        rules.append(suppress(settings.suppress_tokens))
    if settings.begin_suppress_tokens:
        begin = 1 if settings.forced_bos_token_id is None else 2
        rules.append(suppress_at(begin, settings.begin_suppress_tokens))
    if settings.renormalize_logits:
        rules.append(lambda history, scores: scores.log_softmax(dim=-1))
    return rules


def _require_in_vocabulary(settings: GenerationConfig, vocabulary: int) -> None:
    named = {
        "suppress_tokens": settings.suppress_tokens or (),
        "begin_suppress_tokens": settings.begin_suppress_tokens or (),
        "forced_bos_token_id": as_ids(settings.forced_bos_token_id),
        "forced_eos_token_id": as_ids(settings.forced_eos_token_id),
        "bad_words_ids": tuple(token for words in settings.bad_words_ids or () for token in words),
    }
    for name, ids in named.items():
        for token in ids:
            if not 0 <= token < vocabulary:
                raise ConfigurationError(f"{name}: token {token} lies outside the vocabulary of {vocabulary}")


def repetition_penalty(penalty: float) -> Processor:
    """Divide positive and multiply negative scores of tokens already generated (CTRL, arXiv 1909.05858)."""

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        seen = scores.gather(1, history)
        return scores.scatter(1, history, torch.where(seen < 0, seen * penalty, seen / penalty))

    return apply


def no_repeat_ngram(size: int) -> Processor:
    """Forbid every token that would complete an n-gram already in the row (start token included)."""

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        for row, tokens in enumerate(history.tolist()):
            banned = _continuations(tokens, size)
            if banned:
                scores[row, banned] = _NEVER
        return scores

    return apply


def _continuations(tokens: list[int], size: int) -> list[int]:
    """Tokens that followed earlier occurrences of the last `size` - 1 tokens."""
    if len(tokens) + 1 < size:
        return []
    last = tokens[len(tokens) - size + 1 :]
    return [tokens[at + size - 1] for at in range(len(tokens) - size + 1) if tokens[at : at + size - 1] == last]


def bad_words(words: Sequence[Sequence[int]], ends: Sequence[int]) -> Processor:
    """Forbid the last token of each word where the row ends in the word's other tokens.

    A word that is just an end token is not forbidden (reference behaviour).
    """
    kept = [tuple(word) for word in words if not (len(word) == 1 and word[0] in ends)]

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        for row, tokens in enumerate(history.tolist()):
            banned = [
                word[-1]
                for word in kept
                if len(word) == 1 or (len(word) <= len(tokens) and tuple(tokens[1 - len(word) :]) == word[:-1])
            ]
            if banned:
                scores[row, banned] = _NEVER
        return scores

    return apply


def suppress(tokens: Sequence[int]) -> Processor:
    """Forbid tokens everywhere."""
    columns = list(tokens)

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        scores[:, columns] = _NEVER
        return scores

    return apply


def suppress_before(length: int, tokens: Sequence[int]) -> Processor:
    """Forbid tokens while the row is shorter than `length`, start token included."""
    columns = list(tokens)

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        if history.shape[1] < length:
            scores[:, columns] = _NEVER
        return scores

    return apply


def suppress_at(length: int, tokens: Sequence[int]) -> Processor:
    """Forbid tokens where the row has exactly `length` tokens, start token included."""
    columns = list(tokens)

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        if history.shape[1] == length:
            scores[:, columns] = _NEVER
        return scores

    return apply


def force_at(length: int, tokens: Sequence[int]) -> Processor:
    """Allow only `tokens`, at score 0, where the row has exactly `length` tokens, start token included."""
    columns = list(tokens)

    def apply(history: Tensor, scores: Tensor) -> Tensor:
        if history.shape[1] == length:
            scores[:] = _NEVER
            scores[:, columns] = 0.0
        return scores

    return apply


def remove_invalid_values(history: Tensor, scores: Tensor) -> Tensor:
    """Replace NaN by 0 and infinities by the largest finite values."""
    limits = torch.finfo(scores.dtype)
    return scores.nan_to_num(nan=0.0, posinf=limits.max, neginf=limits.min)
