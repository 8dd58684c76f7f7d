"""The fuzzer finds what there is to find, keeps it, and goes on; and what it once found stays harmless."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from fuzzing.campaign import Campaign
from fuzzing.mutation import MOST_BYTES, mutate
from fuzzing.targets import TARGETS, sections
from fuzzing.worker import Limits, Worker, leaks
from fuzzing_targets import digits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched as Linux shows them")

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "fuzz_corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=60, megabytes=200)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("fuzzing_targets:harmful", LIMITS) as worker:
        yield worker


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_corpus_does_no_harm(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_the_corpus_is_small_and_has_something_for_every_target() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)
    assert sum(path.stat().st_size for path in FILES) < 300_000


def test_an_exception_is_reported_by_where_it_came_from(worker: Worker) -> None:
    assert worker.run(b"fine").kind == "fine"
    report = worker.run(b"E")
    assert (report.kind, report.outcome) == ("error", "KeyError in fuzzing_targets.py:harmful")
    assert "not one of ours" in report.detail
    assert worker.run(b"fine").kind == "fine"


@pytest.mark.parametrize(
    ("data", "kind", "outcome"),
    [(b"C", "crash", "crash SIGSEGV"), (b"H", "hang", "hang"), (b"M", "memory", "memory 314572800")],
)
def test_what_ends_a_process_is_reported(data: bytes, kind: str, outcome: str) -> None:
    with Worker("fuzzing_targets:harmful", LIMITS) as doomed:
        report = doomed.run(data)
        assert (report.kind, report.outcome) == (kind, outcome)
        assert not doomed.is_alive


def test_a_process_that_waits_for_ever_is_reported() -> None:
    with Worker("fuzzing_targets:harmful", Limits(wall_seconds=0.5)) as doomed:
        assert doomed.run(b"W").kind == "hang"


def test_a_leak_is_told_from_none() -> None:
    assert leaks("fuzzing_targets:harmful", b"L", LIMITS, times=8) > 900_000
    assert leaks("fuzzing_targets:harmful", b"fine", LIMITS, times=8) < 100_000


def test_a_target_that_fails_on_nothing_is_named() -> None:
    with pytest.raises(RuntimeError, match="fuzzing_targets:unfit fails on nothing at all"):
        Worker("fuzzing_targets:unfit", LIMITS)


def test_a_campaign_finds_harm_once_keeps_it_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    seeds = [b"size 12 and 7 more"]
    first = Campaign("fuzzing_targets:digits", seeds, tmp_path, limits=LIMITS, seed=1)
    said: list[str] = []
    while not first.state.findings:
        first.run(0.01, tell=said.append)
    assert list(first.state.findings) == ["AssertionError in fuzzing_targets.py:digits"]
    (finding,) = (path for path in (tmp_path / "findings").iterdir() if not path.suffix)
    with pytest.raises(AssertionError):
        digits(finding.read_bytes())
    assert json.loads(finding.with_suffix(".json").read_text())["kind"] == "error"
    assert len(said) == 1
    again = Campaign("fuzzing_targets:digits", seeds, tmp_path, limits=LIMITS, seed=1)
    assert again.state == first.state
    again.run(0.01)
    assert again.state.cases > first.state.cases


def test_changes_are_the_same_for_the_same_seed_and_of_bounded_size() -> None:
    seeds = [b"", b"a", b"12 34", bytes(range(256)) * 99]

    def some(seed: int) -> list[bytes]:
        chance = random.Random(seed)
        return [mutate(chance.choice(seeds), seeds, chance) for _ in range(2_000)]

    assert some(1) == some(1) != some(2)
    assert max(map(len, some(3))) <= MOST_BYTES


def test_an_input_may_stand_for_several_files() -> None:
    assert sections(b"--- a\nx\n--- ../b\n\n--- no\n") == {"a": b"x", "b": b"", "no": b""}
    assert sections(b"nothing of the kind") == {}


def test_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), "--target", "segments", "--engine", "mutate"]
    run = subprocess.run(
        [*command, "--seconds", "0.2", "--keep", str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert run.stdout.splitlines()[0].split() == ["target", "engine", "cases", "CPU", "min", "kept", "findings"]
    assert run.stdout.splitlines()[1].split()[:2] == ["segments", "mutate"]
    assert (run.returncode == 1) == bool(json.loads((tmp_path / "segments" / "state.json").read_text())["findings"])
