"""Loss and BLEU over the updates as a picture, drawn from the log.

Knows: the lines of `log.jsonl`, matplotlib (an extra). Does not know: training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2t2_cli.errors import OutputError, UsageError
from s2t2_cli.training.log import read_log
from s2t2_cli.whole_files import replacing

CURVES_NAME = "curves.png"

# What the log calls the losses that are drawn, and what the picture does.
_LOSSES = {"loss": "training", "nll": "training, not smoothed", "ctc": "CTC"}
_SCORES = {"bleu": "BLEU"}


def draw_curves(folder: Path, *, score: str = "bleu") -> Path:
    """Draw the log in `folder` as `curves.png` beside it: losses on the left, `score` on the right.

    Raises UsageError where matplotlib is not installed, OutputError.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("drawing curves needs matplotlib; run: pip install 's2t2-cli[train]'") from None
    lines = read_log(folder)
    shown = _SCORES.get(score, score)
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in _LOSSES.items():
        _draw(left, [(line["update"], line[name]) for line in lines if name in line], label)
    valid = [(line["update"], line["valid"]) for line in lines if "valid" in line]
    _draw(left, [(update, scores["loss"]) for update, scores in valid if "loss" in scores], "validation", marker="o")
    _draw(right, [(update, scores[score]) for update, scores in valid if score in scores], shown, marker="o")
    for axes, title in ((left, "loss, nats a target"), (right, f"validation {shown}")):
        axes.set(xlabel="update", title=title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    path = folder / CURVES_NAME
    try:
        with replacing(path) as passing:
            figure.savefig(passing, format="png", dpi=120)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return path


def _draw(axes: Any, points: Sequence[tuple[int, float]], label: str, **style: Any) -> None:
    if points:
        updates, values = zip(*points, strict=True)
        axes.plot(updates, values, label=label, linewidth=1.2, markersize=3, **style)
