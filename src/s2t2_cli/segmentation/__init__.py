"""Long recordings as segments short enough for the model, cut while the samples come in.

    frames -> detector (vad) -> cutter -> segments           all of it streaming: streaming.py

Knows: where speech is, where to cut, stretches that someone names. Does not know: decoding, the model, text.
"""

from __future__ import annotations

from s2t2_cli.segmentation.spans import Span

__all__ = ["Span"]
