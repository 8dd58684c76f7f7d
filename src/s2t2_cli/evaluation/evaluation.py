"""One evaluation: joined texts, their scores, and all of it as JSON.

Knows: the order of the steps. Does not know: how any is done, options, the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from s2t2_cli.evaluation.joining import Joined
from s2t2_cli.evaluation.normalization import Normalization
from s2t2_cli.evaluation.scores import Score, ScoreSettings, score_systems, sentence_scores


@dataclass(frozen=True)
class Evaluation:
    """The scores of joined systems; those of single sentences are computed when first asked for."""

    joined: Joined
    settings: ScoreSettings
    normalization: Normalization
    scores: Sequence[tuple[Score, Score]]
    """BLEU and chrF2 of each system."""
    references: Sequence[str]
    """As they were scored, after normalization."""
    hypotheses: Sequence[Sequence[str]]
    """Of each system, likewise."""
    hypothesis_field: str = "text"

    @cached_property
    def sentences(self) -> Sequence[Sequence[tuple[float, float]]]:
        """BLEU and chrF2 of each utterance, for each system."""
        return [list(sentence_scores(texts, self.references, self.settings)) for texts in self.hypotheses]

    def failed(self, system: int) -> int:
        """How many utterances of a system were scored as empty."""
        return sum(one.hypotheses[system].failure is not None for one in self.joined.utterances)

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready, in full precision."""
        return {
            "utterances": len(self.joined.utterances),
            "reference_field": self.joined.reference_field,
            "hypothesis_field": self.hypothesis_field,
            "normalization": str(self.normalization) or None,
            "settings": asdict(self.settings),
            "systems": [
                {"name": name, "failed": self.failed(number), "scores": [_score_to_dict(one) for one in scores]}
                for number, (name, scores) in enumerate(zip(self.joined.systems, self.scores, strict=True))
            ],
            "problems": [
                {"kind": one.kind, "where": one.where, "sentence": one.sentence, "names": list(one.names)}
                for one in self.joined.problems
            ],
            "sentences": [
                {
                    "audio_filepath": one.name,
                    "reference": one.reference,
                    "hypotheses": [
                        {"text": hypothesis.text, "failure": hypothesis.failure, "bleu": bleu, "chrf": chrf}
                        for hypothesis, (bleu, chrf) in zip(one.hypotheses, found, strict=True)
                    ],
                }
                for one, found in zip(self.joined.utterances, zip(*self.sentences, strict=True), strict=True)
            ],
        }


def evaluate(
    joined: Joined,
    settings: ScoreSettings | None = None,
    normalization: Normalization | None = None,
    *,
    hypothesis_field: str = "text",
) -> Evaluation:
    """Score what was joined; `hypothesis_field` is named in the result."""
    settings, normalization = settings or ScoreSettings(), normalization or Normalization()
    systems = [
        [normalization(one.hypotheses[number].text) for one in joined.utterances]
        for number in range(len(joined.systems))
    ]
    references = [normalization(one.reference) for one in joined.utterances]
    scores = score_systems(systems, references, settings)
    return Evaluation(joined, settings, normalization, scores, references, systems, hypothesis_field)


def _score_to_dict(score: Score) -> dict[str, Any]:
    interval = score.interval
    return {
        "name": score.name,
        "score": score.value,
        "signature": score.signature,
        "mean": None if interval is None else interval.mean,
        "half_width": None if interval is None else interval.half_width,
        "p_value": score.p_value,
        **score.details,
    }
