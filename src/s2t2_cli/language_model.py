"""A language model as the user names it becomes part of the search, if it speaks the model's sub-words.

Knows: two checkpoints, which must have one vocabulary. Does not know: how either is used (generation.fusion), audio.
"""

from __future__ import annotations

import os

import torch

from s2t2_cli.checkpoint import Checkpoint, resolve_checkpoint
from s2t2_cli.configuration import SpeechEncoderDecoderConfig
from s2t2_cli.errors import TokenizerError
from s2t2_cli.generation import Fusion
from s2t2_cli.modeling.speech2text2 import Speech2Text2ForCausalLM, language_model_config
from s2t2_cli.tokenization import Speech2Text2Tokenizer

USUAL_WEIGHT = 0.1
"""The paper's (arXiv 2104.06678, section 3.2), with a length penalty of 0.7."""


def load_fusion(
    lm: str | os.PathLike[str] | Checkpoint,
    weight: float,
    *,
    beside: Checkpoint,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Fusion | None:
    """The language model `lm` (a folder, a hub id or a resolved checkpoint) for the search with `beside`.

    None with weight 0: the same checks are made, and the weights are not even read. Raises ModelError, among them
    TokenizerError where the vocabularies differ, and UsageError for a weight that makes no sense.
    """
    checkpoint = resolve_checkpoint(lm, cache_dir=cache_dir, local_files_only=local_files_only)
    _require_same_vocabulary(checkpoint, beside)
    if not weight:
        return None
    model = Speech2Text2ForCausalLM.from_pretrained(checkpoint, dtype=dtype)
    return Fusion(model if device is None else model.to(device), weight)


def _require_same_vocabulary(lm: Checkpoint, beside: Checkpoint) -> None:
    way_out = f"train it with s2t2 train-lm --tokenizer {beside.name}"
    size = language_model_config(lm).vocab_size
    expected = SpeechEncoderDecoderConfig.from_pretrained(beside.folder).decoder.vocab_size
    theirs, ours = (Speech2Text2Tokenizer.from_pretrained(one.folder) for one in (lm, beside))
    # Sub-words first: where they differ the sizes mostly do too, and say less.
    for number in range(max(len(theirs), len(ours))):
        if theirs.token_of(number) != ours.token_of(number):
            raise TokenizerError(
                f"the language model {lm.name} has other sub-words than {beside.name} (id {number} is "
                f"{theirs.token_of(number)!r} there and {ours.token_of(number)!r} here); {way_out}"
            )
    if size != expected:
        raise TokenizerError(
            f"the language model {lm.name} scores {size} tokens and {beside.name} scores {expected}; {way_out}"
        )
