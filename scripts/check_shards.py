"""A manifest in shards, joined again; and, with `--ray`, on a cluster that loses a machine. Nothing may be missing.

    python scripts/check_shards.py [--rows 10000] [--shards 4] [--at-once 2] [--ray] [--model FOLDER] [--work FOLDER]

One row in a hundred is bad: not JSON, without a recording, a file that is not there, one that is not audio. Every run
is a real process. Exit status 0 if every row has its record, in the manifest's order, and all exit statuses are right.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check_resume import are_equal, count_lines, make_recordings
from ray_cluster import ray_cluster

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_RECORDINGS = 100  # so many files; rows name them again and again, as rows of a manifest may


def make_manifest(work: Path, rows: int, chance: random.Random) -> Path:
    """A manifest beside its recordings, every hundredth row bad in one of four ways."""
    make_recordings(work / "clips", _RECORDINGS, chance)
    good = [path.name for path in sorted((work / "clips").iterdir()) if path.read_bytes().startswith(b"RIFF")]
    manifest = work / "list.jsonl"
    with manifest.open("w", encoding="utf-8") as file:
        for number in range(rows):
            row = {"audio_filepath": f"clips/{chance.choice(good)}", "id": number}
            if chance.random() < 0.8:
                row["duration"] = round(chance.uniform(0.3, 1.0), 2)
            line = json.dumps(row)
            if number % 100 == 50:
                missing, broken = (
                    {**row, "audio_filepath": "clips/none.wav"},
                    {**row, "audio_filepath": "clips/00025.wav"},
                )
                line = chance.choice([line[:20], json.dumps({"id": number}), json.dumps(missing), json.dumps(broken)])
            file.write(line + "\n")
    return manifest


def translate(manifest: Path, output: Path, model: str, *options: str) -> list[str]:
    """The command of a run over `manifest`."""
    program = [sys.executable, "-m", "s2t2_cli", "translate", "--manifest", str(manifest), "--model", model]
    return [*program, "--format", "jsonl", "--output", str(output), "--threads", "1", *options]


def on_a_cluster(manifest: Path, output: Path, model: str, rows: int) -> int:
    """Translate on three nodes, of which one goes away when a third of the work is done; the exit status."""
    with ray_cluster(nodes=3) as cluster:
        process = subprocess.Popen(
            translate(manifest, output, model, "--quiet", "--engine", "ray", "--ray-address", cluster.address)
        )
        while process.poll() is None and count_lines(output) < rows // 3:
            time.sleep(0.1)
        print(f"a node goes away after {count_lines(output)} lines", flush=True)
        cluster.remove_node()
        return process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=2, help="so many shards run side by side")
    parser.add_argument("--ray", action="store_true", help="the same on a Ray cluster that loses a node")
    parser.add_argument("--model", default=str(DATA / "miniature"))
    parser.add_argument("--work", type=Path, help="a folder that stays; otherwise one that goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        work = arguments.work or Path(passing)
        work.mkdir(exist_ok=True)
        manifest = make_manifest(work, arguments.rows, random.Random(1))

        parts = [work / f"part-{number}.jsonl" for number in range(1, arguments.shards + 1)]
        commands = [
            [*translate(manifest, part, arguments.model, "--quiet"), "--shard", f"{number}/{arguments.shards}"]
            for number, part in enumerate(parts, 1)
        ]
        with ThreadPoolExecutor(arguments.at_once) as pool:
            runs = list(pool.map(lambda command: subprocess.run(command, stderr=subprocess.DEVNULL), commands))
        print(
            "shards:", *(f"{count_lines(part)} lines," for part in parts), "status", *(run.returncode for run in runs)
        )
        merged = work / "merged.jsonl"
        merge = [sys.executable, "-m", "s2t2_cli", "merge", *map(str, parts), "--output", str(merged)]
        if subprocess.run([*merge, "--manifest", str(manifest)]).returncode or count_lines(merged) != arguments.rows:
            return 1
        if any(run.returncode != 1 for run in runs):  # each has bad rows
            print("a shard with bad rows must end with status 1", file=sys.stderr)
            return 1
        # One that lacks a shard is found out.
        if (
            subprocess.run([*merge[:4], *merge[5:-1], str(work / "gap.jsonl"), "--manifest", str(manifest)]).returncode
            != 1
        ):
            return 1
        if arguments.ray:
            clustered = work / "clustered.jsonl"
            status = on_a_cluster(manifest, clustered, arguments.model, arguments.rows)
            if status != 1 or not are_equal(merged, clustered):
                print(f"the cluster's results are others, status {status}", file=sys.stderr)
                return 1
            print("the cluster gave the same records in the same order")
        return 0


if __name__ == "__main__":
    sys.exit(main())
