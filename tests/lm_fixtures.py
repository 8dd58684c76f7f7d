"""A language model in miniature beside the miniature checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from s2t2_cli import Speech2Text2Config, Speech2Text2ForCausalLM

TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


def write_language_model(folder: Path, checkpoint: Path) -> Path:
    """A random language model over the sub-words of `checkpoint`."""
    size = json.loads((checkpoint / "config.json").read_text())["decoder"]["vocab_size"]
    config = Speech2Text2Config(
        vocab_size=size, d_model=16, decoder_layers=2, decoder_ffn_dim=32, init_std=0.4, add_cross_attention=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = Speech2Text2ForCausalLM(config)
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(checkpoint / name, folder / name)
    return folder
