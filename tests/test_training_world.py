"""Several processes that train one model: what they have to agree on, and what a signal finds saved."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from s2t2_cli.errors import UsageError
from s2t2_cli.training.world import World

# One of the processes: trains in the folder, with the learning rate, and tells what it heard or why it refused.
PROCESS = """
import json, sys, torch
from pathlib import Path
from s2t2_cli.errors import UsageError
from s2t2_cli.training.loop import train
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.world import join_world
from training_fixtures import Diary, Line, Rows

folder, lr, updates = sys.argv[1:]
settings = TrainingSettings(
    updates=int(updates), lr=float(lr), schedule="constant", warmup=0, validate_every=2, save_every=3, log_every=1
)
diary = Diary()
with join_world(torch.device("cpu")) as (world, _):
    try:
        train(Line(), Rows(), settings, Path(folder), world=world, listener=diary)
    except UsageError as error:
        diary.heard.append(str(error))
print(json.dumps(diary.heard))
"""


def together(*arguments: tuple[Path, float, int]) -> list[list[str]]:
    """What each of the processes heard."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(arguments))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, *map(str, those)],
            env=os.environ | meeting | {"RANK": str(rank), "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
        )
        for rank, those in enumerate(arguments)
    ]
    return [json.loads(process.communicate(timeout=100)[0]) for process in processes]


def test_the_state_is_saved_before_a_validation_that_a_signal_would_have_to_wait_for(tmp_path: Path) -> None:
    first, second = together((tmp_path, 0.05, 4), (tmp_path, 0.05, 4))
    assert [entry.removesuffix(" best") for entry in first] == [
        "saved 2", "validated 2", "saved 3", "saved 4", "validated 4", "saved 4",
    ]  # fmt: skip
    assert second == []


def test_processes_that_would_train_with_other_settings_refuse_all(tmp_path: Path) -> None:
    sentence = "the processes would not train the same: one has --lr 0.1, not 0.05"
    assert together((tmp_path, 0.05, 4), (tmp_path, 0.1, 4)) == [[sentence], [sentence]]
    assert not any(tmp_path.iterdir())


def test_processes_that_do_not_share_the_folder_do_not_go_on(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    together((shared, 0.05, 2), (shared, 0.05, 2))
    heard = together((shared, 0.05, 4), (own, 0.05, 4))
    assert [len(one) for one in heard] == [1, 1]
    assert "would not go on from the same state" in heard[0][0]


def test_standard_input_is_for_one_process(tmp_path: Path) -> None:
    World().refuse_standard_input(["-"])
    World(0, 2).refuse_standard_input(["train.jsonl", None])
    with pytest.raises(UsageError, match="standard input reaches only one of several processes"):
        World(1, 2).refuse_standard_input(["train.jsonl", "-"])
