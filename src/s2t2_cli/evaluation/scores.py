"""BLEU and chrF, their confidence intervals and paired tests, as the sacrebleu program computes them.

Knows: sacrebleu. Does not know: where texts come from, or what was done to them before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from s2t2_cli.errors import UsageError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

Tokenizer = Literal["13a", "intl", "char", "none"]
PairedTest = Literal["bootstrap", "randomisation", "none"]
_Test = Literal["bs", "ar"]

_SEED_VARIABLE = "SACREBLEU_SEED"


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval from bootstrap resampling: `mean` of the resamples ± `half_width`."""

    mean: float
    half_width: float


@dataclass(frozen=True, slots=True)
class Score:
    """One metric on one system, from 0 to 100, with the signature that says how it was computed.

    `p_value` is that of the difference to the first system, where a paired test was made. `details` are the
    numbers behind BLEU: `precisions` (in per cent, by n), `brevity_penalty`, `ratio`, `hypothesis_length` and
    `reference_length` (in tokens).
    """

    name: str
    value: float
    signature: str
    interval: Interval | None = None
    p_value: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How to score; the defaults are sacrebleu's.

    `tokenize` concerns BLEU alone. `bootstrap` is the number of resamples for intervals and for the paired
    bootstrap test (0: neither), `trials` that of approximate randomisation. `seed` is a positive number; None
    leaves it to the variable SACREBLEU_SEED, and else to sacrebleu (12345).
    """

    lowercase: bool = False
    tokenize: Tokenizer = "13a"
    bootstrap: int = 0
    paired: PairedTest = "none"
    trials: int = 10_000
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.bootstrap < 0 or self.bootstrap == 1:
            raise UsageError(f"{self.bootstrap} resamples give no interval; use 1000, or 0 for none")
        if self.seed is not None and self.seed < 1:
            # In its paired tests sacrebleu takes 0 for no seed at all.
            raise UsageError(f"a seed of {self.seed} fixes nothing in sacrebleu; use 1 or more")


def corpus_bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False, tokenize: Tokenizer = "13a"
) -> Score:
    """BLEU of one system (Papineni et al. 2002, as sacrebleu: Post 2018), a reference for each hypothesis.

    Texts are expected as people write them: sacrebleu tokenises. Raises UsageError where there is nothing to
    score or the numbers of texts differ.
    """
    settings = ScoreSettings(lowercase=lowercase, tokenize=tokenize)
    return score_systems([hypotheses], references, settings)[0][0]


def corpus_chrf(hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False) -> Score:
    """chrF2 of one system (Popović 2015: characters up to 6, no words), a reference for each hypothesis."""
    return score_systems([hypotheses], references, ScoreSettings(lowercase=lowercase))[0][1]


def score_systems(
    systems: Sequence[Sequence[str]], references: Sequence[str], settings: ScoreSettings | None = None
) -> list[tuple[Score, Score]]:
    """BLEU and chrF2 of every system; the first is what the others are compared to.

    Raises UsageError where there is nothing to score or the numbers of texts differ.
    """
    settings = settings or ScoreSettings()
    for hypotheses in systems:
        if len(hypotheses) != len(references):
            raise UsageError(f"{len(hypotheses)} hypotheses cannot be scored with {len(references)} references")
    if not references or not systems:
        raise UsageError("there is nothing to score: no hypothesis has a reference")
    bleu, chrf = _metrics(references, settings)
    with _seeded(settings.seed):
        test = _test_type(settings) if len(systems) > 1 else None
        if test is not None:
            columns = [_compare(metric, systems, test, settings) for metric in (bleu, chrf)]
        else:
            columns = [[_score(metric, system, settings) for system in systems] for metric in (bleu, chrf)]
    return list(zip(*columns, strict=True))


def sentence_scores(
    hypotheses: Sequence[str], references: Sequence[str], settings: ScoreSettings | None = None
) -> Iterator[tuple[float, float]]:
    """BLEU and chrF2 of each sentence on its own; BLEU of the orders that the sentence is long enough for."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    settings = settings or ScoreSettings()
    bleu = BLEU(settings.lowercase, force=True, tokenize=settings.tokenize, effective_order=True)
    chrf = CHRF(lowercase=settings.lowercase)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        yield (
            bleu.sentence_score(hypothesis, [reference]).score,
            chrf.sentence_score(hypothesis, [reference]).score,
        )


def _metrics(references: Sequence[str], settings: ScoreSettings) -> tuple[Metric, Metric]:
    """Metrics that have analysed the references already, once for all systems."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # `force` silences a warning about tokenised text; it changes no score.
    bleu = BLEU(settings.lowercase, force=True, tokenize=settings.tokenize, references=[references])
    return bleu, CHRF(lowercase=settings.lowercase, references=[references])


def _score(metric: Metric, hypotheses: Sequence[str], settings: ScoreSettings) -> Score:
    found = metric.corpus_score(hypotheses, references=None, n_bootstrap=settings.bootstrap or 1)
    interval = Interval(float(found._mean), float(found._ci)) if settings.bootstrap else None
    return Score(found.name, found.score, str(metric.get_signature()), interval, None, _details(found))


def _compare(metric: Metric, systems: Sequence[Sequence[str]], test: _Test, settings: ScoreSettings) -> list[Score]:
    """Scores with the p-values of sacrebleu's paired test, whose resamples give the intervals too."""
    from sacrebleu.significance import PairedTest as Manager
    from sacrebleu.significance import Result

    signatures, columns = Manager(
        [(str(position), hypotheses) for position, hypotheses in enumerate(systems)],
        {"metric": metric},
        references=None,
        test_type=test,
        n_samples=settings.bootstrap if test == "bs" else settings.trials,
        n_ar_confidence=settings.bootstrap or -1,
    )()
    ((name, signature),) = signatures.items()
    scores = []
    for hypotheses, result in zip(systems, columns[name], strict=True):
        assert isinstance(result, Result)  # the only column of another kind holds the names
        interval = None
        if result.mean is not None and result.ci is not None:
            interval = Interval(float(result.mean), float(result.ci))
        details = _details(metric.corpus_score(hypotheses, references=None))
        scores.append(Score(name, result.score, str(signature), interval, result.p_value, details))
    return scores


def _test_type(settings: ScoreSettings) -> _Test | None:
    if settings.paired == "randomisation":
        return "ar"
    return "bs" if settings.paired == "bootstrap" and settings.bootstrap else None


def _details(found: Any) -> dict[str, Any]:
    if found.name != "BLEU":
        return {}
    return {
        "precisions": [float(one) for one in found.precisions],
        "brevity_penalty": float(found.bp),
        "ratio": float(found.ratio),
        "hypothesis_length": int(found.sys_len),
        "reference_length": int(found.ref_len),
    }


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """sacrebleu takes its seed from the environment alone."""
    before = os.environ.get(_SEED_VARIABLE)
    if seed is not None:
        os.environ[_SEED_VARIABLE] = str(seed)
    try:
        yield
    finally:
        if seed is not None and before is None:
            del os.environ[_SEED_VARIABLE]
        elif seed is not None and before is not None:
            os.environ[_SEED_VARIABLE] = before
