"""Record what the reference makes of language models: decoders that stand alone.

    .venv-oracle/bin/python scripts/make_golden_lm.py

Writes `tests/golden/language_models.json`: for each configuration the logits of a few positions and the loss. The
folders it reads hold exactly what `Speech2Text2ForCausalLM.save_pretrained` writes, no cross-attention among it.
Needs the oracle's environment (transformers 4.40.2).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

import oracle
from parity_cases import LANGUAGE_MODEL_IDS, LANGUAGE_MODEL_LABELS, LANGUAGE_MODELS, language_model_weights

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run all configurations."""
    oracle.quiet()
    torch.set_num_threads(1)
    ids, labels = torch.tensor(LANGUAGE_MODEL_IDS), torch.tensor(LANGUAGE_MODEL_LABELS)
    golden = {}
    for name, config in LANGUAGE_MODELS.items():
        weights = {key: torch.from_numpy(value) for key, value in language_model_weights(config).items()}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            about = {"architectures": ["Speech2Text2ForCausalLM"], "is_decoder": True}
            (folder / "config.json").write_text(json.dumps(config | about))
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
            found = oracle.language_model_scores(folder, ids, (ids != 1).long(), labels)
        golden[name] = {
            "first": [round(float(x), 5) for x in found["logits"][0, 0, :6]],
            "last": [round(float(x), 5) for x in found["logits"][0, -1, :6]],
            "beside_padding": [round(float(x), 5) for x in found["logits"][1, 3, :6]],
            "loss": round(found["loss"], 5),
        }
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in golden.items()]
    file = ROOT / "tests" / "golden" / "language_models.json"
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
