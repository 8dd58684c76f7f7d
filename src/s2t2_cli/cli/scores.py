"""Scores on standard output: a table for people, tab-separated lines in a pipe, or JSON.

Knows: columns and digits. Does not know: how a score comes about.
"""

from __future__ import annotations

from s2t2_cli.cli.tables import is_for_people
from s2t2_cli.escaping import escape_cell, readable
from s2t2_cli.evaluation.evaluation import Evaluation
from s2t2_cli.evaluation.scores import Score
from s2t2_cli.records import dump_json_line

_COLUMNS = (
    "system", "metric", "score", "mean", "half_width", "p_value", "utterances", "failed", "normalization", "signature",
)  # fmt: skip


def json_text(evaluation: Evaluation) -> str:
    """Everything, as one line of JSON."""
    return dump_json_line(evaluation.to_dict()) + "\n"


def table_text(evaluation: Evaluation) -> str:
    """A row for each system and, below, how it was scored; in a pipe a line for each system and metric."""
    return _for_people(evaluation) if is_for_people() else _for_programs(evaluation)


def _for_programs(evaluation: Evaluation) -> str:
    lines = [_COLUMNS]
    for number, name in enumerate(evaluation.joined.systems):
        for score in evaluation.scores[number]:
            interval = score.interval
            lines.append((
                name,
                score.name,
                f"{score.value:.2f}",
                "" if interval is None else f"{interval.mean:.2f}",
                "" if interval is None else f"{interval.half_width:.2f}",
                "" if score.p_value is None else f"{score.p_value:.4f}",
                str(len(evaluation.joined.utterances)),
                str(evaluation.failed(number)),
                str(evaluation.normalization),
                score.signature,
            ))  # fmt: skip
    return "".join("\t".join(map(escape_cell, line)) + "\n" for line in lines)


def _for_people(evaluation: Evaluation) -> str:
    names = [readable(name) for name in evaluation.joined.systems]
    width = max(len(name) for name in ("system", *names))
    first = evaluation.scores[0]
    cells = [[_cell(score) for score in scores] for scores in evaluation.scores]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join([f"{'system':<{width}}", *(f"{s.name:<{w}}" for s, w in zip(first, widths, strict=True))])]
    lines += [
        "  ".join([f"{name:<{width}}", *(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True))])
        for name, row in zip(names, cells, strict=True)
    ]
    lines += ["", f"{len(evaluation.joined.utterances)} utterances" + _failures(evaluation)]
    if str(evaluation.normalization):
        lines.append(f"before scoring: {evaluation.normalization}")
    lines += [f"{score.name:<5}  {score.signature}" for score in first]
    return "".join(line.rstrip() + "\n" for line in lines)


def _cell(score: Score) -> str:
    """`26.51 (μ = 26.48 ± 0.41)`, as sacrebleu writes it, and `p = 0.0120` behind it."""
    text = f"{score.value:.2f}"
    if score.interval is not None:
        text += f" (μ = {score.interval.mean:.2f} ± {score.interval.half_width:.2f})"
    return text if score.p_value is None else f"{text} p = {score.p_value:.4f}"


def _failures(evaluation: Evaluation) -> str:
    counts = [(name, evaluation.failed(number)) for number, name in enumerate(evaluation.joined.systems)]
    words = [f"{count} of {readable(name)} failed" for name, count in counts if count]
    return f" ({', '.join(words)}; scored as empty)" if words else ""
