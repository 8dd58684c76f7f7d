"""What fine-tuning may start from, and what is made of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.checkpoint.tensors import read_tensors
from s2t2_cli.errors import CheckpointError, ConfigurationError, ModelNotFoundError, UsageError
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.starting import Start, build_model, find_extractor, find_start, find_tokenizer


def start(name: Path | str) -> Start:
    return find_start(str(name), revision=None, cache_dir=None, offline=True)


def build(
    begin: Start, tokenizer: Speech2Text2Tokenizer, **settings: Any
) -> tuple[SpeechEncoderDecoderModel, list[str]]:
    usual: dict[str, Any] = {"encoder": {}, "decoder": None, "new_decoder": False, "seed": 1}
    return build_model(begin, tokenizer, **(usual | settings))


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: Path) -> Speech2Text2Tokenizer:
    return Speech2Text2Tokenizer.from_pretrained(tiny_checkpoint)


@pytest.fixture(scope="module")
def stored(tiny_checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(read_tensors(resolve_checkpoint(tiny_checkpoint)))


@pytest.fixture
def wav2vec2(tmp_path: Path, tiny_checkpoint: Path, stored: dict[str, torch.Tensor]) -> Path:
    """The miniature's encoder as a wav2vec 2.0 that was pretrained: names as published, with its heads."""
    folder = tmp_path / "wav2vec2"
    folder.mkdir()
    config = json.loads((tiny_checkpoint / "config.json").read_text())["encoder"]
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["Wav2Vec2ForPreTraining"]}))
    shutil.copy(tiny_checkpoint / "preprocessor_config.json", folder)
    write_encoder(folder, stored, "wav2vec2.", PRETRAINING)
    return folder


PRETRAINING = ("quantizer.codevectors", "quantizer.weight_proj.weight", "project_hid.weight", "project_q.bias")


def write_encoder(folder: Path, stored: dict[str, torch.Tensor], prefix: str, heads: tuple[str, ...] = ()) -> None:
    encoder = {name.removeprefix("encoder."): one for name, one in stored.items() if name.startswith("encoder.")}
    tensors = {f"{prefix}{name}": one for name, one in encoder.items()}
    save_file(tensors | {head: torch.zeros(2, 3) for head in heads}, folder / "model.safetensors")


def assert_same_encoder(model: SpeechEncoderDecoderModel, stored: dict[str, torch.Tensor]) -> None:
    found = model.state_dict()
    for name, tensor in stored.items():
        if name.startswith("encoder."):
            assert torch.equal(found[name], tensor), name


def test_a_translation_checkpoint_is_taken_as_it_is(
    tiny_checkpoint: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor]
) -> None:
    model, said = build(start(tiny_checkpoint), tokenizer, encoder={"mask_time_prob": 0.15, "layerdrop": 0.05})
    found = model.state_dict()
    for name, tensor in stored.items():
        assert torch.equal(found[name], tensor), name
    assert said == []
    assert (model.config.encoder.mask_time_prob, model.config.encoder.layerdrop) == (0.15, 0.05)
    assert model.config.decoder.tie_word_embeddings is False
    assert all(one.requires_grad and one.dtype == torch.float32 for one in model.parameters())


def test_masking_brings_the_mask_embedding(tmp_path: Path, tiny_checkpoint: Path, tokenizer: Any) -> None:
    """Where the checkpoint was made without masking, its file has none."""
    folder = tmp_path / "unmasked"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config["encoder"]["mask_time_prob"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    model, _ = build(start(folder), tokenizer, encoder={"mask_time_prob": 0.15})
    assert model.encoder.masked_spec_embed.shape == (32,)
    again, _ = build(start(folder), tokenizer, encoder={"mask_time_prob": 0.15})
    assert torch.equal(model.encoder.masked_spec_embed, again.encoder.masked_spec_embed)


def test_a_pretrained_encoder_gets_a_new_decoder(
    wav2vec2: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor]
) -> None:
    model, said = build(start(wav2vec2), tokenizer, decoder={"decoder_layers": 2, "d_model": 16})
    assert_same_encoder(model, stored)
    assert said == [
        f"left out of {wav2vec2}: project_hid, project_q, quantizer",
        f"the decoder is new: 2 layers, {len(tokenizer)} sub-words",
    ]
    assert model.enc_to_dec_proj is not None
    config = model.config.decoder
    assert (config.vocab_size, config.d_model, config.decoder_attention_heads) == (len(tokenizer), 16, 4)
    assert (config.decoder_start_token_id, config.eos_token_id, config.pad_token_id) == (2, 2, 1)
    assert model.generation_config.num_beams == 5
    assert model.generation_config.max_length == 200


@pytest.mark.parametrize(
    ("prefix", "heads"), [("", ()), ("wav2vec2.", ("lm_head.weight", "lm_head.bias")), ("", ("lm_head.weight",))]
)
def test_layouts_of_pretrained_files(
    wav2vec2: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor], prefix: str, heads: Any
) -> None:
    write_encoder(wav2vec2, stored, prefix, heads)
    model, _ = build(start(wav2vec2), tokenizer, decoder={"decoder_layers": 1})
    assert_same_encoder(model, stored)


def test_a_pickled_file_with_the_newer_names_of_weight_norm(
    wav2vec2: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor]
) -> None:
    renamed = {
        name.replace("encoder.", "wav2vec2.", 1)
        .replace("weight_g", "parametrizations.weight.original0")
        .replace("weight_v", "parametrizations.weight.original1"): tensor.clone()
        for name, tensor in stored.items()
        if name.startswith("encoder.")
    }
    (wav2vec2 / "model.safetensors").unlink()
    torch.save(renamed, wav2vec2 / "pytorch_model.bin")
    model, _ = build(start(wav2vec2), tokenizer, decoder={"decoder_layers": 1})
    assert_same_encoder(model, stored)


def test_an_unknown_tensor_is_no_head(
    wav2vec2: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor]
) -> None:
    write_encoder(wav2vec2, stored, "wav2vec2.", ("mystery.weight",))
    with pytest.raises(CheckpointError, match=r"1 tensor unexpected \(mystery\.weight\)"):
        build(start(wav2vec2), tokenizer)


def test_the_encoder_of_a_translation_checkpoint_under_a_new_decoder(
    tiny_checkpoint: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor]
) -> None:
    model, said = build(start(tiny_checkpoint), tokenizer, new_decoder=True, decoder={"decoder_layers": 1})
    assert_same_encoder(model, stored)
    assert "left out of" in said[0]
    assert "decoder" in said[0]
    assert not torch.equal(model.decoder.lm_head.weight, stored["decoder.lm_head.weight"])


def test_a_configuration_alone_gives_random_weights_that_the_seed_fixes(
    tmp_path: Path, wav2vec2: Path, tokenizer: Speech2Text2Tokenizer, stored: dict[str, torch.Tensor]
) -> None:
    file = shutil.copy(wav2vec2 / "config.json", tmp_path / "large.json")
    models = [build(start(file), tokenizer, seed=seed)[0].state_dict() for seed in (1, 1, 2)]
    name = "encoder.encoder.layers.0.attention.q_proj.weight"
    assert torch.equal(models[0][name], models[1][name])
    assert not torch.equal(models[0][name], models[2][name])
    assert not torch.equal(models[0][name], stored[name])


def test_a_folder_without_weights_is_said_to_be_one(tmp_path: Path, tiny_checkpoint: Path, tokenizer: Any) -> None:
    shutil.copy(tiny_checkpoint / "config.json", tmp_path)
    _, said = build(start(tmp_path), tokenizer)
    assert said == [f"{tmp_path} has no weights: training starts from random numbers"]


@pytest.mark.parametrize("config", [{"model_type": "bert"}, {}])
def test_models_of_another_kind(tmp_path: Path, config: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="neither a Speech2Text2 checkpoint nor a wav2vec 2"):
        start(tmp_path)


def test_nothing_there() -> None:
    with pytest.raises(ModelNotFoundError, match="there is no folder"):
        start("./nowhere")


# Tokenizers


def test_a_pretrained_encoder_brings_no_tokenizer(wav2vec2: Path) -> None:
    """Not even where a CTC model's letters lie beside it."""
    (wav2vec2 / "vocab.json").write_text('{"<pad>": 0, "A": 1}')
    with pytest.raises(UsageError, match="name a folder with --tokenizer, which s2t2 learn-bpe makes"):
        find_tokenizer(start(wav2vec2), None)


def test_a_tokenizer_that_cannot_encode(tmp_path: Path, tiny_checkpoint: Path) -> None:
    shutil.copy(tiny_checkpoint / "vocab.json", tmp_path)
    with pytest.raises(UsageError, match=r"cannot encode text: there is no merges\.txt"):
        find_tokenizer(start(tiny_checkpoint), tmp_path)


def test_a_tokenizer_that_the_decoder_was_not_made_for(tmp_path: Path, tiny_checkpoint: Path) -> None:
    shutil.copy(tiny_checkpoint / "merges.txt", tmp_path)
    vocab = json.loads((tiny_checkpoint / "vocab.json").read_text())
    vocab["Guten"], vocab["Morgen"] = vocab["Morgen"], vocab["Guten"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    tokenizer = find_tokenizer(start(tiny_checkpoint), tmp_path)
    with pytest.raises(UsageError, match=r"made for another tokenizer .*--new-decoder"):
        build(start(tiny_checkpoint), tokenizer)


def test_a_decoder_configuration_needs_a_new_decoder(tiny_checkpoint: Path, tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="needs --new-decoder"):
        build(start(tiny_checkpoint), tokenizer, decoder={"decoder_layers": 1})


def test_a_new_decoder_with_too_small_a_vocabulary(wav2vec2: Path, tokenizer: Any) -> None:
    with pytest.raises(UsageError, match=r"vocab_size 10, and the tokenizer has \d+ sub-words: leave vocab_size out"):
        build(start(wav2vec2), tokenizer, decoder={"vocab_size": 10})


@pytest.mark.parametrize(("norm", "masked"), [("layer", True), ("group", False)])
def test_without_a_feature_extractor_the_usual_one(tmp_path: Path, wav2vec2: Path, norm: str, masked: bool) -> None:
    (wav2vec2 / "preprocessor_config.json").unlink()
    begin = start(wav2vec2)
    model_config = type("Config", (), {"feat_extract_norm": norm})
    assert find_extractor(begin, model_config).return_attention_mask is masked  # type: ignore[arg-type]
