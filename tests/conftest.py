"""What many tests need: the miniature checkpoint, a real clip, and a process without the user's settings."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DATA = Path(__file__).parent / "data"

# Parallel maths on tiny tensors is slower than one thread, and subprocesses inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# A background job of a script has interrupts ignored, and processes the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run; how long one takes decides nothing.
settings.register_profile(
    "s2t2", derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("s2t2")


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Path:
    """A checkpoint in the published layout with random weights, vocabulary and merges."""
    return DATA / "miniature"


@pytest.fixture(scope="session")
def clip() -> Path:
    """A real recording of 2.8 s, 16 kHz mono."""
    return DATA / "goforward.wav"


@pytest.fixture(autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's caches, and none reaches a hub it did not start."""
    home = tmp_path_factory.getbasetemp() / "hf-home"
    monkeypatch.setenv("HF_HOME", str(home))
    for name in ("HF_HUB_CACHE", "HF_ASSETS_CACHE", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "S2T2_DEBUG"):
        monkeypatch.delenv(name, raising=False)
