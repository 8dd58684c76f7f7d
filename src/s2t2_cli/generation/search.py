"""From encoder states and settings to ids and scores.

Knows: which search to run, with which scorer, and the shape of what `generate` returns.
Does not know: how a step is computed or chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from s2t2_cli.configuration import GenerationConfig
from s2t2_cli.errors import ConfigurationError, TranslationError
from s2t2_cli.generation.beam_search import beam_search
from s2t2_cli.generation.fusion import Fusion
from s2t2_cli.generation.greedy import greedy_search
from s2t2_cli.generation.hypotheses import Hypothesis
from s2t2_cli.generation.processors import build_processors
from s2t2_cli.generation.stepping import Decoder, Stepper


@dataclass(frozen=True)
class GenerationOutput:
    """`sequences` (utterances * num_return_sequences, length) ids, start token first, padded at the end;
    `sequences_scores` (utterances * num_return_sequences,) length-normalised log-probabilities;
    `hypotheses` the same, one list for each utterance, best first, without start, end and padding."""

    sequences: Tensor
    sequences_scores: Tensor
    hypotheses: list[list[Hypothesis]]


def generate(
    decoder: Decoder,
    states: Tensor,
    mask: Tensor | None,
    settings: GenerationConfig,
    fusion: Fusion | None = None,
) -> GenerationOutput:
    """Search the decoder for the best outputs given encoder `states` (utterances, frames, d_model).

    `mask` (utterances, frames) bool marks real frames, None: all. With `fusion` a language model takes part, and a
    single beam is then a beam search too: its rules act on log-probabilities, not on logits. Raises
    ConfigurationError where `settings` name no start token or the language model has another vocabulary,
    TranslationError where the decoder gives no numbers.
    """
    start = settings.decoder_start_token_id
    start = settings.bos_token_id if start is None else start
    if start is None:
        raise ConfigurationError("the generation settings name neither decoder_start_token_id nor bos_token_id")
    if not 0 <= start < decoder.config.vocab_size:
        raise ConfigurationError(f"the start token {start} lies outside the vocabulary of {decoder.config.vocab_size}")
    pad = settings.pad_token_id
    if pad is None:
        pad = settings.eos_token_ids[0] if settings.eos_token_ids else 0
    if settings.output_limit < 2:
        raise ConfigurationError("max_length=1 leaves no room for output: the start token is counted")
    processors = build_processors(settings, decoder.config.vocab_size)
    stepper = Stepper(decoder, states, mask)
    if fusion is not None and fusion.weight:
        if settings.num_beams == 1:
            settings = settings.replace(early_stopping=True)  # there is nothing to wait for: greedy takes one way
        scorer = fusion.join(stepper, decoder.config.vocab_size)
        hypotheses = beam_search(scorer, states.shape[0], start, settings, processors, states.device)
    else:
        search = greedy_search if settings.num_beams == 1 else beam_search
        hypotheses = search(stepper, states.shape[0], start, settings, processors, states.device)
    flat = [one for best in hypotheses for one in best]
    if any(math.isnan(one.score) for one in flat):
        raise TranslationError(
            "the model's scores are not numbers (NaN): its weights are damaged (s2t2 models verify tells), or --dtype"
            " float16 is too narrow for them"
        )
    scores = torch.tensor([one.score for one in flat], device=states.device)
    return GenerationOutput(_as_tensor(flat, start, pad, settings).to(states.device), scores, hypotheses)


def _as_tensor(hypotheses: list[Hypothesis], start: int, pad: int, settings: GenerationConfig) -> Tensor:
    """Start token, tokens, end token where there is one, padding to the longest."""
    rows = []
    for one in hypotheses:
        end = () if one.end is None else (one.end if settings.num_beams == 1 else settings.eos_token_ids[0],)
        rows.append([start, *one.tokens, *end])
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
