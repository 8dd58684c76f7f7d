"""Files become tensors: both formats, shards, conversion, and files that mean harm."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from s2t2_cli.checkpoint import Checkpoint, read_tensors
from s2t2_cli.checkpoint.conversion import converted
from s2t2_cli.checkpoint.pickled import read_pickled
from s2t2_cli.checkpoint.safetensor_files import read_header, read_safetensors, write_safetensors
from s2t2_cli.errors import CheckpointError

TENSORS = {
    "encoder.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "encoder.half": torch.arange(3, dtype=torch.float16),
    "encoder.brain": torch.arange(5, dtype=torch.bfloat16),
    "encoder.conv.weight_g": torch.ones(1, 1, 8),
    "decoder.steps": torch.tensor(7),
}


@pytest.fixture(autouse=True)
def assets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The asset cache of huggingface_hub, in a folder of the test's own."""
    folder = tmp_path / "assets"
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(folder))
    return folder


def checkpoint_of(*weights: Path) -> Checkpoint:
    return Checkpoint(str(weights[0].parent), weights[0].parent, None, weights)


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def copies(assets: Path) -> list[Path]:
    return sorted(assets.rglob("*.safetensors"))


def refusal(path: Path) -> str:
    """The sentence with which the file is refused."""
    with pytest.raises(CheckpointError) as error:
        read_tensors(checkpoint_of(path))
    message = str(error.value)
    assert "\n" not in message
    assert path.name in message
    return message


# Both formats


def test_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert_same(read_tensors(checkpoint_of(tmp_path / "model.safetensors")), TENSORS)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_a_pickle_is_converted_once(tmp_path: Path, assets: Path, is_zip: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=is_zip)
    assert_same(read_tensors(checkpoint_of(path)), TENSORS)
    (copy,) = copies(assets)
    made = copy.stat()
    assert_same(read_tensors(checkpoint_of(path)), TENSORS)
    assert copies(assets) == [copy]
    assert copy.stat().st_mtime_ns == made.st_mtime_ns
    assert made.st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_pickle_may_be_read_without_a_copy(tmp_path: Path, assets: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path)
    assert_same(read_tensors(checkpoint_of(path), keep_converted=False), TENSORS)
    assert copies(assets) == []


def test_parameters_in_a_pickle_are_tensors(tmp_path: Path) -> None:
    torch.save({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "pytorch_model.bin")
    (tensor,) = read_pickled(tmp_path / "pytorch_model.bin").values()
    assert not tensor.requires_grad


def test_shards(tmp_path: Path) -> None:
    names = list(TENSORS)
    save_file({name: TENSORS[name] for name in names[:2]}, tmp_path / "1.safetensors")
    save_file({name: TENSORS[name] for name in names[2:]}, tmp_path / "2.safetensors")
    both = checkpoint_of(tmp_path / "1.safetensors", tmp_path / "2.safetensors")
    assert_same(read_tensors(both), TENSORS)


def test_pickled_shards(tmp_path: Path, assets: Path) -> None:
    names = list(TENSORS)
    torch.save({name: TENSORS[name] for name in names[:2]}, tmp_path / "1.bin")
    torch.save({name: TENSORS[name] for name in names[2:]}, tmp_path / "2.bin")
    assert_same(read_tensors(checkpoint_of(tmp_path / "1.bin", tmp_path / "2.bin")), TENSORS)
    assert len(copies(assets)) == 2


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "1.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "2.safetensors")
    with pytest.raises(CheckpointError, match=r"2\.safetensors holds the tensor 'a', which another shard holds too"):
        read_tensors(checkpoint_of(tmp_path / "1.safetensors", tmp_path / "2.safetensors"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at the mappings of the process in /proc")
def test_nothing_is_copied_into_memory(tmp_path: Path) -> None:
    """The tensors lie where the file is mapped, and writing to one leaves the file alone."""
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1000), "b": torch.ones(1000)}, path)
    before = path.read_bytes()
    tensors = read_safetensors(path)
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(str(path))]
    for tensor in tensors.values():
        assert any(int(start, 16) <= tensor.data_ptr() < int(end, 16) for start, end in spans)
    torch.nn.Parameter(tensors["a"]).data.zero_()
    assert path.read_bytes() == before


def test_the_header_alone(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    header = read_header(tmp_path / "model.safetensors")
    assert header["encoder.weight"] == ("float32", (3, 4))
    assert header["encoder.brain"] == ("bfloat16", (5,))
    assert header["decoder.steps"] == ("int64", ())


# Tied tensors


def test_tied_tensors_survive_conversion(tmp_path: Path) -> None:
    embedding = torch.randn(10, 4)
    tied = {"embed": embedding, "head": embedding, "row": embedding[2], "column": embedding.T}
    torch.save(tied, tmp_path / "pytorch_model.bin")
    assert_same(read_tensors(checkpoint_of(tmp_path / "pytorch_model.bin")), tied)


@settings(max_examples=25, deadline=None)
@given(
    pieces=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(lambda ends: slice(*ends)), max_size=6
    )
)
def test_any_views_of_one_storage_are_written_in_full(
    pieces: list[slice], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = torch.arange(30, dtype=torch.float32)
    views = {str(number): whole[piece] for number, piece in enumerate(pieces)}
    path = tmp_path_factory.mktemp("views") / "model.safetensors"
    write_safetensors(views, path)
    assert_same(read_safetensors(path), views)


# The converted copy


def test_changed_content_is_noticed_and_the_old_copy_removed(tmp_path: Path, assets: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.zeros(4)}, path)
    read_tensors(checkpoint_of(path))
    date = path.stat().st_mtime_ns
    torch.save({"a": torch.ones(4)}, path)
    os.utime(path, ns=(date, date))  # same size, same date: the checksums inside differ
    assert_same(read_tensors(checkpoint_of(path)), {"a": torch.ones(4)})
    assert len(copies(assets)) == 1


def test_the_blob_of_a_cache_that_was_moved_keeps_its_copy(tmp_path: Path, assets: Path) -> None:
    blob = tmp_path / "here" / "blobs" / ("ab" * 32)
    blob.parent.mkdir(parents=True)
    torch.save(TENSORS, blob)
    first = converted(blob)
    (tmp_path / "here").rename(tmp_path / "there")
    assert converted(tmp_path / "there" / "blobs" / blob.name) == first
    assert len(copies(assets)) == 1


def test_what_killed_conversions_left_is_removed(tmp_path: Path, assets: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path)
    copy = converted(path)
    assert copy is not None
    leftover = copy.with_name(f".{copy.name}.x1y2z3.tmp")
    leftover.write_bytes(b"half of it")
    copy.unlink()
    assert converted(path) == copy
    assert not leftover.exists()


@pytest.mark.parametrize("damage", [b"", b"\0" * 64], ids=["empty", "hollow"])
def test_a_damaged_copy_is_made_again(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path)
    copy = converted(path)
    assert copy is not None
    copy.write_bytes(damage)
    assert_same(read_tensors(checkpoint_of(path)), TENSORS)


def test_several_at_once_convert_once(tmp_path: Path, assets: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path)
    outcomes: list[dict[str, torch.Tensor]] = []
    threads = [threading.Thread(target=lambda: outcomes.append(read_tensors(checkpoint_of(path)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    for outcome in outcomes:
        assert_same(outcome, TENSORS)
    assert len(copies(assets)) == 1


def test_a_cache_that_cannot_be_written_does_no_harm(
    tmp_path: Path, assets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path)
    assets.write_text("a file in the folder's place")
    with caplog.at_level(logging.WARNING):
        assert_same(read_tensors(checkpoint_of(path)), TENSORS)
    (record,) = caplog.records
    assert "cannot keep a safetensors copy" in record.message
    assert "\n" not in record.message


def test_a_full_disk_does_no_harm(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails in the middle all the same."""
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(100_000)}, path)
    code = (
        "import resource, sys, pathlib\n"
        "from s2t2_cli.checkpoint import Checkpoint, read_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "print(float(read_tensors(Checkpoint('m', path.parent, None, (path,)))['a'].sum()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "100000.0\n", done.stderr
    assert "cannot keep a safetensors copy" in done.stderr
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of resident memory from /proc")
def test_loading_needs_the_memory_of_the_weights_once(tmp_path: Path) -> None:
    """The first load, with the conversion in it, in a process of its own: 100 MB of weights, all touched."""
    weights = 100_000_000
    path = tmp_path / "pytorch_model.bin"
    torch.save({str(number): torch.ones(weights // 40) for number in range(10)}, path)
    code = (
        "import re, sys, pathlib, torch\n"
        "from s2t2_cli.checkpoint import Checkpoint, load_weights, read_tensors\n"
        "import s2t2_cli.checkpoint.tensors\n"
        "def peak():\n"
        "    status = pathlib.Path('/proc/self/status').read_text()\n"
        "    return int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) * 1024\n"
        "before = peak()\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "with torch.device('meta'):\n"
        f"    module = torch.nn.ParameterDict({{str(n): torch.empty({weights // 40}) for n in range(10)}})\n"
        "load_weights(module, read_tensors(Checkpoint('m', path.parent, None, (path,))), source='m')\n"
        "assert sum(float(one.detach().sum()) for one in module.values())\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.2 * weights


# Files that mean harm, or none, and are no checkpoint


class Harmful:
    """What runs if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_nothing_in_a_pickle_is_executed(tmp_path: Path, is_zip: bool) -> None:
    path, trace = tmp_path / "pytorch_model.bin", tmp_path / "was-here"
    torch.save({"a": torch.ones(1), "b": Harmful(trace)}, path, _use_new_zipfile_serialization=is_zip)
    assert "holds more than tensors (posix.system) and was not executed" in refusal(path)
    path.write_bytes(pickle.dumps(Harmful(trace)))
    refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.ones(1)], "holds a list, not the state dict of a model"),
        ({"model": {"a": torch.ones(1)}, "epoch": 3}, "'model': dict"),
        ({"a": 1.0}, "'a': float"),
        ({1: torch.ones(1)}, "1: Tensor"),
        ({"a": torch.eye(2).to_sparse()}, "sparse, quantised or without data"),
        ({"a": torch.ones(2, device="meta")}, "sparse, quantised or without data"),
        ({"a": torch.ones(1).expand(10**12)}, "claims to be larger than the file"),
    ],
)
def test_a_pickle_of_something_else(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(content, path)
    assert reason in refusal(path)


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"PK\x03\x04", b"\x80\x02.", bytes(1000)])
def test_a_pickle_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    assert "is damaged, or not a checkpoint of torch at all" in refusal(path)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_damaged_pickle_is_refused_or_read(
    is_zip: bool, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes are lost or changed: tensors or a CheckpointError come of it, nothing else."""
    path = tmp_path_factory.mktemp("damaged") / "pytorch_model.bin"
    torch.save({"a": torch.arange(8), "b": torch.ones(2, 3)}, path, _use_new_zipfile_serialization=is_zip)
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(CheckpointError):
        for tensor in read_tensors(checkpoint_of(path)).values():
            tensor.clone()


def test_a_zip_with_compressed_records(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "whole.bin")
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(tmp_path / "whole.bin") as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for record in whole.infolist():
            packed.writestr(record.filename, whole.read(record))
    assert "is damaged" in refusal(path)


def test_a_pickled_storage_that_reaches_beyond_the_file(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(5000), "z": torch.arange(100.0)}, tmp_path / "whole.bin")
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(tmp_path / "whole.bin") as whole, zipfile.ZipFile(path, "w") as changed:
        for record in whole.infolist():
            content = whole.read(record)
            if record.filename.endswith("data.pkl"):
                assert content.count(b"Kd") == 2  # how a pickle writes 100: size of the storage, shape of the tensor
                content = content.replace(b"Kd", b"M\x00\x10")
            changed.writestr(record.filename, content)
    assert "is damaged" in refusal(path)


def header(tensors: object) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def span(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HARMFUL_SAFETENSORS = {
    "empty": b"",
    "a huge header": struct.pack("<Q", 2**62) + b"{}",
    "no JSON": struct.pack("<Q", 8) + b"abcdefgh",
    "deep JSON": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "overlapping": header({"a": span("F32", [4], 0, 16), "b": span("F32", [4], 8, 24)}) + bytes(24),
    "truncated": header({"a": span("F32", [4], 0, 16)}) + bytes(8),
    "too long": header({"a": span("F32", [4], 0, 16)}) + bytes(32),
    "overflowing": header({"a": span("F32", [2**40, 2**40], 0, 16)}) + bytes(16),
    "negative": header({"a": span("F32", [-4], 0, 16)}) + bytes(16),
    "unknown type": header({"a": span("F31", [4], 0, 16)}) + bytes(16),
    "a pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("content", HARMFUL_SAFETENSORS.values(), ids=HARMFUL_SAFETENSORS.keys())
def test_harmful_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "is not a safetensors file that can be read" in refusal(path)
    with pytest.raises(CheckpointError):
        read_header(path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_git_lfs_pointer(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1329000000\n")
    assert "run `git lfs pull` in its folder" in refusal(path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    assert "No such file or directory" in refusal(tmp_path / name)


@pytest.fixture
def folder_not_utf8(tmp_path: Path) -> Iterator[Path]:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    return folder


def test_a_folder_whose_name_is_not_utf8(folder_not_utf8: Path, tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").rename(folder_not_utf8 / "model.safetensors")
    assert "not UTF-8: rename its folder, or give a link to it" in refusal(folder_not_utf8 / "model.safetensors")
    (tmp_path / "link").symlink_to(folder_not_utf8)
    assert_same(read_tensors(checkpoint_of(tmp_path / "link" / "model.safetensors")), TENSORS)
