"""Folders: which one is meant, what it must hold, and what is said of one that is not a checkpoint."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from hub_server import write_cached
from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.errors import CheckpointError, ConfigurationError, ModelNotFoundError

MODEL = "someone/s2t-en-de"


def folder_with(folder: Path, *names: str, **contents: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"{}")
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(json.dumps(content))
    return folder


def refusal(model: str | os.PathLike[str], kind: type[Exception] = ModelNotFoundError) -> str:
    """The sentence with which `model` is refused."""
    with pytest.raises(kind) as error:
        resolve_checkpoint(model)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_published_layout(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", "config.json", "vocab.json", "merges.txt", "pytorch_model.bin")
    checkpoint = resolve_checkpoint(folder)
    assert checkpoint.folder == folder
    assert checkpoint.name == str(folder)
    assert checkpoint.revision is None
    assert checkpoint.weights == (folder / "pytorch_model.bin",)
    assert checkpoint.path("merges.txt") == folder / "merges.txt"
    assert checkpoint.path("added_tokens.json") is None
    assert checkpoint.read_json("vocab.json") == {}


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"], "model.safetensors"),
        (["pytorch_model.bin", "pytorch_model.bin.index.json"], "pytorch_model.bin"),
        (["pytorch_model.bin", "flax_model.msgpack", "tf_model.h5"], "pytorch_model.bin"),
    ],
)
def test_one_format_is_chosen(tmp_path: Path, present: list[str], chosen: str) -> None:
    folder = folder_with(tmp_path / "m", "config.json", *present)
    assert [path.name for path in resolve_checkpoint(folder).weights] == [chosen]


def test_shards_in_the_order_of_their_index(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}
    folder = folder_with(tmp_path / "m", "config.json", "model-1.safetensors", "model-2.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    names = [path.name for path in resolve_checkpoint(folder).weights]
    assert names == ["model-2.safetensors", "model-1.safetensors"]


def test_names_are_kept_as_the_user_wrote_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_with(tmp_path / "m", "config.json", "model.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_checkpoint("m/").name == "m/"
    assert resolve_checkpoint("./m").folder == Path("m")
    home = resolve_checkpoint("~/m")
    assert (home.name, home.folder) == ("~/m", tmp_path / "m")


def test_a_folder_without_weights_is_enough_for_a_tokenizer(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", "config.json", "vocab.json")
    assert resolve_checkpoint(folder, weights=False).weights == ()
    assert "there are no weights" in refusal(folder)


def test_a_snapshot_of_the_hubs_cache_knows_its_commit(tmp_path: Path) -> None:
    snapshot = write_cached(tmp_path, MODEL, {"config.json": b"{}", "model.safetensors": b"safe"})
    assert resolve_checkpoint(snapshot).revision == snapshot.name


def test_the_revision_of_a_folder_is_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_with(tmp_path / "m", "config.json", "model.safetensors")
    with caplog.at_level(logging.WARNING):
        resolve_checkpoint(folder, revision="v1")
    assert "v1 is ignored" in caplog.text


@pytest.mark.parametrize(
    "name", ["./nothing", "/nothing/here", "~/nothing", "a/b/c", "nothing/", "..", "\\nothing", ""]
)
def test_what_looks_like_a_folder_and_is_none(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder_with(tmp_path / "empty"))
    if name == "..":
        name = "../nothing"
    assert "there is no folder" in refusal(name)
    assert repr(name) in refusal(name)


def test_a_path_object_is_never_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there is no folder 'someone/s2t-en-de'" in refusal(Path(MODEL))


def test_a_file_inside_the_folder(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", "config.json", "model.safetensors")
    assert f"give the folder it lies in, {folder}" in refusal(folder / "model.safetensors")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "is empty" in refusal(folder_with(tmp_path / "m"))


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    assert "there is no config.json" in refusal(folder_with(tmp_path / "m", "notes.txt"))


def test_a_folder_of_the_cache_instead_of_a_snapshot(tmp_path: Path) -> None:
    write_cached(tmp_path, MODEL, {"config.json": b"{}"})
    assert "the id someone/s2t-en-de" in refusal(tmp_path / "models--someone--s2t-en-de")


def test_a_link_to_nothing_is_no_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", "model.safetensors")
    (folder / "config.json").symlink_to("gone.json")
    assert "there is no config.json" in refusal(folder)


def test_a_folder_that_links_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "there is no folder" in refusal(tmp_path / "loop")


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"weight_map": {}},
        {"weight_map": ["model-1.safetensors"]},
        {"weight_map": {"a": 1}},
        {"weight_map": {"a": ""}},
        {"weight_map": {"a": ".."}},
        {"weight_map": {"a": "/etc/passwd"}},
        {"weight_map": {"a": "/tmp/model.safetensors"}},
        {"weight_map": {"a": "../model.safetensors"}},
        {"weight_map": {"a": "sub/model.safetensors"}},
        {"weight_map": {"a": "..\\model.safetensors"}},
        {"weight_map": {"a": "model\0.safetensors"}},
        {"weight_map": {"a": "model.bin"}},
    ],
)
def test_an_index_that_names_no_shards(tmp_path: Path, index: object) -> None:
    folder = folder_with(tmp_path / "m", "config.json", model__safetensors__index__json=index)
    assert "model.safetensors.index.json names" in refusal(folder, CheckpointError)


def test_missing_shards(tmp_path: Path) -> None:
    index = {"weight_map": {str(number): f"model-{number}.safetensors" for number in range(5)}}
    folder = folder_with(tmp_path / "m", "config.json", "model-0.safetensors", model__safetensors__index__json=index)
    assert "4 of the 5 shards" in refusal(folder, CheckpointError)
    assert "model-1.safetensors first" in refusal(folder, CheckpointError)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'"text"', b"null"])
def test_a_file_that_is_no_json_object(tmp_path: Path, content: bytes) -> None:
    folder = folder_with(tmp_path / "m", "config.json", "model.safetensors")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ConfigurationError) as error:
        resolve_checkpoint(folder).read_json("config.json")
    assert "config.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_published_checkpoints() -> None:
    assert {lang: one.model_id for lang, one in PUBLISHED.items()} == {
        "de": "facebook/s2t-wav2vec2-large-en-de",
        "tr": "facebook/s2t-wav2vec2-large-en-tr",
        "ca": "facebook/s2t-wav2vec2-large-en-ca",
        "ar": "facebook/s2t-wav2vec2-large-en-ar",
    }
    assert {lang: one.bleu for lang, one in PUBLISHED.items()} == {"de": 26.5, "tr": 17.5, "ca": 34.1, "ar": 20.2}


def test_the_names_of_the_package() -> None:
    import s2t2_cli.checkpoint as package

    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'unpickle'"):
        package.unpickle  # noqa: B018


def test_the_name_of_the_bundled_checkpoint_is_not_looked_up_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_checkpoint("demo").name == "demo-de"
