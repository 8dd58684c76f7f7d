"""A model as the user names it, a folder or a hub id, becomes a checkpoint on disk.

Knows: how a folder is told from a hub id, what a checkpoint folder must hold.
Does not know: the hub's protocol and cache (hub), what is inside the weights (tensors).
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2t2_cli.checkpoint.bundled import BUNDLED, bundled_name
from s2t2_cli.checkpoint.layout import WEIGHTS_PREFERENCE, weight_files
from s2t2_cli.configuration import CONFIG_NAME, read_json_object
from s2t2_cli.errors import ModelNotFoundError

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_EXAMPLE = "a folder with a checkpoint or a hub id such as facebook/s2t-wav2vec2-large-en-de"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk."""

    name: str
    """What the user called it: a hub id or a folder."""
    folder: Path
    """Where `config.json` and the other files lie."""
    revision: str | None = None
    """The commit it came from; None for a folder that is not of the hub's cache."""
    weights: tuple[Path, ...] = ()
    """The files with the tensors, all of one format; empty only where no weights were asked for."""

    def path(self, filename: str) -> Path | None:
        """The file beside the weights, or None where the checkpoint has none of that name."""
        path = self.folder / filename
        return path if path.is_file() else None

    def read_json(self, filename: str) -> dict[str, Any] | None:
        """The JSON object in that file, None where there is no file. Raises ConfigurationError."""
        path = self.path(filename)
        return None if path is None else read_json_object(path)


def resolve_checkpoint(
    model: str | os.PathLike[str] | Checkpoint,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    weights: bool = True,
) -> Checkpoint:
    """Find the checkpoint `model` names, downloading what is needed of it into the hub's cache.

    The name of a bundled checkpoint wins over a folder of that name (which `./` reaches), a folder over a hub id; a
    Checkpoint is returned as it is. `revision` is a branch, tag or commit of the hub, `cache_dir` replaces the hub's
    cache folder, `local_files_only` rules the network out, as HF_HUB_OFFLINE=1 does. `weights=False` looks for the
    small files alone, which is enough for a tokenizer or a processor.

    Raises ModelNotFoundError, HubUnreachableError, CheckpointError (an index without its shards).
    """
    if isinstance(model, Checkpoint):
        return model
    name = os.fsdecode(model)
    bundled = BUNDLED.get(bundled_name(name, None))
    if bundled is not None:
        return _from_folder(bundled.name, bundled.folder, weights=weights)
    folder = Path(name).expanduser() if name.startswith("~") else Path(name)
    if name and folder.exists():
        if revision is not None:
            logger.warning("%s is a folder and has no revisions: %s is ignored", name, revision)
        return _from_folder(name, folder, weights=weights)
    if not isinstance(model, str) or _looks_like_path(name):
        raise ModelNotFoundError(f"there is no folder {name!r}: give {_EXAMPLE}")

    from s2t2_cli.checkpoint.hub import fetch_snapshot  # a folder needs no hub client

    snapshot = fetch_snapshot(
        name, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only, weights=weights
    )
    return Checkpoint(name, snapshot, snapshot.name, weight_files(snapshot) if weights else ())


def _looks_like_path(name: str) -> bool:
    """Whether a name that is no folder was meant as one: hub ids are `name` or `organisation/name`."""
    return not name or name[0] in "./~\\" or name.endswith("/") or name.count("/") > 1 or "\\" in name


def _from_folder(name: str, folder: Path, *, weights: bool) -> Checkpoint:
    if not folder.is_dir():
        raise ModelNotFoundError(f"{name} is a file: give the folder it lies in, {folder.parent}")
    try:
        is_empty = not any(folder.iterdir())
        files = weight_files(folder) if weights else ()
    except OSError as error:
        raise ModelNotFoundError(f"cannot read the folder {name}: {error.strerror}") from error
    if is_empty:
        raise ModelNotFoundError(f"the folder {name} is empty: give {_EXAMPLE}")
    if not (folder / CONFIG_NAME).is_file():
        if folder.name.startswith("models--") and (folder / "snapshots").is_dir():
            model_id = folder.name.removeprefix("models--").replace("--", "/")
            raise ModelNotFoundError(
                f"{name} is a folder of the hub's cache: give one of its snapshots, or the id {model_id}"
            )
        raise ModelNotFoundError(f"there is no {CONFIG_NAME} in {name}: give {_EXAMPLE}")
    if weights and not files:
        raise ModelNotFoundError(f"there are no weights in {name}: expected one of {', '.join(WEIGHTS_PREFERENCE)}")
    is_snapshot = folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name)
    return Checkpoint(name, folder, folder.name if is_snapshot else None, files)
