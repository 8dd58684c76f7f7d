"""Shallow fusion: a language model has a say in every step of the search (arXiv 2104.06678, section 2.3).

Knows: two scores and a weight, and what the second costs. Does not know: how candidates are chosen, vocabularies.

Each next token's score is its log-probability given the audio plus `weight` times its log-probability given the text
so far, both normalised over the whole vocabulary; the sum is not normalised again. It is added before any rule acts
and stays in the running score, so the score of a hypothesis is that of its text under both, divided by its length
as ever. fairseq, with which the paper was made, does the same.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from s2t2_cli.errors import ConfigurationError, UsageError
from s2t2_cli.generation.stepping import Decoder, Scorer, Stepper


class Fusion:
    """A language model and its weight in the search; `weight` 0 is a search without it, to the last bit.

    `seconds` is the time spent in the language model, over all searches so far.
    """

    def __init__(self, model: Decoder, weight: float) -> None:
        """`model` is a decoder that stands alone (`Speech2Text2ForCausalLM`). Raises UsageError for a bad weight."""
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"a language model with weight {weight} makes no sense; give 0 or more, such as 0.1")
        self.model = model
        self.weight = weight
        self.seconds = 0.0

    def join(self, scorer: Scorer, vocabulary: int) -> Scorer:
        """`scorer` with the language model's say, for one search. Raises ConfigurationError if the sizes differ."""
        if self.model.config.vocab_size != vocabulary:
            raise ConfigurationError(
                f"the language model has {self.model.config.vocab_size} tokens and the translation model {vocabulary}; "
                "train it with the tokenizer of that model"
            )
        return _FusedScorer(scorer, self)


class _FusedScorer:
    """Two scorers that walk in step."""

    def __init__(self, scorer: Scorer, fusion: Fusion) -> None:
        self._scorer = scorer
        self._fusion = fusion
        self._language_model = Stepper(fusion.model)
        self._started = False

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """The newest tokens (rows,) -> float32 fused scores of the next ones (rows, vocabulary)."""
        scores = self._scorer.log_probabilities(tokens)
        with _Stopwatch(self._fusion, tokens.device):
            if not self._started:
                tokens = self._first(tokens)
            likely = self._language_model.log_probabilities(tokens)
            return scores.add_(likely, alpha=self._fusion.weight)

    def _first(self, tokens: Tensor) -> Tensor:
        """What the text starts with as the language model has learned it, whatever the translation starts with."""
        self._started = True
        start = self._fusion.model.config.decoder_start_token_id
        return tokens if start is None else torch.full_like(tokens, start)

    def continue_rows(self, rows: Tensor, utterances: list[int] | None = None) -> None:
        self._scorer.continue_rows(rows, utterances)
        with _Stopwatch(self._fusion, rows.device):
            self._language_model.continue_rows(rows, utterances)


class _Stopwatch:
    """Adds the time within to `fusion.seconds`. A GPU works on its own: it is waited for, before and after."""

    def __init__(self, fusion: Fusion, device: torch.device) -> None:
        self._fusion = fusion
        self._device = device

    def __enter__(self) -> None:
        self._wait()
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._wait()
        self._fusion.seconds += time.perf_counter() - self._start

    def _wait(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
