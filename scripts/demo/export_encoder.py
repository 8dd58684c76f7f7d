"""The encoder of a `train.py --sounds-only` run as a wav2vec 2.0 in the published CTC layout (`s2t2 finetune --model`).

Knows: the names of that layout. Does not know: what the encoder learnt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from network import encoder_config
from safetensors.torch import save_file

from s2t2_cli.configuration import CONFIG_NAME, write_json_object
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.training.state import load_state

RENAMED = (("network.encoder.", "wav2vec2."), ("network.ctc_head.", "lm_head."))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    state = load_state(options.run)
    if state is None:
        raise SystemExit(f"{options.run} holds no state of a run")
    tensors = {
        new + name.removeprefix(old): value.contiguous()
        for name, value in state.task.items()
        for old, new in RENAMED
        if name.startswith(old)
    }
    options.output.mkdir(parents=True, exist_ok=True)
    save_file(tensors, options.output / "model.safetensors", metadata={"format": "pt"})
    units = len(tensors["lm_head.weight"])
    config = encoder_config().to_dict() | {"architectures": ["Wav2Vec2ForCTC"], "vocab_size": units, "pad_token_id": 0}
    write_json_object(options.output / CONFIG_NAME, config)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(options.output)


if __name__ == "__main__":
    main()
