"""The reference, run live: transformers 4.40.2 in an environment of its own.

    .venv-oracle/bin/python scripts/oracle.py REQUEST.json
    .venv-oracle/bin/python scripts/oracle.py translate CHECKPOINT CLIP.wav [SETTING=NUMBER …]

REQUEST names checkpoints to make (from random weights) and clips to translate; results go to one .npz file for each
case. `translate` prints one clip's translation, in the shortest way there is, for scripts/bench_process.py. Only this
file and make_demo_expected.py import transformers. Nothing here is used by the package.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    Speech2Text2Config,
    Speech2Text2ForCausalLM,
    SpeechEncoderDecoderConfig,
    SpeechEncoderDecoderModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    logging,
)
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

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


def samples_of(file: str) -> np.ndarray:
    """What a 16-bit mono file holds, as floats in [-1, 1)."""
    with wave.open(file) as clip:
        return np.frombuffer(clip.readframes(clip.getnframes()), np.int16).astype(np.float32) / 32768


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


def language_model_scores(folder: Path, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Logits (rows, length, vocabulary) and loss of a decoder that stands alone, as the reference loads it."""
    model = Speech2Text2ForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    with torch.no_grad():
        output = model(ids, attention_mask=mask, labels=labels)
    return {"logits": output.logits.numpy(), "loss": float(output.loss)}


def loss_and_gradients(
    folder: Path, clips: list[np.ndarray], labels: torch.Tensor
) -> tuple[float, dict[str, np.ndarray]]:
    """Mean cross-entropy of labels (-100: none) in evaluation mode, and its gradient by parameter, published names."""
    model = load(folder)
    # The composite configuration of published files names neither; the decoder's does.
    model.config.decoder_start_token_id = model.config.decoder.decoder_start_token_id
    model.config.pad_token_id = model.config.decoder.pad_token_id
    batch = features(clips)
    output = model(inputs=batch["input_values"], attention_mask=batch["attention_mask"], labels=labels)
    output.loss.backward()
    gradients = {
        published_name(name): one.grad.numpy() for name, one in model.named_parameters() if one.grad is not None
    }
    return float(output.loss), gradients


def masked_spans(lengths: list[int], width: int, prob: float, span: int, least: int, draws: int) -> dict[str, Any]:
    """Of SpecAugment's masks for rows of these lengths: how many real frames are hidden, mean, least and most."""
    mask = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    np.random.seed(0)
    drawn = np.stack([
        _compute_mask_indices((len(lengths), width), prob, span, attention_mask=mask.long(), min_masks=least)
        for _ in range(draws)
    ])  # fmt: skip
    hidden = (drawn & mask.numpy()).sum(-1)
    return {"mean": hidden.mean(0).tolist(), "least": hidden.min(0).tolist(), "most": hidden.max(0).tolist()}


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


def print_translation(folder: str, clip: str, *settings: str) -> None:
    """From one clip to text on standard output."""
    from transformers import Speech2Text2Tokenizer

    numbers = {name: int(value) for name, _, value in (one.partition("=") for one in settings)}
    ids = load(Path(folder)).generate(features([samples_of(clip)])["input_values"], **numbers)
    print(Speech2Text2Tokenizer.from_pretrained(folder).decode(ids[0], skip_special_tokens=True))


def main() -> None:
    """Do what the command says; for a request file one line on standard error for each case."""
    if sys.argv[1] == "translate":
        quiet()
        print_translation(*sys.argv[2:])
        return
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
