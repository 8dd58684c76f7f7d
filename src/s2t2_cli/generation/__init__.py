"""The search for the best output: settings in, ids and scores out.

Knows: next-token scores, hypotheses, when to stop; the semantics are those of the reference (transformers 4.40.2).
Does not know: text, audio, where the encoder states came from.

`stepping` runs the network, `fusion` adds a language model to it, `processors` changes scores, `hypotheses` keeps
finished ones, `beam_search` and `greedy` walk, `search` joins them.
"""

from s2t2_cli.generation.fusion import Fusion
from s2t2_cli.generation.search import GenerationOutput, generate

__all__ = ["Fusion", "GenerationOutput", "generate"]
