"""Greedy search: always the best next token (`num_beams` 1).

Knows: scores in, ids out. Does not know: the network behind the scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from s2t2_cli.configuration import GenerationConfig
from s2t2_cli.generation.hypotheses import Hypothesis
from s2t2_cli.generation.processors import Processor
from s2t2_cli.generation.stepping import Stepper


def greedy_search(
    stepper: Stepper,
    utterances: int,
    start: int,
    settings: GenerationConfig,
    processors: Sequence[Processor],
    device: torch.device,
) -> list[list[Hypothesis]]:
    """One hypothesis for each utterance.

    The rules act on logits here (reference behaviour). The reference gives no score in this mode; ours is the mean
    log-probability of the chosen tokens after the rules, length-normalised as in beam search, so that it compares.
    """
    ends = settings.eos_token_ids
    done: dict[int, Hypothesis] = {}
    running = list(range(utterances))
    history = torch.full((utterances, 1), start, device=device)
    totals = torch.zeros(utterances, device=device)

    def close(place: int, end: int | None) -> None:
        tokens = tuple(history[place, 1:].tolist())
        length = len(tokens) + (end is not None)
        done[running[place]] = Hypothesis(tokens, float(totals[place]) / length**settings.length_penalty, end)

    while history.shape[1] < settings.output_limit:
        scores = stepper.logits(history[:, -1])
        for process in processors:
            scores = process(history, scores)
        chosen = scores.argmax(dim=-1)
        totals = totals + scores.log_softmax(dim=-1).gather(1, chosen[:, None])[:, 0]
        still = []
        for place, token in enumerate(chosen.tolist()):
            if token in ends:
                close(place, token)
            else:
                still.append(place)
        kept = torch.tensor(still, dtype=torch.long, device=device)
        history = torch.cat([history, chosen[:, None]], dim=1)
        if not still:
            return [[done[utterance]] for utterance in range(utterances)]
        if len(still) < len(running):
            stepper.continue_rows(kept, still)
            history, totals = history.index_select(0, kept), totals.index_select(0, kept)
            running = [running[place] for place in still]
    for place in range(len(running)):
        close(place, None)
    return [[done[utterance]] for utterance in range(utterances)]
