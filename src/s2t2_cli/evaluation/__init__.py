"""How good translations are: BLEU and chrF against references, and the page that shows every sentence.

Knows: scores, how hypotheses find their references, the report. Does not know: the model, the terminal.
"""

from __future__ import annotations

from s2t2_cli.evaluation.scores import (
    Interval,
    PairedTest,
    Score,
    ScoreSettings,
    corpus_bleu,
    corpus_chrf,
    score_systems,
    sentence_scores,
)

__all__ = [
    "Interval",
    "PairedTest",
    "Score",
    "ScoreSettings",
    "corpus_bleu",
    "corpus_chrf",
    "score_systems",
    "sentence_scores",
]
