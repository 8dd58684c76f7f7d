"""Beam search over a batch of utterances.

Knows: beams, running scores, which candidates end a hypothesis. Does not know: the network behind the scores.

The semantics are the reference's. Each step: log-probabilities in float32, the rules, plus the beam's running score,
then the best candidates over all beams and tokens of an utterance. A candidate that ends in an end token becomes a
finished hypothesis if it ranks among the first `num_beams`, and is dropped otherwise; the first `num_beams` of the
others go on. Utterances do not influence each other, and one that is done leaves the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from s2t2_cli.configuration import GenerationConfig
from s2t2_cli.generation.hypotheses import FinishedHypotheses, Hypothesis
from s2t2_cli.generation.largest import largest
from s2t2_cli.generation.processors import Processor
from s2t2_cli.generation.stepping import Scorer

# All beams start from the same token: only the first may win the first step.
_NOT_STARTED = -1e9


def beam_search(
    scorer: Scorer,
    utterances: int,
    start: int,
    settings: GenerationConfig,
    processors: Sequence[Processor],
    device: torch.device,
) -> list[list[Hypothesis]]:
    """The `num_return_sequences` best hypotheses of each utterance, best first.

    `scorer` must hold `num_beams` rows for each of `utterances`.
    """
    beams, ends = settings.num_beams, settings.eos_token_ids
    candidates = max(2, 1 + len(ends)) * beams
    finished = [FinishedHypotheses(settings) for _ in range(utterances)]
    running = list(range(utterances))
    history = torch.full((utterances * beams, 1), start, device=device)
    totals = torch.full((utterances, beams), _NOT_STARTED, device=device)
    totals[:, 0] = 0.0

    while history.shape[1] < settings.output_limit:
        scores = scorer.log_probabilities(history[:, -1])
        for process in processors:
            scores = process(history, scores)
        vocabulary = scores.shape[1]
        scores = (scores + totals.view(-1, 1)).view(len(running), beams * vocabulary)
        best, index = largest(scores, candidates)

        rows: list[int] = []
        tokens: list[int] = []
        sums: list[float] = []
        still: list[int] = []
        ranked = zip(best.tolist(), index.tolist(), strict=True)
        for place, (values, flat) in enumerate(ranked):
            store = finished[running[place]]
            going: list[tuple[int, int, float]] = []
            for rank, (value, position) in enumerate(zip(values, flat, strict=True)):
                beam, token = divmod(position, vocabulary)
                row = place * beams + beam
                if token in ends:
                    if rank < beams:
                        store.add(tuple(history[row, 1:].tolist()), value, token)
                elif len(going) < beams:
                    going.append((row, token, value))
            # The reference judges by the best candidate, whether or not it ended.
            if not store.are_final(values[0], history.shape[1]):
                still.append(place)
                for row, token, value in going:
                    rows.append(row)
                    tokens.append(token)
                    sums.append(value)

        if not still:
            return [store.best(settings.num_return_sequences) for store in finished]
        from_rows = torch.tensor(rows, dtype=torch.long, device=device)
        new = torch.tensor(tokens, dtype=torch.long, device=device)
        history = torch.cat([history.index_select(0, from_rows), new[:, None]], dim=1)
        totals = torch.tensor(sums, device=device).view(-1, beams)
        scorer.continue_rows(from_rows, still if len(still) < len(running) else None)
        running = [running[place] for place in still]

    for place, utterance in enumerate(running):
        for beam in range(beams):
            unfinished = tuple(history[place * beams + beam, 1:].tolist())
            finished[utterance].add(unfinished, float(totals[place, beam]), None)
    return [store.best(settings.num_return_sequences) for store in finished]
