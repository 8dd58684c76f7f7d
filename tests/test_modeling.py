"""The networks by themselves: caches, masks, labels, loading and saving. (Values: test_parity_golden.)"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from s2t2_cli import (
    Speech2Text2Config,
    Speech2Text2ForCausalLM,
    SpeechEncoderDecoderConfig,
    SpeechEncoderDecoderModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)
from s2t2_cli.errors import AudioTooShortError, CheckpointError, ConfigurationError
from s2t2_cli.modeling.cache import DecoderCache

ENCODER: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture
def decoder() -> Speech2Text2ForCausalLM:
    torch.manual_seed(0)
    config = Speech2Text2Config(
        vocab_size=40, d_model=16, decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=24, init_std=0.3
    )
    return Speech2Text2ForCausalLM(config).eval()


@pytest.fixture
def model(decoder: Speech2Text2ForCausalLM) -> SpeechEncoderDecoderModel:
    torch.manual_seed(1)
    return SpeechEncoderDecoderModel(encoder=Wav2Vec2Model(Wav2Vec2Config(**ENCODER)), decoder=decoder).eval()


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


@torch.no_grad()
def test_decoding_step_by_step_equals_decoding_at_once(decoder: Speech2Text2ForCausalLM) -> None:
    ids = torch.tensor([[2, 7, 9, 11, 4], [2, 5, 5, 30, 6]])
    states = torch.randn(2, 6, 16)
    whole = decoder(ids, encoder_hidden_states=states, use_cache=False)
    assert whole.past_key_values is None

    cache: DecoderCache | None = None
    steps = []
    for position in range(ids.shape[1]):
        output = decoder(ids[:, position : position + 1], encoder_hidden_states=states, past_key_values=cache)
        cache = output.past_key_values
        steps.append(output.logits)
    assert close(torch.cat(steps, dim=1), whole.logits)
    # Several tokens behind a cache see each other only backwards.
    first = decoder(ids[:, :2], encoder_hidden_states=states)
    rest = decoder(ids[:, 2:], past_key_values=first.past_key_values)
    assert close(rest.logits, whole.logits[:, 2:])


@torch.no_grad()
def test_cache_reads_and_takes_the_reference_s_tuples(decoder: Speech2Text2ForCausalLM) -> None:
    ids, states = torch.tensor([[2, 7, 9]]), torch.randn(1, 6, 16)
    cache = decoder(ids, encoder_hidden_states=states).past_key_values
    assert cache is not None
    layers = tuple(cache)
    assert len(cache) == len(layers) == 2
    assert [tuple(tensor.shape) for tensor in layers[0]] == [(1, 2, 3, 8)] * 2 + [(1, 2, 6, 8)] * 2

    following = torch.tensor([[4]])
    from_tuples = decoder(following, past_key_values=layers)
    assert close(from_tuples.logits, decoder(following, past_key_values=cache).logits)


@torch.no_grad()
def test_rows_of_one_utterance_share_its_states(decoder: Speech2Text2ForCausalLM) -> None:
    ids = torch.tensor([[2, 7], [2, 8], [2, 9], [2, 10]])
    states, mask = torch.randn(2, 6, 16), torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    shared = decoder(ids, encoder_hidden_states=states, encoder_attention_mask=mask).logits
    repeated = decoder(
        ids,
        encoder_hidden_states=states.repeat_interleave(2, 0),
        encoder_attention_mask=mask.repeat_interleave(2, 0),
    ).logits
    assert close(shared, repeated)


@torch.no_grad()
def test_as_a_language_model_it_needs_no_encoder(decoder: Speech2Text2ForCausalLM) -> None:
    ids = torch.tensor([[2, 7, 9, 4]])
    output = decoder(ids, labels=torch.tensor([[7, 9, 4, -100]]), output_hidden_states=True)
    assert output.loss is not None
    expected = torch.nn.functional.cross_entropy(output.logits[0, :3], torch.tensor([7, 9, 4]))
    assert close(output.loss, expected)
    assert output[0] is output.loss
    assert output["logits"] is output.logits
    assert output.hidden_states is not None
    assert [tuple(states.shape) for states in output.hidden_states] == [(1, 4, 16)] * 3


@torch.no_grad()
def test_padding_on_the_right_changes_nothing_before_it(decoder: Speech2Text2ForCausalLM) -> None:
    ids = torch.tensor([[2, 7, 9, 1, 1]])
    padded = decoder(ids, attention_mask=torch.tensor([[1, 1, 1, 0, 0]])).logits
    assert close(padded[:, :3], decoder(ids[:, :3]).logits)


@torch.no_grad()
def test_positions_grow_beyond_the_table(decoder: Speech2Text2ForCausalLM) -> None:
    short = copy.deepcopy(decoder)
    positions = short.model.decoder.embed_positions
    positions.weights = positions.weights[:4].clone()
    ids = torch.tensor([[2, 7, 9, 11, 4, 5, 6]])
    assert close(short(ids).logits, decoder(ids).logits)


def test_a_pad_token_stands_in_the_zero_row(decoder: Speech2Text2ForCausalLM) -> None:
    positions = decoder.model.decoder.embed_positions(torch.tensor([[2, 1, 7]]), past_length=3)
    table = decoder.model.decoder.embed_positions.weights
    assert torch.equal(positions[0], table[[5, 1, 6]])
    assert not table[1].any()


@torch.no_grad()
def test_a_clip_encodes_the_same_alone_and_in_a_masked_batch() -> None:
    torch.manual_seed(2)
    encoder = Wav2Vec2Model(Wav2Vec2Config(**ENCODER, feat_extract_norm="layer", do_stable_layer_norm=True)).eval()
    long, short = torch.randn(9_000), torch.randn(4_000)
    batch = torch.stack([long, torch.cat([short, torch.zeros(5_000)])])
    mask = torch.zeros(2, 9_000, dtype=torch.long)
    mask[0], mask[1, :4_000] = 1, 1

    together = encoder(batch, mask).last_hidden_state
    alone = encoder(short[None]).last_hidden_state
    assert close(together[1:, : alone.shape[1]], alone)
    reduced = encoder.reduced_attention_mask(mask, together.shape[1])
    assert reduced is not None
    assert reduced.sum(1).tolist() == [together.shape[1], alone.shape[1]]
    assert encoder.reduced_attention_mask(torch.ones(1, 4_000), alone.shape[1]) is None


@torch.no_grad()
def test_hidden_states_run_from_the_first_layer_s_input_to_the_result() -> None:
    encoder = Wav2Vec2Model(Wav2Vec2Config(**ENCODER)).eval()
    output = encoder(torch.randn(1, 2_000), output_hidden_states=True)
    assert output.hidden_states is not None
    assert len(output.hidden_states) == 3
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert len(output.to_tuple()) == 3
    assert next(iter(output)) is output.last_hidden_state


@pytest.mark.parametrize("mask", [None, torch.tensor([[1] * 800, [1] * 399 + [0] * 401])])
def test_less_than_a_frame_is_refused(mask: Tensor | None) -> None:
    encoder = Wav2Vec2Model(Wav2Vec2Config(**ENCODER))
    samples = 399 if mask is None else 800
    with pytest.raises(AudioTooShortError, match="399 samples; the encoder needs at least 400"):
        encoder(torch.zeros(2, samples), mask)


@torch.no_grad()
def test_a_third_width_after_the_adapter_gets_a_bridge_that_fits() -> None:
    config = SpeechEncoderDecoderConfig(
        encoder=Wav2Vec2Config(**ENCODER, add_adapter=True, num_adapter_layers=1, output_hidden_size=20),
        decoder=Speech2Text2Config(vocab_size=30, d_model=16, decoder_layers=1, decoder_attention_heads=2),
    )
    model = SpeechEncoderDecoderModel(config).eval()
    states = model.encode(torch.randn(1, 4_000)).last_hidden_state
    assert states.shape == (1, config.encoder.output_frames(4_000), 16)


def test_labels_are_shifted_behind_the_start_token(model: SpeechEncoderDecoderModel) -> None:
    labels = torch.tensor([[7, 8, 2], [9, 2, -100]])
    assert model.shift_right(labels).tolist() == [[2, 7, 8], [2, 9, 2]]
    audio = torch.randn(2, 1_000)
    output = model(inputs=audio, labels=labels)
    by_hand = model(input_values=audio, decoder_input_ids=torch.tensor([[2, 7, 8], [2, 9, 2]]))
    assert close(output.logits, by_hand.logits)
    assert output.loss is not None
    output.loss.backward()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "masked" not in name)
    model.config.decoder.decoder_start_token_id = None
    with pytest.raises(ConfigurationError, match="decoder_start_token_id"):
        model(inputs=audio, labels=labels)


def test_training_drops_and_evaluation_does_not(model: SpeechEncoderDecoderModel) -> None:
    audio, ids = torch.randn(1, 2_000), torch.tensor([[2, 7]])
    assert torch.equal(model(audio, decoder_input_ids=ids).logits, model(audio, decoder_input_ids=ids).logits)
    model.train()
    torch.manual_seed(0)
    first = model(audio, decoder_input_ids=ids).logits
    assert not torch.equal(first, model(audio, decoder_input_ids=ids).logits)


@torch.no_grad()
def test_weights_changed_in_place_take_effect(model: SpeechEncoderDecoderModel) -> None:
    """What is derived from weights and kept for speed must notice an optimiser's step."""
    audio = torch.randn(1, 2_000)
    before = model.encode(audio).last_hidden_state
    for name in ("encoder.encoder.pos_conv_embed.conv.weight_v", "encoder.feature_extractor.conv_layers.1.conv.weight"):
        model.get_parameter(name).mul_(1.5).add_(0.1)
        after = model.encode(audio).last_hidden_state
        assert not close(before, after)
        assert close(copy.deepcopy(model).encode(audio).last_hidden_state, after)
        before = after


def test_what_is_missing_or_doubled_is_said(model: SpeechEncoderDecoderModel) -> None:
    audio = torch.randn(1, 1_000)
    with pytest.raises(ValueError, match="decoder_input_ids or labels"):
        model(audio)
    with pytest.raises(ValueError, match="give the waveforms once"):
        model.generate(audio, input_values=audio)
    with pytest.raises(ValueError, match="give the waveforms once"):
        model.generate()
    with pytest.raises(ConfigurationError, match="needs a config"):
        SpeechEncoderDecoderModel()
    with pytest.raises(ConfigurationError, match="'beams' is not a setting"):
        model.generate(audio, beams=5)


@torch.no_grad()
def test_saved_models_load_the_same(model: SpeechEncoderDecoderModel, tmp_path: Path) -> None:
    model.generation_config = model.generation_config.replace(num_beams=3, max_length=9)
    model.save_pretrained(tmp_path)
    loaded = SpeechEncoderDecoderModel.from_pretrained(tmp_path)

    audio = torch.randn(1, 3_000)
    assert not loaded.training
    assert loaded.generation_config.to_dict() == model.generation_config.to_dict()
    assert torch.equal(loaded.generate(audio), model.generate(audio))
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    half = SpeechEncoderDecoderModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.generate(audio.to(torch.bfloat16)).shape[0] == 1


def rewrite(folder: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_positions_and_mask_embedding_may_be_absent(model: SpeechEncoderDecoderModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    rewrite(
        tmp_path,
        lambda tensors: [tensors.pop(name) for name in list(tensors) if "positions" in name or "masked" in name],
    )
    loaded = SpeechEncoderDecoderModel.from_pretrained(tmp_path)
    assert torch.equal(
        loaded.decoder.model.decoder.embed_positions.weights, model.decoder.model.decoder.embed_positions.weights
    )
    assert not any(parameter.is_meta for parameter in loaded.parameters())


LM_HEAD, EMBEDDING = "decoder.lm_head.weight", "decoder.model.decoder.embed_tokens.weight"


def test_untied_matrices_are_both_loaded_whatever_the_flag_says(
    model: SpeechEncoderDecoderModel, tmp_path: Path
) -> None:
    assert model.config.decoder.tie_word_embeddings  # the default that the published decoder configuration keeps
    model.save_pretrained(tmp_path)
    loaded = SpeechEncoderDecoderModel.from_pretrained(tmp_path).state_dict()
    assert torch.equal(loaded[LM_HEAD], model.state_dict()[LM_HEAD])
    assert torch.equal(loaded[EMBEDDING], model.state_dict()[EMBEDDING])
    assert not torch.equal(loaded[LM_HEAD], loaded[EMBEDDING])


@pytest.mark.parametrize(("kept", "dropped"), [(LM_HEAD, EMBEDDING), (EMBEDDING, LM_HEAD)])
def test_of_tied_matrices_one_is_enough(
    model: SpeechEncoderDecoderModel, tmp_path: Path, kept: str, dropped: str
) -> None:
    model.save_pretrained(tmp_path)
    rewrite(tmp_path, lambda tensors: tensors.pop(dropped))
    loaded = SpeechEncoderDecoderModel.from_pretrained(tmp_path).state_dict()
    assert torch.equal(loaded[dropped], model.state_dict()[kept])

    model.config.decoder.tie_word_embeddings = False
    model.config.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=dropped.replace(".", r"\.")):
        SpeechEncoderDecoderModel.from_pretrained(tmp_path)
