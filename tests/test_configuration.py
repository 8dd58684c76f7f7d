"""Configurations read the published JSON, write it back without loss, and name what they reject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli import GenerationConfig, Speech2Text2Config, SpeechEncoderDecoderConfig, Wav2Vec2Config
from s2t2_cli.errors import ConfigurationError, ModelNotFoundError

# As published: keys we use, keys another architecture left over, and the facts of FAIRSEQ's conversion.
PUBLISHED: dict[str, Any] = {
    "architectures": ["SpeechEncoderDecoderModel"],
    "bos_token_id": 0,
    "decoder": {
        "_name_or_path": "",
        "activation_function": "relu",
        "architectures": ["Speech2TextForConditionalGeneration"],
        "conv_channels": 1024,
        "conv_kernel_sizes": [5, 5],
        "d_model": 256,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 2048,
        "decoder_layers": 7,
        "decoder_start_token_id": 2,
        "early_stopping": True,
        "encoder_layers": 12,
        "eos_token_id": 2,
        "id2label": {"0": "LABEL_0"},
        "is_decoder": True,
        "max_length": 200,
        "model_type": "speech_to_text_2",
        "num_beams": 5,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "vocab_size": 10224,
    },
    "encoder": {
        "conv_bias": True,
        "conv_dim": [512] * 7,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "model_type": "wav2vec2",
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "pad_token_id": 0,
        "vocab_size": 32,
    },
    "eos_token_id": 2,
    "feature_extractor_type": "wav2vec2",
    "is_encoder_decoder": True,
    "max_length": 200,
    "model_type": "speech-encoder-decoder",
    "num_beams": 5,
    "pad_token_id": 1,
    "tie_word_embeddings": False,
    "tokenizer_class": "speech_to_text_2",
    "torch_dtype": "float32",
    "transformers_version": None,
}


def test_published_values_are_read() -> None:
    config = SpeechEncoderDecoderConfig.from_dict(PUBLISHED)

    assert config.encoder.hidden_size == 1024
    assert config.encoder.conv_dim == (512,) * 7
    assert config.decoder.decoder_layers == 7
    assert config.decoder.vocab_size == 10224
    assert config.has_bridge
    assert config.decoder.extra["num_hidden_layers"] == 12


def test_nothing_is_lost_on_the_way_through_a_file(tmp_path: Path) -> None:
    SpeechEncoderDecoderConfig.from_dict(PUBLISHED).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())

    for part in ("encoder", "decoder"):
        assert PUBLISHED[part].items() <= written[part].items()
    assert {k: v for k, v in PUBLISHED.items() if k not in ("encoder", "decoder")}.items() <= written.items()
    assert SpeechEncoderDecoderConfig.from_pretrained(tmp_path).to_dict() == written


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=5).map("x_".__add__), json_values, max_size=4))
def test_left_over_keys_survive_whatever_they_are(extra: dict[str, Any]) -> None:
    for kind in (Wav2Vec2Config, Speech2Text2Config, GenerationConfig):
        assert extra.items() <= kind.from_dict(extra).to_dict().items()


def test_frames_follow_the_length_formula() -> None:
    large = SpeechEncoderDecoderConfig.from_dict(PUBLISHED).encoder

    assert [large.frames(n) for n in (0, 399, 400, 719, 720, 16_000, 160_000)] == [0, 0, 1, 1, 2, 49, 499]
    assert (large.minimum_samples, large.hop_samples) == (400, 320)
    with_adapter = Wav2Vec2Config(add_adapter=True, num_adapter_layers=2, adapter_stride=2)
    assert with_adapter.output_frames(16_000) == 13


def test_search_settings_of_old_checkpoints_come_from_the_decoder() -> None:
    values = {**PUBLISHED, "num_beams": 1}
    del values["max_length"]
    settings = GenerationConfig.from_model_config(SpeechEncoderDecoderConfig.from_dict(values))

    assert (settings.num_beams, settings.max_length, settings.early_stopping) == (5, 200, True)
    assert (settings.decoder_start_token_id, settings.pad_token_id, settings.eos_token_ids) == (2, 1, (2,))


def test_generation_file_holds_what_differs_from_the_defaults(tmp_path: Path) -> None:
    GenerationConfig(
        num_beams=5, max_length=200, eos_token_id=2, extra={"transformers_version": "4.26.0"}
    ).save_pretrained(tmp_path)

    written = json.loads((tmp_path / "generation_config.json").read_text())
    assert written == {"num_beams": 5, "max_length": 200, "eos_token_id": 2, "transformers_version": "4.26.0"}


def test_output_limit_counts_the_start_token() -> None:
    assert GenerationConfig(max_length=200).output_limit == 200
    assert GenerationConfig(max_length=200).replace(max_new_tokens=3).output_limit == 4
    assert GenerationConfig(num_beams=5).replace(num_beams=None).num_beams == 5


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Wav2Vec2Config(hidden_act="mish"), "hidden_act='mish' is not supported; known activations"),
        (lambda: Wav2Vec2Config(feat_extract_norm="batch"), "feat_extract_norm='batch' must be 'layer' or 'group'"),
        (lambda: Wav2Vec2Config(hidden_size=770), "hidden_size=770 is not a multiple of num_attention_heads"),
        (lambda: Wav2Vec2Config(num_conv_pos_embedding_groups=7), "num_conv_pos_embedding_groups=7"),
        (lambda: Wav2Vec2Config(conv_dim=(512,)), "one value for each layer"),
        (lambda: Wav2Vec2Config(conv_kernel=(2, 3, 3, 3, 3, 2, 2)), "would skip samples"),
        (lambda: Wav2Vec2Config(num_hidden_layers=0), "num_hidden_layers=0 must be at least 1"),
        (lambda: Wav2Vec2Config.from_dict({"adapter_attn_dim": 16}), "adapter_attn_dim"),
        (lambda: Wav2Vec2Config.from_dict({"hidden_size": "big"}), "hidden_size='big' should be int"),
        (lambda: Wav2Vec2Config.from_dict({"conv_dim": [512, "x"]}), "conv_dim"),
        (lambda: Wav2Vec2Config.from_dict({"hidden_size": None}), "hidden_size=None should be int"),
        (lambda: Wav2Vec2Config.from_dict([]), "expected a JSON object, found list"),  # type: ignore[arg-type]
        (lambda: Speech2Text2Config(d_model=30), "not a multiple of decoder_attention_heads"),
        (lambda: Speech2Text2Config(d_model=5, decoder_attention_heads=1), "must be even"),
        (lambda: Speech2Text2Config(pad_token_id=10_000), "outside the vocabulary of 10000"),
        (lambda: Speech2Text2Config.from_dict({"cross_attention_hidden_size": 9}), "cross_attention_hidden_size=9"),
        (
            lambda: SpeechEncoderDecoderConfig.from_dict({"model_type": "whisper"}),
            "no 'encoder' (its model_type is 'whisper')",
        ),
        (
            lambda: SpeechEncoderDecoderConfig.from_dict({**PUBLISHED, "decoder": {"model_type": "mbart"}}),
            "the decoder is a 'mbart', not a 'speech_to_text_2'",
        ),
        (lambda: SpeechEncoderDecoderConfig.from_dict("x"), "expected a JSON object"),  # type: ignore[arg-type]
        (lambda: GenerationConfig.from_dict({"do_sample": True}), "do_sample=True is not supported"),
        (lambda: GenerationConfig(num_beams=2, num_return_sequences=3), "more than num_beams=2"),
        (lambda: GenerationConfig(early_stopping="soon"), "early_stopping='soon' must be true, false or 'never'"),
        (lambda: GenerationConfig(min_length=-1), "min_length=-1 must not be negative"),
        (lambda: GenerationConfig(repetition_penalty=0.0), "repetition_penalty=0.0 must be above 0"),
        (lambda: GenerationConfig(length_penalty=float("nan")), "length_penalty=nan must be a finite number"),
        (lambda: GenerationConfig(max_new_tokens=0), "max_new_tokens=0 must be at least 1"),
        (lambda: GenerationConfig().replace(beams=3), "'beams' is not a setting of the search"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_named(build: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_neutral_values_of_what_is_not_supported_are_fine() -> None:
    settings = GenerationConfig.from_dict({"do_sample": False, "num_beam_groups": 1, "penalty_alpha": None})
    assert settings.replace(do_sample=False).num_beams == 1


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (None, ModelNotFoundError, "there is no config.json in"),
        ("{", ConfigurationError, "is not valid JSON"),
        ("[1]", ConfigurationError, "holds a JSON list, not an object"),
        ("[" * 100_000, ConfigurationError, "is not valid JSON"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: str | None, error: type[Exception], sentence: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(error) as caught:
        SpeechEncoderDecoderConfig.from_pretrained(tmp_path)
    assert sentence in str(caught.value)
