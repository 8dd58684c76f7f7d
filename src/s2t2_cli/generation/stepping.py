"""One decoder step for all running hypotheses.

Knows: the decoder, its cache, which rows belong to which utterance. Does not know: how tokens are chosen.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from s2t2_cli.configuration import Speech2Text2Config


class Cache(Protocol):
    """What a decoder keeps between steps, as far as the search moves it about."""

    def reorder(self, rows: Tensor) -> None:
        """Let row i continue what row `rows[i]` held; `rows` may be fewer than before."""

    def keep_utterances(self, utterances: Tensor) -> None:
        """Drop what belongs to all but the named utterances."""


class DecoderOutput(Protocol):
    """What a decoder returns: logits (rows, length, vocabulary)."""

    logits: Tensor


class Decoder(Protocol):
    """What the search needs of a decoder: its sizes, a cache, and this call."""

    @property
    def config(self) -> Speech2Text2Config: ...

    def new_cache(self) -> Cache:
        """An empty cache for one search."""

    def __call__(
        self,
        input_ids: Tensor,
        *,
        encoder_hidden_states: Tensor | None,
        encoder_attention_mask: Tensor | None,
        past_key_values: Any,
    ) -> DecoderOutput: ...


class Scorer(Protocol):
    """What beam search needs: a score for every next token of every row, rows that come, go and change places."""

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """The newest tokens (rows,) -> float32 scores of the next ones (rows, vocabulary)."""

    def continue_rows(self, rows: Tensor, utterances: list[int] | None = None) -> None:
        """Row i goes on from row `rows[i]`; `utterances` names those that are still running, None: all of them."""


class Stepper:
    """Runs the decoder token by token over rows that come, go and change places.

    `states` (utterances, frames, d_model), None for a decoder that stands alone, and `mask` (utterances, frames) bool
    or None come from the encoder. Each utterance has the same number of neighbouring rows. The encoder's keys and
    values are made in the first step and kept.
    """

    def __init__(self, decoder: Decoder, states: Tensor | None = None, mask: Tensor | None = None) -> None:
        self._decoder = decoder
        self._cache = decoder.new_cache()
        self._states = states
        self._mask = mask

    def logits(self, tokens: Tensor) -> Tensor:
        """The newest tokens (rows,) -> float32 logits of the next ones (rows, vocabulary)."""
        output = self._decoder(
            tokens[:, None],
            encoder_hidden_states=self._states,
            encoder_attention_mask=self._mask,
            past_key_values=self._cache,
        )
        self._states = None
        return output.logits[:, -1].float()

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """The newest tokens (rows,) -> float32 log-probabilities of the next ones (rows, vocabulary)."""
        return self.logits(tokens).log_softmax(dim=-1)

    def continue_rows(self, rows: Tensor, utterances: list[int] | None = None) -> None:
        """Row i goes on from row `rows[i]`; `utterances` names those that are still running, None: all of them."""
        self._cache.reorder(rows)
        if utterances is not None:
            kept = torch.tensor(utterances, device=rows.device)
            self._cache.keep_utterances(kept)
            self._mask = None if self._mask is None else self._mask.index_select(0, kept)
