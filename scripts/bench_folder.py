"""Folders of clips of mixed length against the reference, one by one and at its best batch size, and faster-whisper.

    python scripts/bench_folder.py [--checkpoint FOLDER] [--clips FOLDER] [--rounds 3] [--threads 2]
                                   [--max-new-tokens 30] [--batch-sizes 2 4 8] [--whisper [MODEL]]

Two sets: the recordings of a folder (by default the shared ones where they are there, else the repository's), and
made ones of 2 to 20 s, joined of these. Ours is `Translator.translate`, as the command line uses it, decoding and text
included; the reference reads its clips first and sorts them by length, all of it timed too. All take turns.

Random weights do not stop by themselves, so each clip gets exactly --max-new-tokens tokens on all sides (0: as many as
the checkpoint makes). How many clips get the reference's tokens is counted and never ends the run: random weights bring
about near ties, some of which the reference itself settles otherwise in float64. Whisper only transcribes, and makes as
many tokens as it takes; its model comes by `make whisper-model`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarking import (
    REFERENCE,
    WHISPER,
    WHISPER_MODEL,
    Search,
    Side,
    add_dtypes,
    clip_files,
    joined_clips,
    lengths_between,
    make_parser,
    say,
    seconds_of,
    started,
    summary,
    take_turns,
    write_figures,
)


def measure(sides: dict[str, Side], files: list[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each side, times faster than the reference one by one, and than the reference at its best."""
    search = Search(options.beams, options.max_new_tokens or None).settings()
    contestants: dict[str, tuple[Side, dict[str, Any]]] = {
        name: (side, {"batch_seconds": options.batch_seconds} if name.startswith("ours") else {})
        for name, side in sides.items()
    }
    for size in options.batch_sizes:
        contestants[batched(size)] = (sides[REFERENCE], {"batch": size})

    def turn(name: str) -> dict[str, Any]:
        side, more = contestants[name]
        return side.ask("folder", files=files, search=search, **more)

    for side in sides.values():  # a few clips are enough to warm up
        side.ask("folder", files=files[:2], search=search)
    answers = take_turns(list(contestants), options.rounds, turn)
    wanted = answers[REFERENCE][0]["ids"]
    seconds = {name: [one["seconds"] for one in records] for name, records in answers.items()}
    found = summary(seconds)
    audio = sum(map(seconds_of, files))
    best = min([REFERENCE, *map(batched, options.batch_sizes)], key=lambda name: found[name]["seconds"])
    against_best = summary(seconds, best)
    for name, one in found.items():
        one["times_faster_than_best"] = against_best[name]["times_faster"]
        one["times_real_time"] = round(audio / one["seconds"], 2)
        ids = answers[name][0]["ids"]
        one["tokens"] = sum(map(len, ids))
        one["same_clips"] = sum(mine == theirs for mine, theirs in zip(ids, wanted, strict=True))
    return {"clips": len(files), "audio_seconds": round(audio, 1), "best_reference": best, "sides": found}


def batched(size: int) -> str:
    """The reference's name with so many clips in a batch."""
    return f"{REFERENCE}, batches of {size}"


def whisper_model(wanted: Path | None) -> Path | None:
    """The folder of the model if it can take part; else why not, on standard error."""
    if wanted is None:
        return None
    if not (wanted / "model.bin").exists():
        print(f"bench: no whisper model in {wanted}, it takes no part; `make whisper-model` gets one", file=sys.stderr)
    elif not WHISPER.exists():
        print(f"bench: no {WHISPER}, whisper takes no part; `make whisper-model` builds it", file=sys.stderr)
    else:
        return wanted
    return None


def main() -> None:
    """Take turns, print, write."""
    parser = make_parser(__doc__, rounds=3)
    add_dtypes(parser)
    parser.add_argument("--clips", type=Path, help="folder of 16 kHz .wav files")
    parser.add_argument("--sets", nargs="+", choices=["speech", "mixed"], default=["speech", "mixed"])
    parser.add_argument("--mixed-seconds", type=float, default=120.0, help="audio in the set of joined clips")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--max-new-tokens", type=int, default=30)
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[2, 4, 8], help="the reference's, clips")
    parser.add_argument("--batch-seconds", type=float, help="ours; by default what the package takes")
    parser.add_argument("--whisper", type=Path, nargs="?", const=WHISPER_MODEL, help="beside faster-whisper")
    options = parser.parse_args()
    speech = clip_files(options.clips)
    figures: dict[str, Any] = {"max_new_tokens": options.max_new_tokens, "beams": options.beams, "sets": {}}
    with tempfile.TemporaryDirectory() as scratch, started(options, whisper_model(options.whisper)) as sides:
        for name in options.sets:
            files = speech
            if name == "mixed":
                files = joined_clips(speech, lengths_between(2.0, 20.0, options.mixed_seconds), Path(scratch))
            found = figures["sets"][name] = measure(sides, files, options)
            best = found["best_reference"]
            extra = {
                side: f"{one['times_faster_than_best']:.2f} than {best}; {one['same_clips']} clips' tokens the same"
                for side, one in found["sides"].items()
            }
            say(f"{name}: {found['clips']} clips, {found['audio_seconds']} s", found["sides"], extra)
    write_figures("folder", options, options.checkpoint, figures)


if __name__ == "__main__":
    main()
