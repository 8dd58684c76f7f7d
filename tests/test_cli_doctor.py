"""`s2t2 doctor` finds what is there and what is missing, without the network."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from cli_run import Here
from s2t2_cli import diagnosis
from s2t2_cli.diagnosis import Finding, examine


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


def found(section: str, name: str) -> Finding:
    return next(one for one in examine() if (one.section, one.name) == (section, name))


def test_a_sound_installation(s2t2: Here) -> None:
    outcome = s2t2("doctor")
    assert (outcome.status, outcome.lines[-1], outcome.err) == (0, "all is well", "")
    sections = [line for line in outcome.lines if not line.startswith(" ")]
    assert sections == ["Versions", "Decoders", "Machine", "Cache", "Environment", "Self-test", "all is well"]
    words = {tuple(line.split()[:2]) for line in outcome.lines}
    assert {("ok", name) for name in ("torch", "av", "mp3", "aac", "opus", "cpu", "translation")} <= words


def test_as_json(s2t2: Here) -> None:
    report = json.loads(s2t2("doctor", "--json").out)
    assert report["ok"] is True
    assert {"section": "Decoders", "name": "flac", "status": "ok", "detail": "flac", "way_out": ""} in report[
        "findings"
    ]


def test_a_secret_is_not_shown(s2t2: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
    outcome = s2t2("doctor")
    assert "hf_secret" not in outcome.out
    assert "http://hub.example.org" in outcome.out


def test_an_unwritable_cache_comes_with_a_way_out(s2t2: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/proc/none/hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    outcome = s2t2("doctor")
    line = next(number for number, line in enumerate(outcome.lines) if line.startswith("  FAILED"))
    assert "/proc/none/hub cannot be written to" in outcome.lines[line]
    assert outcome.lines[line + 1] == "         way out: name another place with HF_HOME, or --cache-dir"
    assert outcome.lines[-1].startswith("1 of ")
    assert outcome.status == 1
    assert "ruled out by HF_HUB_OFFLINE" in outcome.out


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_NEEDED", ("no_such_package",))
    missing = found("Versions", "no_such_package")
    assert (missing.status, missing.way_out) == ("failed", "pip install no_such_package")


@pytest.mark.parametrize(("needed", "status"), [(("broken",), "failed"), ((), "absent")])
def test_a_package_that_does_not_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: tuple[str, ...], status: str
) -> None:
    (tmp_path / "broken.py").write_text("raise OSError('libbroken.so: cannot open\\nmore')")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info" / "METADATA").write_text("Name: broken\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(diagnosis, "_NEEDED", needed)
    monkeypatch.setattr(diagnosis, "_OPTIONAL", () if needed else ("broken",))
    finding = found("Versions", "broken")
    assert (finding.status, finding.detail) == (status, "1.0 does not import: libbroken.so: cannot open")


def test_a_missing_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_DECODERS", {"atrac": "no_such_codec"})
    missing = found("Decoders", "atrac")
    assert missing.status == "failed"
    assert "--only-binary" in missing.way_out


def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 0, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert found("Cache", "checkpoints").detail.endswith("(1.0 GB free, too little for another checkpoint)")


def test_what_goes_wrong_in_looking_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no GPU driver")

    monkeypatch.setattr("torch.cuda.device_count", fail)
    finding = found("Machine", "devices")
    assert (finding.status, finding.detail) == ("failed", "RuntimeError: no GPU driver")
