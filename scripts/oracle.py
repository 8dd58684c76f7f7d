"""The reference, run live: transformers 4.40.2 in an environment of its own.

    .venv-oracle/bin/python scripts/oracle.py REQUEST.json

REQUEST names checkpoints to make (from random weights) and clips to translate; results go to one .npz file for each
case. Only this file imports transformers. Nothing here is used by the package.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    Speech2Text2Config,
    SpeechEncoderDecoderConfig,
    SpeechEncoderDecoderModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    logging,
)

from parity_cases import random_weights

EXTRACTOR = {
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0,
    "return_attention_mask": True,
    "sampling_rate": 16000,
}


def quiet() -> None:
    """The reference warns about tensors that it loads all the same."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()


def make_checkpoint(case: dict[str, Any], folder: Path) -> None:
    """Write a random checkpoint in the published layout: JSON files and `pytorch_model.bin`."""
    config = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(
        Wav2Vec2Config(**case["encoder"]), Speech2Text2Config(**case["decoder"])
    )
    config.tie_word_embeddings = False
    state = {published_name(name): tensor for name, tensor in SpeechEncoderDecoderModel(config).state_dict().items()}
    for name, value in random_weights({name: tuple(tensor.shape) for name, tensor in state.items()}, case).items():
        state[name] = torch.from_numpy(value)
    if case["weight_norm"] == "parametrized":
        state = {parametrized_name(name): tensor for name, tensor in state.items()}
    dtype = getattr(torch, case["file_dtype"])
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({name: tensor.to(dtype).clone() for name, tensor in state.items()}, folder / "pytorch_model.bin")
    config.architectures = ["SpeechEncoderDecoderModel"]
    config.save_pretrained(folder)
    if case["generation_file"]:
        values = {"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
        (folder / "generation_config.json").write_text(json.dumps(values | case["generation"], indent=2))
    (folder / "preprocessor_config.json").write_text(json.dumps(EXTRACTOR, indent=2, sort_keys=True) + "\n")


def published_name(name: str) -> str:
    """torch 2.1 renamed the halves of a weight norm; the published files have the older names."""
    return name.replace("parametrizations.weight.original0", "weight_g").replace(
        "parametrizations.weight.original1", "weight_v"
    )


def parametrized_name(name: str) -> str:
    """The newer names."""
    return name.replace("weight_g", "parametrizations.weight.original0").replace(
        "weight_v", "parametrizations.weight.original1"
    )


def features(clips: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """What the reference's extractor makes of the clips: padded, with mask."""
    extractor = Wav2Vec2FeatureExtractor(**{k: v for k, v in EXTRACTOR.items() if k != "feature_extractor_type"})
    return dict(extractor(clips, sampling_rate=16_000, padding=True, return_tensors="pt"))


def translate(model: SpeechEncoderDecoderModel, clips: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Ids, scores and bridged encoder states of a batch."""
    batch = features(clips)
    beams = model.generation_config.num_beams
    with torch.no_grad():
        output = model.generate(
            batch["input_values"],
            attention_mask=batch["attention_mask"],
            return_dict_in_generate=True,
            output_scores=beams > 1,
        )
        forward = model(
            inputs=batch["input_values"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=output.sequences[:: model.generation_config.num_return_sequences, :-1],
        )
    found = {
        "sequences": output.sequences.numpy(),
        "encoder": forward.encoder_last_hidden_state.numpy(),
        "logits": forward.logits[:, -1].numpy(),
    }
    if beams > 1:
        found["scores"] = output.sequences_scores.numpy()
    return found


def load(folder: Path) -> SpeechEncoderDecoderModel:
    """A checkpoint as the reference loads it; without its position table the reference makes that itself."""
    return SpeechEncoderDecoderModel.from_pretrained(folder, torch_dtype=torch.float32).eval()


def run(folder: Path, clips: list[np.ndarray], batches: list[list[int]], settings: dict[str, Any], out: Path) -> None:
    """Translate every batch of clips with the checkpoint, changed by `settings`, and save what came out."""
    model = load(folder)
    model.generation_config.update(**settings)
    results: dict[str, np.ndarray] = {}
    started = time.perf_counter()
    for number, batch in enumerate(batches):
        for name, value in translate(model, [clips[one] for one in batch]).items():
            results[f"{number}/{name}"] = value
    results["seconds"] = np.array(time.perf_counter() - started)
    np.savez(out, **results)


def main() -> None:
    """Do what the request file says; one line on standard error for each case."""
    request = json.loads(Path(sys.argv[1]).read_text())
    quiet()
    torch.set_num_threads(request.get("threads", 2))
    archive = np.load(request["clips"])
    clips = [archive[name] for name in archive.files]
    for job in request["jobs"]:
        folder = Path(job["folder"])
        if job.get("make", True):
            make_checkpoint(job["case"], folder)
        if job.get("out"):
            run(folder, clips, job["batches"], job.get("settings", {}), Path(job["out"]))
        print(f"oracle: {job['case']['name']}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
