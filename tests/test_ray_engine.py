"""Translating on a cluster: the same records, also when a machine goes away."""

from __future__ import annotations

import importlib
import json
import pickle
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cli_run import COMMAND, Here
from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.engine import LocalEngine, TranslatorSpec, make_engine
from s2t2_cli.errors import UsageError
from s2t2_cli.inputs import PublicUrl, Source, file_source
from s2t2_cli.ray_worker import Attempts, Item, Worker, from_table, to_table
from s2t2_cli.records import TranslationResult

SCRIPTS = Path(__file__).parents[1] / "scripts"
ROWS = 240
WITHOUT_RAY = "Ray is not installed: pip install 's2t2-cli[ray]'"


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes on this machine."""
    pytest.importorskip("ray", reason=WITHOUT_RAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        module = importlib.import_module("ray_cluster")
        with module.ray_cluster(nodes=3) as running:
            yield running


@pytest.fixture
def manifest(tmp_path: Path, clip: Path) -> Path:
    """Rows that name a short recording, a long one, one cut off, one that is not audio, one not there; a broken row."""
    with wave.open(str(clip)) as whole:
        samples = whole.readframes(whole.getnframes())
    for name, content in (("short", samples[:16_000]), ("long", samples * 46)):  # of half a second, and of 128
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(content)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "short.wav").read_bytes()[:-4000])
    (tmp_path / "text.wav").write_bytes(b"this is not audio")
    special = {60: "text.wav", 90: "none.wav", 120: "long.wav", 150: "cut.wav"}
    rows = [json.dumps({"audio_filepath": special.get(n, "short.wav"), "id": n}) for n in range(ROWS)]
    rows[30] = "{broken"
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def translate(manifest: Path, model: Path, output: Path, *options: str) -> list[str]:
    return [
        *COMMAND, "translate", "--manifest", str(manifest), "--model", str(model), "--format", "jsonl",
        "--output", str(output), "--threads", "1", "--max-new-tokens", "10", *options,
    ]  # fmt: skip


def records(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    for record in found:  # sums in another order, as batches are others
        for one in (record, *record.get("segments", ())):
            if one.get("score") is not None:
                one["score"] = pytest.approx(one["score"], abs=1e-4)
    return found


@pytest.mark.timeout(600)
def test_a_machine_goes_away_and_the_records_are_the_same(
    cluster: Any, manifest: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Errors, segments and order as without a cluster; and a resumed run goes on with what came back."""
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    assert subprocess.run(translate(manifest, tiny_checkpoint, here, "--quiet")).returncode == 1

    ray = ("--engine", "ray", "--ray-address", cluster.address)
    process = subprocess.Popen(translate(manifest, tiny_checkpoint, there, *ray), stdout=subprocess.PIPE)
    while process.poll() is None and (not there.exists() or there.read_bytes().count(b"\n") < ROWS // 4):
        time.sleep(0.05)
    cluster.remove_node()
    out, _ = process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert records(there) == records(here)
    assert "truncated" in records(there)[150]["warnings"]
    assert len(records(there)[120]["segments"]) > 1

    lines = there.read_bytes().splitlines(keepends=True)
    there.write_bytes(b"".join(lines[:200]))
    assert subprocess.run(translate(manifest, tiny_checkpoint, there, *ray, "--resume", "--quiet")).returncode == 1
    assert records(there) == records(here)


class Crash(BaseException):
    """Stands for a process that ends: nothing after it happens in there."""


class Fragile:
    """A translator in a process that ends when it comes to `bad`."""

    def make(self) -> Fragile:
        return self

    options: ClassVar[dict[str, Any]] = {}

    def translate(self, sources: Iterator[Source]) -> Iterator[TranslationResult]:
        for source in sources:
            if source.name == "bad":
                raise Crash
            yield TranslationResult(source.name, text="well")


def test_a_recording_that_ends_its_process_does_not_end_the_run() -> None:
    """Ray begins the block again in another process, as often as it takes."""
    pytest.importorskip("pyarrow", reason=WITHOUT_RAY)
    attempts = Attempts()  # outlives the processes
    block = to_table(Item(number, Source(name, name)) for number, name in enumerate(["a", "b", "bad", "c"]))
    crashes = 0
    while crashes < 10:
        worker = Worker(Fragile(), attempts)  # type: ignore[arg-type]
        try:
            results = list(from_table(worker(block)))
            break
        except Crash:
            crashes += 1
    assert [one.text for one in results] == ["well", "well", "", "well"]
    assert str(results[2].error) == "bad ended the process that translated it 3 times"
    assert crashes == 4  # with the others, and three times alone


def test_what_makes_a_translator_travels(clip: Path, tiny_checkpoint: Path) -> None:
    spec = TranslatorSpec(resolve_checkpoint(tiny_checkpoint), load={"lang": "de"}, options={"num_beams": 2})
    engine = LocalEngine(pickle.loads(pickle.dumps(spec.portable())))
    (result,) = engine.translate([file_source("clip", clip, place="clip")])
    assert (result.status, result.lang) == ("ok", "de")


def test_it_means_the_same_in_another_folder(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And records still call the model by the name it was given."""
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    spec = TranslatorSpec(resolve_checkpoint("model"), cache_dir=Path("cache")).portable()
    monkeypatch.chdir("/")
    assert spec.make().name == "model"
    assert spec.cache_dir == tmp_path / "cache"


def test_sources_keep_what_they_may_do() -> None:
    """An address that may lead to public hosts alone is one on the other machine, too."""
    source = pickle.loads(pickle.dumps(Source("u", PublicUrl("https://example.org/a.mp3"))))
    assert type(source.media) is PublicUrl


@pytest.mark.parametrize(
    "options",
    [
        ["talk.wav", "--ray-address", "auto"],
        ["-", "--engine", "ray"],
        ["talk.wav", "--engine", "spark"],
    ],
)
def test_mistakes(s2t2: Here, options: list[str]) -> None:
    done = s2t2("translate", "--lang", "de", *options)
    assert done.status == 2


def test_without_ray_it_says_what_to_install(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--engine ray needs Ray: pip install 's2t2-cli\[ray\]'"):
        make_engine("ray", TranslatorSpec(resolve_checkpoint(tiny_checkpoint)))


def test_no_cluster_at_that_address(s2t2: Here, clip: Path, tiny_checkpoint: Path) -> None:
    pytest.importorskip("ray", reason=WITHOUT_RAY)
    done = subprocess.run(
        [*COMMAND, "translate", clip, "--model", tiny_checkpoint, "--engine", "ray", "--ray-address", "127.0.0.1:9"],
        capture_output=True, timeout=110,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"s2t2: no Ray cluster answers at 127.0.0.1:9" in done.stderr
