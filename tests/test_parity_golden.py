"""Every parity case against what the reference said about it (`scripts/make_golden_parity.py`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2t2_cli import GenerationConfig, SpeechEncoderDecoderConfig, SpeechEncoderDecoderModel, Wav2Vec2FeatureExtractor
from s2t2_cli.audio import load_audio

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from parity_cases import GOLDEN_BATCHES, cases, golden_clips, random_weights  # noqa: E402

CASES = {case["name"]: case for case in cases(12)}
GOLDEN: dict[str, list[dict[str, Any]]] = json.loads((ROOT / "tests" / "golden" / "parity.json").read_text())
SETTINGS = {"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return golden_clips(load_audio(ROOT / "tests" / "data" / "goforward.wav").samples)


def build(case: dict[str, Any]) -> SpeechEncoderDecoderModel:
    """The model of a case, with the weights that the reference had."""
    config = SpeechEncoderDecoderConfig.from_dict({"encoder": case["encoder"], "decoder": case["decoder"]})
    model = SpeechEncoderDecoderModel(config)
    if case["generation_file"]:
        model.generation_config = GenerationConfig.from_dict(SETTINGS | case["generation"])
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    file_dtype = getattr(torch, case["file_dtype"])
    weights = {name: torch.from_numpy(value) for name, value in random_weights(shapes, case).items()}
    missing = model.load_state_dict({name: value.to(file_dtype) for name, value in weights.items()}, strict=False)
    assert missing.missing_keys == ["decoder.model.decoder.embed_positions.weights"]
    return model.eval()


@pytest.mark.parametrize("name", CASES)
def test_case_gives_the_reference_s_tokens_scores_and_states(name: str, clips: list[np.ndarray]) -> None:
    model = build(CASES[name])
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    for batch, expected in zip(GOLDEN_BATCHES, GOLDEN[name], strict=True):
        inputs = extractor([clips[one] for one in batch], sampling_rate=16_000, padding=True, return_tensors="pt")
        encoded = model.encode(inputs["input_values"], inputs["attention_mask"])
        output = model.generate(encoder_outputs=encoded, return_dict_in_generate=True)

        assert output.sequences.tolist() == expected["sequences"]
        if "scores" in expected:
            assert output.sequences_scores.tolist() == pytest.approx(expected["scores"], abs=1e-4, rel=1e-5)
        states = encoded.last_hidden_state[0]
        last = -1 if encoded.attention_mask is None or bool(encoded.attention_mask[0].all()) else None
        for frame, values in zip((0, last), expected["encoder"], strict=True):
            if frame is not None:  # what stands in the padding is never looked at
                assert states[frame, : len(values)].tolist() == pytest.approx(values, abs=1e-4)
        each = model.generation_config.num_return_sequences
        starts = torch.tensor(expected["sequences"])[::each, :-1]
        with torch.no_grad():
            logits = model(encoder_outputs=encoded, decoder_input_ids=starts).logits[0, -1, :6]
        assert logits.tolist() == pytest.approx(expected["logits"], abs=1e-3)


def test_every_case_has_a_golden_value() -> None:
    assert list(GOLDEN) == list(CASES)
