"""A hub id becomes a folder of the hub's cache that holds the files a checkpoint needs.

Knows: the hub's API and cache, through huggingface_hub, and which files to fetch.
Does not know: what the files hold (tensors, configuration), how a refusal is put in words (hub_errors).

Two things are not left to the library's defaults. A hub that does not answer is asked once and not for
minutes: the listing has a timeout and no retries, only a download that has begun is retried. And a revision
is noted in the cache after its last file has come: a download cut short never hides an older complete copy.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, not in its __all__

from s2t2_cli import __version__
from s2t2_cli.checkpoint.hub_errors import TransportError, explained, no_hub, way_out
from s2t2_cli.checkpoint.layout import (
    SIDE_FILES,
    WEIGHTS_PREFERENCE,
    is_index,
    preferred_weights,
    shard_names,
    weight_files,
)
from s2t2_cli.configuration import CONFIG_NAME
from s2t2_cli.errors import CheckpointError, HubUnreachableError, ModelError, ModelNotFoundError
from s2t2_cli.whole_files import write_whole

logger = logging.getLogger(__name__)

# Seconds to wait for a hub whose answer we can do without, the files being here.
_TIMEOUT_WHEN_CACHED = 3.0

_COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch_snapshot(
    model_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    weights: bool = True,
) -> Path:
    """The folder `…/snapshots/<commit>` of the hub's cache with the files of `model_id`, fetched if need be.

    Where the hub does not answer, or refuses, and the cache holds the revision, the cached copy is used.
    `weights=False` fetches the small files alone.

    Raises ModelNotFoundError (no such model or revision, or no access to it), HubUnreachableError (no answer,
    or the network is ruled out and the cache lacks a file), ModelError (the cache cannot be written).
    """
    _check_names(model_id, revision)
    cache = Path(constants.HF_HUB_CACHE if cache_dir is None else cache_dir).expanduser()
    cached = _cached_snapshot(model_id, revision, cache)
    missing = _missing(cached, weights=weights)
    if local_files_only or constants.HF_HUB_OFFLINE:
        if cached is None or missing:
            raise HubUnreachableError(
                f"{_described(model_id, revision)} is not in the cache {cache} ({missing}) and"
                f" {'--offline' if local_files_only else 'HF_HUB_OFFLINE'} rules the network out:"
                f" {way_out(model_id)}"
            )
        return cached
    try:
        return _download(model_id, revision, cache, weights=weights, timeout=_timeout(is_cached=not missing))
    except RevisionNotFoundError as error:
        raise explained(error, model_id, revision, cache) from error
    except (TransportError, OSError, EntryNotFoundError, ModelError) as error:
        reason = error if isinstance(error, ModelError) else explained(error, model_id, revision, cache)
        if cached is None or missing:
            raise reason from error
        level = logging.INFO if isinstance(reason, HubUnreachableError) else logging.WARNING
        logger.log(level, "using the cached copy of %s: %s", model_id, reason)
        return cached


def _check_names(model_id: str, revision: str | None) -> None:
    try:
        validate_repo_id(model_id)
    except HFValidationError as error:
        raise ModelNotFoundError(
            f"{model_id!r} is neither a folder here nor a hub id, which looks like organisation/name"
        ) from error
    # It becomes a path below the cache's `refs`.
    if revision is not None and ({"", ".", ".."} & set(revision.split("/")) or {"\0", "\\"} & set(revision)):
        raise ModelNotFoundError(f"{revision!r} is no revision of {model_id}: give a branch, a tag or a commit")


def _described(model_id: str, revision: str | None) -> str:
    return model_id if revision is None else f"revision {revision} of {model_id}"


def _timeout(*, is_cached: bool) -> float:
    """Seconds to wait for the hub; HF_HUB_ETAG_TIMEOUT sets the longer one."""
    longest = float(constants.HF_HUB_ETAG_TIMEOUT)
    return min(longest, _TIMEOUT_WHEN_CACHED) if is_cached else longest


def _cached_snapshot(model_id: str, revision: str | None, cache: Path) -> Path | None:
    """The snapshot folder the cache knows for the revision, complete or not."""
    config = try_to_load_from_cache(model_id, CONFIG_NAME, cache_dir=cache, revision=revision)
    return Path(config).parent if isinstance(config, str) else None


def _missing(snapshot: Path | None, *, weights: bool) -> str:
    """What a cached snapshot lacks, in words; empty where nothing is missing."""
    if snapshot is None:
        return f"no {CONFIG_NAME}"
    try:
        return "" if not weights or weight_files(snapshot) else "no weights"
    except CheckpointError as error:
        return str(error)


def _download(model_id: str, revision: str | None, cache: Path, *, weights: bool, timeout: float) -> Path:
    """Ask the hub for the revision's commit and files, and fetch those that are not in the cache."""
    api = HfApi(library_name="s2t2", library_version=__version__)
    try:
        info = api.model_info(model_id, revision=revision, timeout=timeout)
    except (KeyError, TypeError, ValueError) as error:
        raise no_hub(model_id, "no listing") from error
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit):
        raise no_hub(model_id, "no commit")
    names = _needed(model_id, {sibling.rfilename for sibling in info.siblings or ()}, weights=weights)
    _fetch(model_id, names, commit, cache, timeout)
    snapshot = _cached_snapshot(model_id, commit, cache)
    if snapshot is None:
        raise ModelError(f"the cache {cache} lost files of {model_id} while they were fetched: try again")
    if is_index(names[-1]):
        _fetch(model_id, shard_names(snapshot / names[-1]), commit, cache, timeout)
    _note_revision(snapshot, revision or constants.DEFAULT_REVISION)
    return snapshot


def _needed(model_id: str, names: set[str], *, weights: bool) -> list[str]:
    """The files of the listing to fetch, the weights last."""
    if CONFIG_NAME not in names:
        raise ModelNotFoundError(f"{model_id} has no {CONFIG_NAME} on the hub: not a Speech2Text2 checkpoint")
    needed = [name for name in SIDE_FILES if name in names]
    if weights:
        chosen = preferred_weights(names)
        if chosen is None:
            wanted = ", ".join(WEIGHTS_PREFERENCE)
            raise ModelNotFoundError(f"{model_id} has no weights we can read on the hub: none of {wanted}")
        needed.append(chosen)
    return needed


def _fetch(model_id: str, names: Iterable[str], commit: str, cache: Path, timeout: float) -> None:
    """Download those of the files that are not in the cache; one by one, so that Ctrl-C is heeded at once."""
    absent = [
        name
        for name in names
        if not isinstance(try_to_load_from_cache(model_id, name, cache_dir=cache, revision=commit), str)
    ]
    if absent:  # hf_hub_download would retry a silent hub for minutes; this asks once
        get_hf_file_metadata(hf_hub_url(model_id, absent[0], revision=commit), timeout=timeout)
    for name in absent:
        hf_hub_download(
            model_id,
            name,
            revision=commit,
            cache_dir=cache,
            etag_timeout=timeout,
            library_name="s2t2",
            library_version=__version__,
        )


def _note_revision(snapshot: Path, revision: str) -> None:
    """Note in the cache, where its layout wants it, which commit a branch or tag stands for."""
    if revision == snapshot.name:
        return
    note = snapshot.parent.parent / "refs" / revision
    with contextlib.suppress(OSError):
        if note.read_text() == snapshot.name:
            return
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, [snapshot.name.encode()])
    except OSError as error:  # a cache that others fill and we may only read: the files themselves are there
        logger.info("cannot note the revision %s in %s: %s", revision, note.parent, error.strerror)
