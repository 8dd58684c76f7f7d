"""A decoder that stands alone is a language model, and the reference reads it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from s2t2_cli import Speech2Text2Config, Speech2Text2ForCausalLM, SpeechEncoderDecoderConfig, SpeechEncoderDecoderModel
from s2t2_cli.errors import CheckpointError, ConfigurationError, ModelNotFoundError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from parity_cases import (  # noqa: E402
    LANGUAGE_MODEL_IDS,
    LANGUAGE_MODEL_LABELS,
    LANGUAGE_MODELS,
    language_model_weights,
)

GOLDEN: dict[str, dict[str, Any]] = json.loads((ROOT / "tests" / "golden" / "language_models.json").read_text())
SMALL = Speech2Text2Config(vocab_size=12, d_model=8, decoder_layers=2, decoder_ffn_dim=16, add_cross_attention=False)


def build(name: str) -> Speech2Text2ForCausalLM:
    """The model of a golden case, with the weights that the reference had."""
    model = Speech2Text2ForCausalLM(Speech2Text2Config.from_dict(LANGUAGE_MODELS[name]))
    weights = {key: torch.from_numpy(value) for key, value in language_model_weights(LANGUAGE_MODELS[name]).items()}
    missing = model.load_state_dict(weights, strict=False)
    assert missing.missing_keys == ["model.decoder.embed_positions.weights"]
    assert not missing.unexpected_keys
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_logits_and_loss_are_the_reference_s(name: str) -> None:
    ids, golden = torch.tensor(LANGUAGE_MODEL_IDS), GOLDEN[name]
    output = build(name)(ids, attention_mask=(ids != 1).long(), labels=torch.tensor(LANGUAGE_MODEL_LABELS))
    for (row, position), wanted in (((0, 0), "first"), ((0, -1), "last"), ((1, 3), "beside_padding")):
        assert output.logits[row, position, :6].tolist() == pytest.approx(golden[wanted], abs=1e-4)
    assert output.loss is not None
    assert float(output.loss) == pytest.approx(golden["loss"], abs=1e-4)


@torch.no_grad()
def test_a_saved_model_loads_the_same(tmp_path: Path) -> None:
    model = build("usual")
    model.save_pretrained(tmp_path)
    loaded = Speech2Text2ForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor(LANGUAGE_MODEL_IDS)[:1]
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(one, model.state_dict()[name]) for name, one in loaded.state_dict().items())
    # Not to the bit: matrix libraries sum in another order where a mapped file puts weights at another alignment.
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-5, rtol=1e-5)
    assert loaded.config.add_cross_attention is False
    half = Speech2Text2ForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.dtype == half.model.decoder.embed_positions.weights.dtype == torch.bfloat16


def test_the_file_holds_what_the_golden_values_were_made_from(tmp_path: Path) -> None:
    build("usual").save_pretrained(tmp_path)
    positions = "model.decoder.embed_positions.weights"  # a formula, which the reference computes itself
    assert (
        load_file(tmp_path / "model.safetensors").keys() - {positions}
        == language_model_weights(LANGUAGE_MODELS["usual"]).keys()
    )
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "speech_to_text_2"
    assert written["architectures"] == ["Speech2Text2ForCausalLM"]
    # Tied, the reference would overwrite the embedding by the output layer.
    assert written["tie_word_embeddings"] is False


@torch.no_grad()
def test_cross_attention_in_a_file_is_passed_over(tmp_path: Path) -> None:
    """The reference gives every decoder cross-attention, and saves it."""
    model = Speech2Text2ForCausalLM(SMALL).eval()
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    own = {name: tensor for name, tensor in tensors.items() if ".self_attn" in name}
    tensors |= {name.replace("self_attn", "encoder_attn"): tensor.clone() for name, tensor in own.items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ids = torch.tensor([[2, 5, 6]])
    assert torch.equal(Speech2Text2ForCausalLM.from_pretrained(tmp_path)(ids).logits, model(ids).logits)


def test_of_tied_matrices_one_is_enough(tmp_path: Path) -> None:
    model = Speech2Text2ForCausalLM(SMALL)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    embedding = tensors.pop("model.decoder.embed_tokens.weight")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 tensor missing \(model\.decoder\.embed_tokens\.weight\)"):
        Speech2Text2ForCausalLM.from_pretrained(tmp_path)

    config = json.loads((tmp_path / "config.json").read_text()) | {"tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = Speech2Text2ForCausalLM.from_pretrained(tmp_path).state_dict()
    assert torch.equal(loaded["model.decoder.embed_tokens.weight"], model.lm_head.weight)
    assert not torch.equal(embedding, model.lm_head.weight)


def test_what_is_no_language_model_is_refused(tmp_path: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"translates speech and is no language model: s2t2 train-lm makes one"
    ):
        Speech2Text2ForCausalLM.from_pretrained(tiny_checkpoint)
    Speech2Text2ForCausalLM(SMALL).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ConfigurationError, match=r"its model_type is 'gpt2'"):
        Speech2Text2ForCausalLM.from_pretrained(tmp_path)
    with pytest.raises(ModelNotFoundError, match="no folder"):
        Speech2Text2ForCausalLM.from_pretrained(tmp_path / "nothing")


def test_without_cross_attention_there_is_nothing_to_attend_with() -> None:
    model = Speech2Text2ForCausalLM(SMALL)
    assert not any("encoder_attn" in name for name, _ in model.named_parameters())
    with pytest.raises(ValueError, match="without cross-attention"):
        model(torch.tensor([[2]]), encoder_hidden_states=torch.zeros(1, 3, 8))


def test_beside_an_encoder_a_decoder_always_attends_to_it(tiny_checkpoint: Path) -> None:
    config = SpeechEncoderDecoderConfig.from_pretrained(tiny_checkpoint)
    values = config.to_dict()
    values["decoder"]["add_cross_attention"] = False
    assert SpeechEncoderDecoderConfig.from_dict(values).decoder.add_cross_attention is True
    decoder = Speech2Text2ForCausalLM(SMALL)
    joined = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(config.encoder, decoder.config)
    assert joined.decoder.add_cross_attention is True
    assert SMALL.add_cross_attention is False
    assert hasattr(SpeechEncoderDecoderModel(joined).decoder.model.decoder.layers[0], "encoder_attn_layer_norm")
