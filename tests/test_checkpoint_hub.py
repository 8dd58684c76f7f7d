"""A hub id becomes a folder of the cache: against a real server, and against a cache laid out by hand."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_server import HubServer, hub_environment, use_hub, write_cached
from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.errors import (
    CheckpointError,
    ConfigurationError,
    HubUnreachableError,
    ModelError,
    ModelNotFoundError,
)

MODEL = "someone/s2t-en-de"
FILES = {
    "config.json": b'{"decoder": {"model_type": "speech_to_text_2"}}',
    "generation_config.json": b"{}",
    "preprocessor_config.json": b"{}",
    "tokenizer_config.json": b"{}",
    "special_tokens_map.json": b"{}",
    "vocab.json": b'{"<s>": 0}',
    "merges.txt": b"a b\n",
    "pytorch_model.bin": b"weights" * 1000,
    "README.md": b"# A model",
    "tf_model.h5": b"other weights",
    "flax_model.msgpack": b"other weights",
}
NEEDED = set(FILES) - {"README.md", "tf_model.h5", "flax_model.msgpack"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        use_hub(monkeypatch, server.endpoint, tmp_path)
        yield server


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    """The message, which must be one sentence on one line."""
    message = str(error.value)
    assert "\n" not in message
    assert not message.endswith(".")
    return message


# What is fetched


def test_only_the_files_that_are_needed_are_downloaded(hub: HubServer) -> None:
    commit = hub.add(MODEL, FILES)
    checkpoint = resolve_checkpoint(MODEL)
    assert checkpoint.name == MODEL
    assert checkpoint.revision == commit == checkpoint.folder.name
    reference = checkpoint.folder.parent.parent / "refs" / "main"
    assert reference.read_text() == commit
    assert reference.stat().st_mode == (checkpoint.folder / "vocab.json").stat().st_mode, "for others to read as well"
    assert checkpoint.weights == (checkpoint.folder / "pytorch_model.bin",)
    assert {path.name for path in checkpoint.folder.iterdir()} == NEEDED
    assert {path.name: path.read_bytes() for path in checkpoint.folder.iterdir()} == {
        name: FILES[name] for name in NEEDED
    }


def test_safetensors_are_preferred_and_the_pickle_is_left_where_it_is(hub: HubServer) -> None:
    hub.add(MODEL, {**FILES, "model.safetensors": b"safe"})
    checkpoint = resolve_checkpoint(MODEL)
    assert [path.name for path in checkpoint.weights] == ["model.safetensors"]
    assert not (checkpoint.folder / "pytorch_model.bin").exists()


@pytest.mark.parametrize("stem", ["model.safetensors", "pytorch_model.bin"])
def test_shards_are_downloaded_by_their_index(hub: HubServer, stem: str) -> None:
    name, ending = stem.rsplit(".", 1)
    shards = [f"{name}-0000{number}-of-00002.{ending}" for number in (1, 2)]
    index = {"weight_map": {"a": shards[1], "b": shards[0], "c": shards[1]}}
    files = {name: content for name, content in FILES.items() if name != "pytorch_model.bin"}
    files |= {f"{stem}.index.json": json.dumps(index).encode(), shards[0]: b"first", shards[1]: b"second"}
    hub.add(MODEL, files)
    checkpoint = resolve_checkpoint(MODEL)
    assert [path.name for path in checkpoint.weights] == [shards[1], shards[0]]
    assert [path.read_bytes() for path in checkpoint.weights] == [b"second", b"first"]


def test_an_old_revision_without_merges_resolves(hub: HubServer) -> None:
    hub.add(MODEL, {name: content for name, content in FILES.items() if name != "merges.txt"})
    checkpoint = resolve_checkpoint(MODEL)
    assert checkpoint.path("merges.txt") is None
    assert checkpoint.read_json("merges.json") is None
    assert checkpoint.read_json("vocab.json") == {"<s>": 0}


def test_the_small_files_alone(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    checkpoint = resolve_checkpoint(MODEL, weights=False)
    assert checkpoint.weights == ()
    assert {path.name for path in checkpoint.folder.iterdir()} == NEEDED - {"pytorch_model.bin"}


def test_nothing_is_fetched_twice(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    first = resolve_checkpoint(MODEL)
    hub.requests.clear()
    assert resolve_checkpoint(MODEL) == first
    assert hub.requests == [("GET", f"/api/models/{MODEL}")]


def test_a_new_commit_fetches_what_changed(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    old = resolve_checkpoint(MODEL)
    hub.add(MODEL, {**FILES, "merges.txt": b"c d\n"})
    hub.requests.clear()
    new = resolve_checkpoint(MODEL)
    assert new.revision != old.revision
    assert (new.folder / "merges.txt").read_bytes() == b"c d\n"
    assert not hub.asked("cdn"), "the weights did not change"


def test_branches_tags_and_commits(hub: HubServer) -> None:
    main = hub.add(MODEL, FILES)
    pull_request = hub.add(MODEL, {**FILES, "merges.txt": b"c d\n"}, revision="refs/pr/2")
    assert resolve_checkpoint(MODEL, revision="refs/pr/2").revision == pull_request
    assert resolve_checkpoint(MODEL, revision=main).revision == main
    hub.close()
    assert resolve_checkpoint(MODEL, revision="refs/pr/2").revision == pull_request
    assert resolve_checkpoint(MODEL, revision=main).revision == main


def test_a_renamed_repository_is_found(hub: HubServer) -> None:
    commit = hub.add("someone/new-name", FILES)
    hub.renamed["someone/old-name"] = "someone/new-name"
    assert resolve_checkpoint("someone/old-name").revision == commit


def test_a_cache_folder_of_ones_own(hub: HubServer, tmp_path: Path) -> None:
    hub.add(MODEL, FILES)
    checkpoint = resolve_checkpoint(MODEL, cache_dir=tmp_path / "mine")
    assert checkpoint.folder.is_relative_to(tmp_path / "mine" / "models--someone--s2t-en-de" / "snapshots")


def test_a_folder_wins_over_a_hub_id_of_the_same_name(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work" / MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(FILES["config.json"])
    (folder / "model.safetensors").write_bytes(b"safe")
    monkeypatch.chdir(tmp_path / "work")
    assert resolve_checkpoint(MODEL).folder == Path(MODEL)
    assert hub.requests == []


def test_several_at_once_do_not_harm_each_other(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    outcomes: list[str | None] = []
    threads = [threading.Thread(target=lambda: outcomes.append(resolve_checkpoint(MODEL).revision)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert len(set(outcomes)) == 1


# What the hub refuses


@pytest.mark.parametrize("token", [None, HubServer.token])
def test_a_model_that_does_not_exist(hub: HubServer, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint("someone/nothing")
    message = one_line(error)
    assert "no model of that name" in message or "does not accept" in message
    assert "hf auth login" in message


def test_a_revision_that_does_not_exist(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    resolve_checkpoint(MODEL)
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint(MODEL, revision="v9")
    assert f"{MODEL} has no revision 'v9'" in one_line(error)


@pytest.mark.parametrize("revision", ["", "..", "../../secrets", "a//b", "/etc", "a\\b", "a\0b"])
def test_a_revision_that_is_none(hub: HubServer, revision: str) -> None:
    hub.add(MODEL, FILES)
    with pytest.raises(ModelNotFoundError, match="is no revision of"):
        resolve_checkpoint(MODEL, revision=revision)
    assert hub.requests == []


def test_a_gated_model(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add(MODEL, FILES, gated=True)
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint(MODEL)
    assert f"is gated: ask for access at {hub.endpoint}/{MODEL}" in one_line(error)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert resolve_checkpoint(MODEL).revision == commit


def test_a_private_model_needs_the_token(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add(MODEL, FILES, private=True)
    with pytest.raises(ModelNotFoundError, match="if the model is private, log in"):
        resolve_checkpoint(MODEL)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert resolve_checkpoint(MODEL).revision == commit


def test_a_token_the_hub_does_not_know(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(MODEL, FILES)
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint(MODEL)
    assert "does not accept the access token" in one_line(error)


def test_a_forbidden_model(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    hub.answer_with["resolve"] = 403
    with pytest.raises(ModelNotFoundError, match="refuses access"):
        resolve_checkpoint(MODEL)


def test_a_disabled_model(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    hub.repositories[MODEL].disabled = True
    with pytest.raises(ModelNotFoundError, match="has been disabled by the hub"):
        resolve_checkpoint(MODEL)


def test_a_file_that_goes_while_it_is_fetched(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    hub.ghosts.add("added_tokens.json")
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint(MODEL)
    assert "went from the hub while it was fetched" in one_line(error)


@pytest.mark.parametrize("missing", ["config.json", "pytorch_model.bin"])
def test_a_repository_that_is_no_checkpoint(hub: HubServer, missing: str) -> None:
    hub.add(MODEL, {name: content for name, content in FILES.items() if name != missing})
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint(MODEL)
    assert "config.json" in one_line(error) or "pytorch_model.bin" in one_line(error)
    assert not hub.asked("resolve")


@pytest.mark.parametrize("name", ["a b", "a--b", "-x", "x" * 200, "a/b.git"])
def test_a_name_that_is_no_hub_id(hub: HubServer, name: str) -> None:
    with pytest.raises(ModelNotFoundError) as error:
        resolve_checkpoint(name)
    assert "neither a folder here nor a hub id" in one_line(error)
    assert hub.requests == []


def test_an_index_that_climbs_out_of_its_folder(hub: HubServer) -> None:
    files = {name: content for name, content in FILES.items() if name != "pytorch_model.bin"}
    index = {"weight_map": {"a": "../../../../token.safetensors"}}
    hub.add(MODEL, {**files, "model.safetensors.index.json": json.dumps(index).encode()})
    with pytest.raises(CheckpointError, match=r"which is not a [.]safetensors file"):
        resolve_checkpoint(MODEL)


def test_a_commit_that_is_no_commit(hub: HubServer) -> None:
    commit = hub.add(MODEL, FILES)
    repository = hub.repositories[MODEL]
    repository.commits["../../../evil"] = repository.commits[commit]
    repository.references["main"] = "../../../evil"
    with pytest.raises(HubUnreachableError, match=r"does not answer as a hub does \(no commit\)"):
        resolve_checkpoint(MODEL)


# A hub that does not answer


def test_a_refused_connection_fails_at_once(hub: HubServer) -> None:
    hub.close()
    with pytest.raises(HubUnreachableError) as error:
        resolve_checkpoint(MODEL)
    message = one_line(error)
    assert f"the hub {hub.endpoint} cannot be reached (Connection refused)" in message
    assert f"`s2t2 models download {MODEL}`" in message
    assert "--model" in message


def test_a_host_that_does_not_exist(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_hub(monkeypatch, "http://hub.invalid", tmp_path)
    with pytest.raises(HubUnreachableError, match=r"cannot be reached|does not answer as a hub"):
        resolve_checkpoint(MODEL)


@pytest.mark.parametrize(("kind", "timeout"), [("api", 0.2), ("resolve", 2)])
def test_a_hub_that_never_answers_is_asked_once(
    hub: HubServer, kind: str, timeout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", timeout)
    hub.add(MODEL, FILES)
    hub.stalls.add(kind)
    with pytest.raises(HubUnreachableError, match="did not answer in time"):
        resolve_checkpoint(MODEL)
    assert len(hub.asked(kind)) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("kind", ["api", "resolve"])
def test_a_hub_in_trouble_is_asked_once(hub: HubServer, kind: str, status: int) -> None:
    hub.add(MODEL, FILES)
    hub.answer_with[kind] = status
    with pytest.raises(HubUnreachableError, match=f"answered {status}"):
        resolve_checkpoint(MODEL)
    assert len(hub.asked(kind)) == 1


def test_an_address_that_is_no_hub(hub: HubServer) -> None:
    hub.answer_with["api"] = 404
    with pytest.raises(HubUnreachableError, match=r"does not answer as a hub does \(404\): check HF_ENDPOINT"):
        resolve_checkpoint(MODEL)


def test_a_login_page_in_the_hubs_place(hub: HubServer) -> None:
    hub.portals.add("api")
    with pytest.raises(HubUnreachableError, match="does not answer as a hub does"):
        resolve_checkpoint(MODEL)


def test_a_proxy_that_takes_the_hubs_headers_away(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    hub.portals.add("resolve")
    with pytest.raises(HubUnreachableError, match="headers are missing"):
        resolve_checkpoint(MODEL)


def test_a_download_cut_short_goes_on_where_it_stopped(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the pause before the library asks for the rest
    hub.add(MODEL, FILES)
    hub.cut_after = 3000
    checkpoint = resolve_checkpoint(MODEL)
    assert checkpoint.weights[0].read_bytes() == FILES["pytorch_model.bin"]


def test_a_hub_that_fails_in_the_middle(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # by now the library retries, with pauses
    hub.add(MODEL, FILES)
    hub.answer_with["resolve"] = 503
    hub.healthy_for["resolve"] = 6
    with pytest.raises(HubUnreachableError, match="answered 503"):
        resolve_checkpoint(MODEL)


def test_a_download_that_fails_keeps_the_complete_copy_from_before(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    old = resolve_checkpoint(MODEL)
    hub.add(MODEL, {**FILES, "pytorch_model.bin": b"new weights"})
    hub.answer_with["cdn"] = 500
    assert resolve_checkpoint(MODEL) == old
    hub.close()
    assert resolve_checkpoint(MODEL) == old


def test_a_download_that_was_stopped_is_taken_up(hub: HubServer) -> None:
    hub.add(MODEL, FILES)
    hub.answer_with["cdn"] = 500
    with pytest.raises(HubUnreachableError, match="answered 500"):
        resolve_checkpoint(MODEL)
    with pytest.raises(HubUnreachableError, match="is not in the cache"):
        resolve_checkpoint(MODEL, local_files_only=True)
    del hub.answer_with["cdn"]
    hub.requests.clear()
    assert resolve_checkpoint(MODEL).weights
    assert {path.rpartition("/")[2] for path in hub.asked("resolve")} == {"pytorch_model.bin"}


# Without the hub


def test_what_is_in_the_cache_works_without_network(hub: HubServer, caplog: pytest.LogCaptureFixture) -> None:
    hub.add(MODEL, FILES)
    online = resolve_checkpoint(MODEL)
    hub.close()
    with caplog.at_level(logging.WARNING):
        assert resolve_checkpoint(MODEL) == online
        assert resolve_checkpoint(MODEL, local_files_only=True) == online
    assert not caplog.records


def test_a_model_that_has_gone_is_used_from_the_cache_with_a_warning(
    hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    hub.add(MODEL, FILES)
    online = resolve_checkpoint(MODEL)
    del hub.repositories[MODEL]
    assert resolve_checkpoint(MODEL) == online
    assert "using the cached copy" in caplog.text


def test_offline_asks_nobody(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = write_cached(tmp_path / "hub", MODEL, FILES)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    checkpoint = resolve_checkpoint(MODEL)
    assert checkpoint.folder == snapshot
    assert checkpoint.revision == snapshot.name
    assert checkpoint.weights[0].read_bytes() == FILES["pytorch_model.bin"]
    assert hub.requests == []


def test_offline_without_the_model(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(HubUnreachableError) as error:
        resolve_checkpoint(MODEL, local_files_only=True)
    message = one_line(error)
    assert f"{MODEL} is not in the cache {tmp_path / 'hub'}" in message
    assert f"`s2t2 models download {MODEL}`" in message


def test_offline_without_the_revision(hub: HubServer, tmp_path: Path) -> None:
    write_cached(tmp_path / "hub", MODEL, FILES)
    with pytest.raises(HubUnreachableError, match=f"revision v9 of {MODEL} is not in the cache"):
        resolve_checkpoint(MODEL, revision="v9", local_files_only=True)


def test_offline_with_the_weights_missing(hub: HubServer, tmp_path: Path) -> None:
    snapshot = write_cached(tmp_path / "hub", MODEL, FILES)
    (snapshot / "pytorch_model.bin").resolve().unlink()  # leaves a link to nothing, as `hf cache` never would
    with pytest.raises(HubUnreachableError, match="no weights"):
        resolve_checkpoint(MODEL, local_files_only=True)
    hub.add(MODEL, FILES)
    assert resolve_checkpoint(MODEL).weights[0].read_bytes() == FILES["pytorch_model.bin"]


def test_offline_with_a_shard_missing(hub: HubServer, tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode()}
    write_cached(tmp_path / "hub", MODEL, {**files, "model-1.safetensors": b"first"})
    with pytest.raises(HubUnreachableError, match=r"1 of the 2 shards .* missing"):
        resolve_checkpoint(MODEL, local_files_only=True)


def test_a_cache_that_cannot_be_written_says_so(hub: HubServer, tmp_path: Path) -> None:
    hub.add(MODEL, FILES)
    (tmp_path / "hub").write_text("a file in the folder's place")
    with pytest.raises(ModelError) as error:
        resolve_checkpoint(MODEL)
    assert f"cannot write to the cache {tmp_path / 'hub'}" in one_line(error)
    assert "--cache-dir" in one_line(error)


def test_a_revision_that_cannot_be_noted_does_no_harm(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.add(MODEL, FILES)
    snapshot = write_cached(tmp_path / "hub", MODEL, FILES, commit=commit, revision=None)
    (snapshot.parent.parent / "refs").write_text("where a folder should be, in a cache that we may only read")
    assert resolve_checkpoint(MODEL).folder == snapshot


def test_a_silent_hub_is_not_waited_for_when_the_files_are_here(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2t2_cli.checkpoint.hub._TIMEOUT_WHEN_CACHED", 0.2)
    snapshot = write_cached(tmp_path / "hub", MODEL, FILES)
    hub.stalls.add("api")
    assert resolve_checkpoint(MODEL).folder == snapshot


# A process of its own: what the environment says, and what goes to which stream

RESOLVE = (
    "import sys; from s2t2_cli.checkpoint import resolve_checkpoint; print(resolve_checkpoint(sys.argv[1]).folder)"
)


def run(code: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_environment_is_heeded_and_streams_stay_clean(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.add(MODEL, FILES)
    done = run(RESOLVE, MODEL, environment=hub_environment(hub.endpoint, tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"hub/models--someone--s2t-en-de/snapshots/{commit}")
    assert done.stderr == "", "no progress bar but on a terminal"
    offline = hub_environment("http://127.0.0.1:9", tmp_path / "home") | {"HF_HUB_OFFLINE": "1"}
    assert run(RESOLVE, MODEL, environment=offline).stdout == done.stdout


def test_finding_a_checkpoint_needs_no_torch(hub: HubServer, tmp_path: Path) -> None:
    hub.add(MODEL, FILES)
    code = RESOLVE + "; assert not {'torch', 'numpy', 'av'} & set(sys.modules)"
    done = run(code, MODEL, environment=hub_environment(hub.endpoint, tmp_path / "home"))
    assert done.returncode == 0, done.stderr


def test_a_port_nobody_listens_on() -> None:
    """The loopback address of the tests above really refuses: nothing else answers there."""
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", 9))


def test_a_configuration_that_is_not_json(hub: HubServer) -> None:
    hub.add(MODEL, {**FILES, "generation_config.json": b"[" * 100_000})
    with pytest.raises(ConfigurationError) as error:
        resolve_checkpoint(MODEL).read_json("generation_config.json")
    assert "generation_config.json is not valid JSON" in one_line(error)
