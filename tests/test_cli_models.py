"""`s2t2 models` as users run it: data on standard output, words on standard error, the right exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cli_run import run_on_terminal
from hub_server import HubServer, hub_environment, use_hub, write_cached
from s2t2_cli.checkpoint import load_weights, read_tensors, resolve_checkpoint
from s2t2_cli.cli.app import run
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel

MODEL = "someone/s2t-en-de"
GERMAN = "facebook/s2t-wav2vec2-large-en-de"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        use_hub(monkeypatch, server.endpoint, tmp_path)
        yield server


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the miniature checkpoint that a test may spoil."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for path in tiny_checkpoint.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def models(*arguments: object) -> int:
    return run(["models", *map(str, arguments)])


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# list


def test_list_names_the_published_checkpoints(hub: HubServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert models("list") == 0
    out, err = capfd.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["model", "lang", "language", "BLEU", "licence", "cached", "size"]
    assert [row[0] for row in rows[1:5]] == ["demo-de", "demo-tr", "demo-ca", "demo-ar"]
    assert {row[5] for row in rows[1:5]} == {"bundled"}
    assert rows[5] == [GERMAN, "de", "German", "26.5", "MIT", "no", ""]
    assert [row[1] for row in rows[5:]] == ["de", "tr", "ca", "ar"]
    assert err == ""
    assert hub.requests == []


def test_list_knows_what_is_in_the_cache(
    hub: HubServer, tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = files_of(tiny_checkpoint)
    write_cached(tmp_path / "hub", GERMAN, {"config.json": files["config.json"]})
    write_cached(tmp_path / "hub", MODEL, files)
    index = b'{"weight_map": {"a": "model-1.safetensors"}}'
    sharded = {"config.json": files["config.json"], "model.safetensors.index.json": index}
    write_cached(tmp_path / "hub", "someone/sharded", sharded)
    write_cached(tmp_path / "hub", "someone/bert", {"config.json": b'{"model_type": "bert"}'})
    write_cached(tmp_path / "hub", "someone/odd", {"config.json": b"not JSON", "model.safetensors": b""})
    assert models("list") == 0
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in capfd.readouterr().out.splitlines()}
    assert rows[GERMAN][-2:] == ["partial", str(len(files["config.json"]))]
    assert rows[MODEL] == ["", "", "", "", "yes", str(sum(map(len, files.values())))]
    assert rows["someone/sharded"][-2] == "partial"
    assert not {"someone/bert", "someone/odd"} & rows.keys()


def test_list_of_a_cache_that_is_a_file(hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert models("list", "--cache-dir", tmp_path / "file") == 2
    assert "cannot read the cache" in capfd.readouterr().err


# download


def test_download_prints_the_folder_and_is_idempotent(
    hub: HubServer, tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit = hub.add_folder(MODEL, tiny_checkpoint)
    assert models("download", MODEL) == 0
    out, err = capfd.readouterr()
    assert Path(out.rstrip("\n")).name == commit
    assert err == ""
    assert models("download", MODEL, "--offline") == 0
    assert capfd.readouterr().out == out


def test_download_by_language(hub: HubServer, tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.add_folder(GERMAN, tiny_checkpoint)
    assert models("download", "--lang", "de") == 0
    assert "models--facebook--s2t-wav2vec2-large-en-de" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give a model or a language"),
        ([MODEL, "--lang", "de"], "give a model or a language"),
        (["--lang", "fr"], "no published checkpoint for 'fr'"),
    ],
)
def test_download_of_nothing_in_particular(
    arguments: list[str], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert models("download", *arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert reason in err


def test_download_without_network(hub: HubServer, capfd: pytest.CaptureFixture[str]) -> None:
    hub.close()
    assert models("download", MODEL) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "cannot be reached (Connection refused)" in err


# info


def test_info_of_a_folder(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert models("info", checkpoint, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    config = json.loads((checkpoint / "config.json").read_text())
    assert facts["model"] == facts["folder"] == str(checkpoint)
    assert facts["revision"] is None
    assert facts["encoder"]["num_hidden_layers"] == config["encoder"]["num_hidden_layers"]
    assert facts["decoder"]["decoder_layers"] == config["decoder"]["decoder_layers"]
    assert facts["vocab_size"] == config["decoder"]["vocab_size"]
    assert facts["can_encode"] is True
    assert facts["generation"]["num_beams"] == 5
    assert facts["parameters"] == sum(one.numel() for one in load_file(checkpoint / "model.safetensors").values())
    assert facts["dtypes"] == ["float32"]
    assert facts["files"]["model.safetensors"] == (checkpoint / "model.safetensors").stat().st_size


def test_info_in_lines(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert models("info", checkpoint) == 0
    rows = dict(line.split("\t") for line in capfd.readouterr().out.splitlines())
    assert rows["fact"] == "value"
    assert rows["generation.early_stopping"] == "true"
    assert rows["revision"] == ""
    assert rows["dtypes"] == "float32"
    assert rows["files.vocab.json"].isdigit()


def test_info_of_a_pickle_without_generation_settings(
    hub: HubServer, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    torch.save({name: one.half() for name, one in tensors.items()}, checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "generation_config.json").unlink()
    edit_json(checkpoint / "config.json", num_beams=7)
    assert models("info", checkpoint, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["parameters"] == sum(one.numel() for one in tensors.values())
    assert facts["dtypes"] == ["float16"]
    assert facts["generation"]["num_beams"] == 7
    read_tensors(resolve_checkpoint(checkpoint))
    assert models("info", checkpoint, "--json") == 0
    assert json.loads(capfd.readouterr().out) == facts, "now read from the converted copy"


def test_info_fetches_the_small_files_alone(
    hub: HubServer, tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit = hub.add_folder(MODEL, tiny_checkpoint)
    assert models("info", MODEL, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["revision"] == commit
    assert facts["parameters"] is None
    assert not hub.asked("cdn")
    resolve_checkpoint(MODEL)
    assert models("info", MODEL, "--json", "--offline") == 0
    assert json.loads(capfd.readouterr().out)["parameters"] > 0


def test_info_on_a_terminal(checkpoint: Path) -> None:
    command = [sys.executable, "-m", "s2t2_cli", "models", "info", str(checkpoint)]
    status, out, err = run_on_terminal(command, "stdout", {"TERM": "dumb"})
    assert (status, err) == (0, "")
    assert "\t" not in out
    rows = [line.split() for line in out.splitlines()]
    assert ["files.model.safetensors", "289", "kB"] in rows
    assert ["parameters", "68,608"] in rows


# verify


def findings(capfd: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    rows = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    return {check: (state, detail) for state, check, detail in rows}


def test_verify_a_sound_folder(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert models("verify", checkpoint) == 0
    found = findings(capfd)
    assert {state for state, _ in found.values()} == {"ok"}
    assert found["checksums"][1] == "a folder without checksums"
    assert "as configured" in found["tensors"][1]


def test_verify_in_columns(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("s2t2_cli.cli.tables.is_for_people", lambda: True)
    assert models("verify", checkpoint) == 0
    assert "ok      configuration   2 encoder and 2 decoder layers\n" in capfd.readouterr().out


def test_a_full_disk_behind_standard_output(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "s2t2_cli", "models", "list", "--cache-dir", str(tmp_path)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "s2t2: cannot write to standard output (No space left on device)\n"


def test_verify_a_download(hub: HubServer, tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.add_folder(MODEL, tiny_checkpoint)
    assert models("verify", MODEL) == 0
    assert findings(capfd)["checksums"] == ("ok", "8 files agree with the hub's checksums")


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json"])
def test_verify_a_damaged_download(
    hub: HubServer, tiny_checkpoint: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.add_folder(MODEL, tiny_checkpoint)
    blob = (resolve_checkpoint(MODEL).folder / name).resolve()
    content = bytearray(blob.read_bytes())
    content[-2] ^= 1  # one bit, where the file still parses
    blob.write_bytes(content)
    assert models("verify", MODEL, "--offline") == 1
    state, detail = findings(capfd)["checksums"]
    assert state == "FAILED"
    assert f"{name} is damaged" in detail
    assert str(blob) in detail


def test_verify_names_what_is_wrong(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["enc_to_dec_proj.wight"] = torch.ones(1)
    tensors["decoder.lm_head.weight"][0, 0] = torch.nan
    save_file(tensors, checkpoint / "model.safetensors")
    vocabulary = json.loads((checkpoint / "vocab.json").read_text())
    edit_json(checkpoint / "vocab.json", beyond=len(vocabulary))
    edit_json(checkpoint / "preprocessor_config.json", sampling_rate=8000)
    (checkpoint / "merges.txt").unlink()
    assert models("verify", checkpoint) == 1
    out, err = capfd.readouterr()
    found = {line.split("\t")[1]: line.split("\t") for line in out.splitlines()}
    assert "enc_to_dec_proj.wight" in found["tensors"][2]
    assert found["values"] == [
        "FAILED",
        "values",
        "decoder.lm_head.weight holds 1 values that are infinite or not a number",
    ]
    assert "the model's vocabulary ends at" in found["vocabulary"][2]
    assert found["tokenizer"] == ["ok", "tokenizer", "decodes; cannot encode, for there is no merges.txt"]
    assert "8000" in found["audio features"][2]
    assert err == f"s2t2: {checkpoint}: 4 checks failed\n"


def test_verify_a_folder_with_little_in_it(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("generation_config.json", "vocab.json", "preprocessor_config.json"):
        (checkpoint / name).unlink()
    edit_json(checkpoint / "config.json", decoder={"model_type": "bart"})
    assert models("verify", checkpoint) == 1
    found = findings(capfd)
    assert found["configuration"][0] == "FAILED"
    assert "bart" in found["configuration"][1]
    assert found["tokenizer"][0] == "FAILED"
    assert found["audio features"][0] == "ok"


def test_verify_what_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert models("verify", "./nothing") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "there is no folder './nothing'" in err


# convert


@pytest.fixture
def pickled(hub: HubServer, checkpoint: Path) -> Path:
    """The checkpoint as it was published: a pickle."""
    torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    return checkpoint


def test_convert_a_pickle(pickled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    destination = tmp_path / "new" / "converted"
    assert models("convert", pickled, destination) == 0
    assert capfd.readouterr().out == f"{destination}\n"
    side = set(files_of(pickled)) - {"pytorch_model.bin", "expected.json"}
    assert set(files_of(destination)) == side | {"model.safetensors"}
    assert all(files_of(destination)[name] == files_of(pickled)[name] for name in side)
    before = read_tensors(resolve_checkpoint(pickled))
    after = read_tensors(resolve_checkpoint(destination))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [path.name for path in destination.parent.iterdir()] == ["converted"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_convert_to_another_type(pickled: Path, tmp_path: Path, dtype: str) -> None:
    assert models("convert", pickled, tmp_path / "out", "--dtype", dtype) == 0
    converted = resolve_checkpoint(tmp_path / "out")
    assert {one.dtype for one in read_tensors(converted).values()} == {getattr(torch, dtype)}
    config = converted.read_json("config.json")
    assert config is not None
    assert config["torch_dtype"] == dtype
    assert config["encoder"] == json.loads((pickled / "config.json").read_text())["encoder"]
    assert SpeechEncoderDecoderModel.from_pretrained(tmp_path / "out").dtype == getattr(torch, dtype)


def test_convert_does_not_overwrite_but_with_force(
    pickled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    destination = tmp_path / "out"
    destination.mkdir()
    (destination / "notes.txt").write_text("mine")
    (destination / "config.json").write_text("old")
    assert models("convert", pickled, destination) == 2
    assert "is not empty: give another folder, or --force" in capfd.readouterr().err
    assert set(files_of(destination)) == {"notes.txt", "config.json"}
    assert models("convert", pickled, destination, "--force") == 0
    assert (destination / "notes.txt").read_text() == "mine"
    assert load_weights_of(destination)


def load_weights_of(folder: Path) -> bool:
    """Whether the folder holds what its configuration asks for."""
    model = SpeechEncoderDecoderModel.from_pretrained(folder)
    load_weights(model, read_tensors(resolve_checkpoint(folder)), source=str(folder))
    return True


def test_convert_into_an_empty_folder_through_a_link(pickled: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert models("convert", pickled, tmp_path / "link") == 0
    assert load_weights_of(tmp_path / "real")


@pytest.mark.parametrize("name", ["config.json", "."])
def test_convert_onto_itself(pickled: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert models("convert", pickled, pickled / name, "--force") == 2
    assert "give a" in capfd.readouterr().err
    assert (pickled / "pytorch_model.bin").exists()


def test_convert_to_where_nothing_can_be_written(
    pickled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert models("convert", pickled, tmp_path / "file" / "out") == 1
    assert f"cannot write to {tmp_path / 'file' / 'out'}" in capfd.readouterr().err


def test_a_failed_conversion_leaves_nothing_behind(
    pickled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (pickled / "pytorch_model.bin").write_bytes(b"damaged")
    (tmp_path / "place").mkdir()
    assert models("convert", pickled, tmp_path / "place" / "out") == 2
    assert "is damaged" in capfd.readouterr().err
    assert list((tmp_path / "place").iterdir()) == []


# as a process


def test_a_reader_that_has_gone_ends_it_quietly(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "s2t2_cli", "models", "list", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_progress_is_shown_on_a_terminal_only(hub: HubServer, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Standard error is a real terminal here; that it stays empty otherwise, other tests say."""
    hub.add_folder(MODEL, tiny_checkpoint)
    command = [sys.executable, "-m", "s2t2_cli", "models", "download", MODEL]
    status, out, err = run_on_terminal(command, "stderr", hub_environment(hub.endpoint, tmp_path / "home"))
    assert status == 0
    assert "model.safetensors: 100%" in err
    assert out.endswith(f"{resolve_checkpoint(MODEL).revision}\n")
