"""The finished hypotheses of one utterance.

Knows: ids, sums of log-probabilities, length normalisation, when more search cannot help.
Does not know: tensors, how hypotheses are extended.
"""

from __future__ import annotations

from dataclasses import dataclass

from s2t2_cli.configuration import GenerationConfig


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A candidate output: ids after the start token, the end token not among them, and its normalised score.

    `end` is the end token, None where the length limit stopped it.
    """

    tokens: tuple[int, ...]
    score: float
    end: int | None = None


class FinishedHypotheses:
    """The best `num_beams` finished hypotheses, by log-probability divided by length to the `length_penalty`.

    Length counts generated tokens, the end token included, the start token not.
    """

    def __init__(self, settings: GenerationConfig) -> None:
        self._settings = settings
        self._kept: list[Hypothesis] = []

    def add(self, tokens: tuple[int, ...], log_probability: float, end: int | None) -> None:
        """Offer a hypothesis; when there are more than `num_beams`, the worst goes, among equals the earliest."""
        length = len(tokens) + (end is not None)
        score = log_probability / length**self._settings.length_penalty
        if len(self._kept) == self._settings.num_beams:
            worst = min(self._kept, key=_score)
            if score <= worst.score:
                return
            self._kept.remove(worst)
        self._kept.append(Hypothesis(tokens, score, end))

    def are_final(self, best_candidate: float, generated: int) -> bool:
        """Whether the search may stop, given the best candidate's log-probability after `generated` tokens.

        Reference behaviour: with `early_stopping` True as soon as there are `num_beams`; else when the worst kept
        is at least as good as that candidate would be at the present length, or, for "never" and a positive
        length penalty, at the greatest length.
        """
        settings = self._settings
        if len(self._kept) < settings.num_beams:
            return False
        if settings.early_stopping is True:
            return True
        length = generated
        if settings.early_stopping == "never" and settings.length_penalty > 0.0:
            length = settings.output_limit - 1
        attainable: float = best_candidate / length**settings.length_penalty
        return min(self._kept, key=_score).score >= attainable

    def best(self, count: int) -> list[Hypothesis]:
        """The best `count`, best first; among equal scores the one added last (reference behaviour)."""
        return sorted(self._kept, key=_score)[::-1][:count]


def _score(hypothesis: Hypothesis) -> float:
    return hypothesis.score
