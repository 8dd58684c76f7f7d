"""Looks at all that a translation needs here: packages, decoders, devices, the cache; then translates a clip.

Knows: what must be there, and the way out where it is not. Does not know: how it is shown, or the network.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2t2_cli import __version__

Status = Literal["ok", "failed", "absent"]

# Import names, in the order of the way that audio takes.
_NEEDED = ("torch", "numpy", "av", "huggingface_hub", "safetensors", "sacremoses", "typer", "rich")
_OPTIONAL = ("torchaudio",)

_DECODERS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "mp3float",
    "aac": "aac",
    "vorbis": "vorbis",
    "opus": "opus",
}
_ENVIRONMENT = (
    "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_ETAG_TIMEOUT",
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HTTPS_PROXY", "S2T2_DEBUG",
)  # fmt: skip
_SECRET = frozenset({"HF_TOKEN"})

# A published checkpoint as it is downloaded, and once more as safetensors.
_ROOM_FOR_A_CHECKPOINT = 2.8e9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `absent` is worth knowing and no failure, `failed` comes with a way out."""

    section: str
    name: str
    status: Status
    detail: str
    way_out: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, the quick ones first."""
    yield Finding("Versions", "s2t2", "ok", __version__)
    yield Finding("Versions", "Python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("Versions", "system", "ok", platform.platform())
    yield from map(_package, _NEEDED)
    yield from (_package(name, needed=False) for name in _OPTIONAL)
    yield from _guarded("Decoders", "PyAV", _decoders)
    yield from _guarded("Machine", "devices", _machine)
    yield from _guarded("Cache", "folder", _cache)
    for name in _ENVIRONMENT:
        if value := os.environ.get(name):
            yield Finding("Environment", name, "ok", "is set" if name in _SECRET else value)
    yield from _guarded("Self-test", "translation", _self_test)


def _guarded(section: str, name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of `look`; what goes wrong in looking is a finding, too."""
    try:
        yield from look()
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        yield Finding(section, name, "failed", detail, "install s2t2-cli anew in a fresh environment")


def _package(name: str, needed: bool = True) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if not needed:
            return Finding("Versions", name, "absent", f"not installed; optional: pip install 's2t2-cli[{name}]'")
        return Finding("Versions", name, "failed", "not installed", f"pip install {name}")
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken wheel can raise anything at all
        detail = f"{version} does not import: {error}".splitlines()[0]
        return Finding(
            "Versions",
            name,
            "failed" if needed else "absent",
            detail,
            f"pip install --force-reinstall {name}",
        )
    if name == "av":
        version += f" (FFmpeg {module.ffmpeg_version_info})"
    return Finding("Versions", name, "ok", version)


def _decoders() -> Iterator[Finding]:
    import av

    for name, codec in _DECODERS.items():
        if codec in av.codecs_available:
            yield Finding("Decoders", name, "ok", codec)
        else:
            way_out = "install the av package from a wheel: pip install --force-reinstall --only-binary av av"
            yield Finding("Decoders", name, "failed", "FFmpeg was built without it", way_out)


def _machine() -> Iterator[Finding]:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("Machine", "cpu", "ok", f"{usable} usable cores, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        detail = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
        yield Finding("Machine", f"cuda:{index}", "ok", detail)
    if not torch.cuda.is_available():
        yield Finding("Machine", "cuda", "absent", "no device, or a torch built without CUDA")
    if torch.backends.mps.is_available():
        yield Finding("Machine", "mps", "ok", "Apple GPU")


def _cache() -> Iterator[Finding]:
    from huggingface_hub import constants

    from s2t2_cli.checkpoint.inventory import list_checkpoints

    yield _folder("checkpoints", Path(constants.HF_HUB_CACHE))
    yield _folder("converted", Path(constants.HF_ASSETS_CACHE))
    for entry in list_checkpoints():
        if entry.cached == "yes":
            yield Finding("Cache", entry.model_id, "ok", f"{entry.size / 1e9:.2f} GB")
        else:
            state = "not here" if entry.cached == "no" else "only in part here"
            wanted = f"--lang {entry.published.lang}" if entry.published else entry.model_id
            yield Finding("Cache", entry.model_id, "absent", f"{state}: s2t2 models download {wanted}")
    offline = "ruled out by HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "allowed"
    yield Finding("Cache", "network", "ok", offline)


def _folder(name: str, folder: Path) -> Finding:
    """Whether files can be put into `folder`, which is made when it is first needed."""
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as problem:
        detail = f"{folder} cannot be written to ({problem.strerror})"
        return Finding("Cache", name, "failed", detail, "name another place with HF_HOME, or --cache-dir")
    free = shutil.disk_usage(existing).free
    note = ", too little for another checkpoint" if free < _ROOM_FOR_A_CHECKPOINT else ""
    return Finding("Cache", name, "ok", f"{folder} ({free / 1e9:.1f} GB free{note})")


def _self_test() -> Iterator[Finding]:
    from s2t2_cli.selftest import run_selftest

    result = run_selftest()
    detail = f"{result.detail} ({result.seconds:.1f} s)"
    yield Finding("Self-test", "translation", "ok" if result.ok else "failed", detail, "report it with this output")
