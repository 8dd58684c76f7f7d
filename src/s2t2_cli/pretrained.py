"""The folder behind a model name, and writing small files into one.

Knows: folders, hub ids (through checkpoint). Does not know: what the files mean.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from s2t2_cli.errors import OutputError
from s2t2_cli.whole_files import write_whole


def pretrained_folder(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Path:
    """The local folder with the small files of `model`: itself where it is one, else the hub's, downloaded if need be.

    Raises ModelNotFoundError or HubUnreachableError.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    from s2t2_cli.checkpoint import resolve_checkpoint

    checkpoint = resolve_checkpoint(
        model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only, weights=False
    )
    return checkpoint.folder


def write_texts(folder: str | os.PathLike[str], texts: Mapping[str, str]) -> list[str]:
    """Write each text, whole or not at all, under its name into `folder`, which is made. Returns the paths.

    Raises OutputError.
    """
    paths = []
    for name, text in texts.items():
        path = Path(folder) / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Bytes, so that line ends are the same on every system.
            write_whole(path, [text.encode()])
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        paths.append(str(path))
    return paths
