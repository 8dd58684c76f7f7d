"""The folder a training writes to: new, its own from before, or refused.

Knows: what an interrupted training leaves. Does not know: what is in it.
"""

from __future__ import annotations

from pathlib import Path

from s2t2_cli.errors import OutputError, UsageError
from s2t2_cli.training.log import LOG_NAME
from s2t2_cli.training.state import STATE_NAME
from s2t2_cli.training.world import World

TRAINING_FOLDER = "training"


def prepare_folder(output: Path, *, restart: bool, world: World) -> Path:
    """Where state and log go, below `output`; nothing is made yet, and `restart` removes what is there of both.

    Raises UsageError where `output` holds something that is no training, which would be overwritten; OutputError.
    """
    folder = output / TRAINING_FOLDER
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file: name a folder for the model")
    if output.is_dir() and not folder.is_dir() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty and holds no training to go on with: name another folder")
    if restart and world.is_first:
        try:
            for name in (STATE_NAME, LOG_NAME):
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    world.wait()
    return folder
