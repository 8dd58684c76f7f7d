"""What tells one training from another: values short enough for a sentence, equal for equal content.

Knows: checksums. Does not know: where the content comes from, what a difference means.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from s2t2_cli.tokenization import Speech2Text2Tokenizer

_DIGITS = 12


def content_of(value: Any) -> str:
    """A checksum of a value of JSON types."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]


def subwords_of(tokenizer: Speech2Text2Tokenizer) -> str:
    """`10,224 sub-words (5f2c…)`, wherever the tokenizer lies."""
    merges = None if tokenizer.bpe is None else tokenizer.bpe.to_text()
    return f"{len(tokenizer):,} sub-words ({content_of([tokenizer.encoder, merges, tokenizer.do_lower_case])})"
