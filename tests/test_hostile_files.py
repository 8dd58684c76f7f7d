"""Manifests and checkpoints made to do harm: each ends in one sentence, and nothing else is lost by it."""

from __future__ import annotations

import json
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cli_run import Here
from s2t2_cli import manifests
from s2t2_cli.checkpoint.layout import weight_files
from s2t2_cli.checkpoint.pickled import read_pickled
from s2t2_cli.configuration import GenerationConfig, SpeechEncoderDecoderConfig, base
from s2t2_cli.errors import CheckpointError, ConfigurationError, ModelError, TokenizerError, UsageError
from s2t2_cli.formats import TextFormat
from s2t2_cli.manifests import Manifest
from s2t2_cli.processing import Wav2Vec2FeatureExtractor
from s2t2_cli.records import TranslationResult
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.writers import FolderWriter, Places


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the miniature checkpoint to spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# Manifests


def test_a_line_without_end_is_one_broken_row_and_never_held(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = b'{"audio_filepath": "nowhere.wav"}\n'
    with path.open("wb") as file:
        file.write(row + b'{"audio_filepath": "')
        file.seek(300 << 20, 1)
        file.write(b'"}\n' + row)
    tracemalloc.start()
    try:
        sources = list(Manifest(str(path)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [source.name for source in sources] == ["nowhere.wav", f"{path}:2", "nowhere.wav"]
    assert str(sources[1].error) == f"line 2 of {path} is longer than 16 MiB"
    assert "named in line 3" in str(sources[2].error)
    assert peak < 5 * manifests.MAX_LINE_BYTES


def test_a_row_of_just_the_longest_length_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    row = json.dumps({"audio_filepath": "x.wav"})
    monkeypatch.setattr(manifests, "MAX_LINE_BYTES", len(row))
    for text, number in (
        (f"{row}\n{row}", 0),
        (f"{row} \n{row}", 1),
        (f"{row}     \n{row}", 1),
        (f"{row}{' ' * 99}", 1),
    ):
        path.write_text(text)
        assert sum("is longer than" in str(source.error) for source in Manifest(str(path))) == number


def test_a_first_line_without_end_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        Manifest("/dev/zero")


@pytest.mark.parametrize(
    "value",
    ["[" * 100_000, "9" * 5_000, "1e999", "NaN", '"\\ud800"', "[" * 900 + "]" * 900],
    ids=["deep", "long", "large", "NaN", "surrogate", "rather deep"],
)  # fmt: skip
def test_a_row_that_is_hard_to_read_or_to_write_is_one_result(
    value: str, tmp_path: Path, clip: Path, tiny_checkpoint: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "rows.jsonl"
    row = f'{{"audio_filepath": {json.dumps(str(clip))}'
    path.write_text(f'{row}, "x": {value}}}\n{row}}}\n')
    s2t2 = Here(capfdbinary)
    for layout in ("jsonl", "tsv"):
        run = s2t2(
            "translate", "--manifest", path, "--model", tiny_checkpoint, "--lang", "de", "--format", layout,
            "--max-new-tokens", "2",
        )  # fmt: skip
        rows = run.lines[1:] if layout == "tsv" else run.lines
        assert len(rows) == 2
        assert "ok" in rows[1]
        assert run.status == (0 if "ok" in rows[0] else 1)
        assert "Traceback" not in run.err


@pytest.mark.parametrize(
    "names",
    [
        ["http://x.invalid/" + "a/" * 3_000 + "b", "http://x.invalid/" + "a/" * 3_000 + "c"],
        ["http://x.invalid/a", "http://x.invalid/a.txt/b", "http://x.invalid/a.txt/b.txt/c"],
        ["http://x.invalid/a.txt/b", "http://x.invalid/a", "http://x.invalid/a"],
        ["../../../up.wav", "/etc/up.wav", "up.wav"],
        ["x" * 250, "x" * 251, "x" * 5_000],
    ],
    ids=["long path", "folder after file", "file after folder", "upwards", "long name"],
)
def test_no_name_keeps_the_others_from_being_written(names: list[str], tmp_path: Path) -> None:
    """With --output-dir each result has a file, below the folder and nowhere else, whatever a recording is called."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"audio_filepath": name}) + "\n" for name in names))
    places = Places(".txt")
    with FolderWriter(tmp_path / "out", TextFormat()) as writer:
        for number, source in enumerate(Manifest(str(path))):
            writer.write(TranslationResult(source.name, "ok", text=str(number)), places.claim(source.place))
    written = [file for file in tmp_path.rglob("*.txt") if file.is_file()]
    assert all(file.is_relative_to(tmp_path / "out") for file in written)
    assert sorted(file.read_text() for file in written) == [f"{number}\n" for number in range(len(names))]


# Configurations

HUGE = 10**30
ENCODER: list[Mapping[str, Any]] = [
    *({name: size} for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_conv_pos_embeddings")
      for size in (0, -1, 2**31, HUGE)),
    {"hidden_dropout": -1}, {"layerdrop": 1e300}, {"layer_norm_eps": float("nan")}, {"layer_norm_eps": HUGE**20},
    {"num_adapter_layers": HUGE}, {"output_hidden_size": HUGE}, {"conv_dim": [HUGE] * 7}, {"conv_stride": [1.5] * 7},
]  # fmt: skip
DECODER: list[Mapping[str, Any]] = [
    *({name: size} for name in ("d_model", "vocab_size", "decoder_layers", "decoder_ffn_dim", "max_target_positions")
      for size in (0, -1, 2**31, HUGE)),
    {"dropout": 2}, {"vocab_size": 2**24, "pad_token_id": 2**24 - 1}, {"activation_function": "__import__('os')"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "values"), [*(("encoder", one) for one in ENCODER), *(("decoder", one) for one in DECODER)]
)
def test_a_size_that_no_network_has(part: str, values: Mapping[str, Any], tiny_checkpoint: Path) -> None:
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    config[part] |= values
    with pytest.raises(ConfigurationError) as caught:
        SpeechEncoderDecoderConfig.from_dict(config)
    assert len(str(caught.value)) < 1_400


@pytest.mark.parametrize(
    "values",
    [{"num_beams": 2**31}, {"max_length": 2**31}, {"max_new_tokens": HUGE}, {"length_penalty": 1e300},
     {"length_penalty": -1e300}, {"repetition_penalty": float("inf")}, {"bad_words_ids": [[]]}, {"num_beams": []}],
)  # fmt: skip
def test_a_search_that_would_never_end(values: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        GenerationConfig.from_dict(values)


@pytest.mark.parametrize("start", [-1, 10**9, HUGE])
def test_a_start_outside_the_vocabulary(
    checkpoint: Path, clip: Path, start: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    change(checkpoint / "generation_config.json", decoder_start_token_id=start)
    run = Here(capfdbinary)("translate", clip, "--model", checkpoint)
    assert run.status == 2
    assert f"the start token {start} lies outside the vocabulary of" in run.err


def test_a_rate_that_no_audio_will_have(
    checkpoint: Path, clip: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    change(checkpoint / "preprocessor_config.json", sampling_rate=1)
    run = Here(capfdbinary)("translate", clip, "--model", checkpoint)
    assert (run.status, run.out) == (2, "")
    assert "wants audio at 1 Hz; only 16000 Hz is supported" in run.err


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "vocab.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"[" * 10**6, b'{"a":' * 10**5, b"9" * 10**5, b"\xff\xfe{}", b"\0" * 99, b"NaN"])
def test_json_that_nobody_can_read(
    checkpoint: Path, clip: Path, name: str, content: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (checkpoint / name).write_bytes(content)
    run = Here(capfdbinary)("translate", clip, "--model", checkpoint)
    assert (run.status, run.out) == (2, "")
    assert name in run.messages[-1]


def test_a_text_file_larger_than_any(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_TEXT_BYTES", 2**20)
    for name in ("vocab.json", "merges.txt"):
        content = (checkpoint / name).read_text()
        (checkpoint / name).write_text(content + " " * 2**20)
        with pytest.raises(TokenizerError, match=f"{name}.*is larger than 1 MiB"):
            Speech2Text2Tokenizer.from_pretrained(checkpoint)
        (checkpoint / name).write_text(content)


# Weights


@pytest.mark.parametrize(
    "name", ["x" * 300, "a/../../b", "../..", "/etc/passwd", "\u202e", "a\nb", "ü" * 200, "\ud800"]
)
def test_an_index_names_files_beside_it(tmp_path: Path, name: str) -> None:
    index = {"weight_map": {"a": f"{name}.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"which is not a \.safetensors file beside it"):
        weight_files(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_give_no_text(
    checkpoint: Path, clip: Path, value: float, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    spoilt = {name: torch.full_like(one, value) for name, one in tensors.items()}
    save_file(spoilt, checkpoint / "model.safetensors")
    run = Here(capfdbinary)("translate", clip, "--model", checkpoint, "--format", "jsonl")
    assert run.status == 1
    assert json.loads(run.out)["error"]["type"] == "TranslationError"
    assert "its weights are damaged" in run.err


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_a_name_of_a_megabyte_is_refused_at_once(checkpoint: Path, is_zip: bool) -> None:
    """torch would search it by patterns whose time grows with the square of its length."""
    path = checkpoint / "pytorch_model.bin"
    state = pickle.dumps(torch.Size, protocol=2).replace(b"ctorch\nSize\n", b"ctorch\n" + b"[" * 2**20 + b"\n")
    if is_zip:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/data.pkl", state)
            archive.writestr("m/version", b"3\n")
    else:
        header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        path.write_bytes(b"".join(pickle.dumps(one, protocol=2) for one in header) + state)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is damaged, or not a checkpoint of torch at all"):
        read_pickled(path)


# Tokenizer and feature extractor


def test_a_checkpoint_does_not_say_which_files_are_read(checkpoint: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a b\nc d\n")
    change(checkpoint / "tokenizer_config.json", merges_file=str(secret), vocab_file=str(secret), tokenizer_file="x")
    tokenizer = Speech2Text2Tokenizer.from_pretrained(checkpoint)
    assert tokenizer.bpe is not None
    assert ("a", "b") not in tokenizer.bpe.ranks


@pytest.mark.parametrize(
    "values",
    [{"additional_special_tokens": 5}, {"additional_special_tokens": "abc"}, {"additional_special_tokens": [{}]},
     {"added_tokens_decoder": 5}, {"added_tokens_decoder": {"x": "y"}}, {"added_tokens_decoder": {"1": 5}},
     {"unk_token": []}, {"pad_token": None}, {"model_max_length": float("nan")}, {"model_max_length": -1},
     {"model_max_length": 1.5}, {"model_max_length": "long"}, {"padding_side": {}}],
)  # fmt: skip
def test_a_tokenizer_that_cannot_be(checkpoint: Path, values: Mapping[str, Any]) -> None:
    (checkpoint / "special_tokens_map.json").unlink()  # it would win
    change(checkpoint / "tokenizer_config.json", **values)
    with pytest.raises(TokenizerError):
        Speech2Text2Tokenizer.from_pretrained(checkpoint)


@pytest.mark.parametrize("number", [-1, 2**31, HUGE, 1.0, True, None, "1", []])
def test_an_id_that_cannot_be(checkpoint: Path, number: object) -> None:
    change(checkpoint / "vocab.json", word=number)
    with pytest.raises(TokenizerError, match=r"the id of 'word' is .*, not a whole number from 0"):
        Speech2Text2Tokenizer.from_pretrained(checkpoint)


def test_names_that_mean_something_in_python_are_only_names(checkpoint: Path) -> None:
    for name in ("tokenizer_config.json", "preprocessor_config.json"):
        change(checkpoint / name, self=1, cls=2, __class__=3, args=[], kwargs={})
    assert Speech2Text2Tokenizer.from_pretrained(checkpoint).decode([4, 5])
    assert Wav2Vec2FeatureExtractor.from_pretrained(checkpoint).to_dict()["self"] == 1


def test_a_message_is_short_whatever_it_quotes() -> None:
    long = ModelError("x" * 10**6 + ": fetch it again")
    assert len(str(long)) < 1_400
    assert str(long).endswith(": fetch it again")
    assert str(ModelError("short")) == "short"
    assert len(str(UsageError("ü" * 5_000))) < 1_400
