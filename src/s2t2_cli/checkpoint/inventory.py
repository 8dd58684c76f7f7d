"""Which checkpoints there are: the published ones, and what the hub's cache on this machine holds.

Knows: the hub's cache, through huggingface_hub. Does not know: the network, how the list is shown (cli).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import CacheNotFound, scan_cache_dir

from s2t2_cli.checkpoint.layout import weight_files
from s2t2_cli.checkpoint.published import PUBLISHED, PublishedCheckpoint
from s2t2_cli.configuration import CONFIG_NAME, Speech2Text2Config, read_json_object
from s2t2_cli.errors import ModelError

CacheState = Literal["yes", "partial", "no"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint one can translate with. `published` is None for one that only the cache knows."""

    model_id: str
    published: PublishedCheckpoint | None
    cached: CacheState
    """`partial`: a download was cut short."""
    size: int
    """Bytes in the cache, all revisions together."""


def list_checkpoints(cache_dir: str | os.PathLike[str] | None = None) -> list[Entry]:
    """The published checkpoints in their order, then other Speech2Text2 checkpoints of the cache by name.

    Raises ModelError where the cache cannot be read.
    """
    cached = _cached(cache_dir)
    entries = []
    for one in PUBLISHED.values():
        state, size = cached.pop(one.model_id, ("no", 0))
        entries.append(Entry(one.model_id, one, state, size))
    entries += [Entry(model_id, None, state, size) for model_id, (state, size) in sorted(cached.items())]
    return entries


def size_of_folder(folder: Path) -> int:
    """Bytes of the files that lie in it."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _cached(cache_dir: str | os.PathLike[str] | None) -> dict[str, tuple[CacheState, int]]:
    """How much of each Speech2Text2 checkpoint the cache holds: state and bytes, by hub id."""
    try:
        cache = scan_cache_dir(None if cache_dir is None else Path(cache_dir).expanduser())
    except CacheNotFound:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read the cache {cache_dir or ''}: {str(error).partition(chr(10))[0]}") from error
    found: dict[str, tuple[CacheState, int]] = {}
    for repo in cache.repos:
        snapshots = [revision.snapshot_path for revision in repo.revisions]
        if repo.repo_type == "model" and any(_is_speech2text2(snapshot) for snapshot in snapshots):
            is_complete = any(_has_weights(snapshot) for snapshot in snapshots)
            found[repo.repo_id] = ("yes" if is_complete else "partial", repo.size_on_disk)
    return found


def _is_speech2text2(snapshot: Path) -> bool:
    try:
        decoder = read_json_object(snapshot / CONFIG_NAME).get("decoder")
    except ModelError:  # no configuration, or not one: some other kind of repository
        return False
    return isinstance(decoder, dict) and decoder.get("model_type") == Speech2Text2Config.model_type


def _has_weights(snapshot: Path) -> bool:
    try:
        return bool(weight_files(snapshot))
    except ModelError:
        return False
