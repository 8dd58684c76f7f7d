"""Speaks sentences of the corpus into a store of clips: `python scripts/demo/speech.py --help`.

Knows: which sentence comes next and who speaks it, a pure function of the seed, so that a killed run goes on.
Does not know: how sound is made (speech_engines.py), how clips are kept (speech_store.py).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from speech_engines import Engine, FliteEngine, HibariEngine, KokoroEngine, phonemes
from speech_store import SAMPLING_RATE, ClipStore
from speech_voices import evaluation_speaker, flite_speaker, hibari_speaker, kokoro_speaker

RANDOM_SPEAKERS: dict[str, Callable[[Random], dict[str, Any]]] = {
    "kokoro": kokoro_speaker,
    "hibari": hibari_speaker,
    "flite": flite_speaker,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="corpus.jsonl, as text.py writes it")
    parser.add_argument("--store", type=Path, required=True, help="the folder that receives the clips")
    parser.add_argument("--engine", choices=sorted(RANDOM_SPEAKERS), required=True)
    parser.add_argument("--voices", choices=("random", "evaluation"), default="random")
    parser.add_argument("--kokoro-voices", type=Path, help="the folder voices/ of the package kokoro-js")
    parser.add_argument("--partition", default="train", help="partition of the corpus (default: train)")
    parser.add_argument("--source", help="only sentences of this source; several with commas")
    parser.add_argument("--scenario", help="only sentences of these families; several with commas")
    parser.add_argument("--clips", type=int, help="stop at so many clips (default: every sentence once)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--part", default="1/1", help="i/n: this process speaks every n-th clip, into a store of its own"
    )
    parser.add_argument("--word-by-word", action="store_true", help="say each word alone and join them, cut close")
    options = parser.parse_args()
    rows = list(_selected(options))
    engine = _engine(options)
    with ClipStore(options.store) as store:
        speak(rows, engine, store, options)
    print(f"{len(store.clips)} clips, {store.seconds / 60:.1f} minutes in {options.store}")


def speak(rows: list[dict[str, Any]], engine: Engine, store: ClipStore, options: argparse.Namespace) -> None:
    """The clips that the store does not hold yet."""
    part, parts = (int(number) for number in options.part.split("/"))
    wanted = range(part - 1, options.clips or len(rows), parts)
    began, done = time.monotonic(), 0.0
    for number in wanted[len(store.clips) :]:
        row = _row(rows, number, options.seed)
        random = Random(f"{options.seed}/{options.engine}/{number}")
        speaker = (
            evaluation_speaker(number) if options.voices == "evaluation" else RANDOM_SPEAKERS[options.engine](random)
        )
        seed = random.getrandbits(32)
        audio = (_word_by_word if options.word_by_word else _whole)(engine, row["en"], speaker, seed)
        audio = _unclipped(audio)
        clip = store.append(
            f"{options.engine}-{number:06d}", row["id"], options.engine, audio, speaker, phonemes(row["en"])
        )
        done += clip.seconds
        if len(store.clips) % 200 == 0:
            speed = done / (time.monotonic() - began)
            print(
                f"{len(store.clips)} of {len(wanted)} clips, {store.seconds / 60:.1f} min, {speed:.1f} x real time",
                flush=True,
            )


def _whole(engine: Engine, text: str, speaker: dict[str, Any], seed: int) -> npt.NDArray[np.float32]:
    return engine(text, speaker, seed)


def _word_by_word(engine: Engine, text: str, speaker: dict[str, Any], seed: int) -> npt.NDArray[np.float32]:
    """Each word said alone and cut close, as where recordings of single words were joined."""
    random = np.random.default_rng(seed)
    parts: list[npt.NDArray[np.float32]] = []
    for word in text.split():
        said = engine(f"{word}.", speaker, int(random.integers(1 << 31)))
        loud = np.flatnonzero(np.abs(said) > 0.02 * np.abs(said).max(initial=1e-5))
        gap = np.zeros(int(max(0.0, random.uniform(-0.05, 0.15)) * SAMPLING_RATE), np.float32)
        level = np.float32(random.uniform(0.6, 1.0))
        parts += [level * said[loud[0] : loud[-1] + 1], gap] if len(loud) else [gap]
    return np.concatenate(parts)


def _unclipped(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    peak = float(np.abs(audio).max(initial=0.0))
    return audio if peak < 0.99 else audio * (0.99 / peak)


def _selected(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    sources = options.source.split(",") if options.source else None
    families = options.scenario.split(",") if options.scenario else None
    for line in options.corpus.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        wanted = row["partition"] == options.partition
        wanted &= sources is None or row["source"] in sources
        wanted &= families is None or row["family"] in families
        if wanted:
            yield row


def _row(rows: list[dict[str, Any]], number: int, seed: int) -> dict[str, Any]:
    """Every sentence once in a random order, then every sentence once more in another."""
    around, place = divmod(number, len(rows))
    return rows[_order(len(rows), f"{seed}/order/{around}")[place]]


@cache
def _order(size: int, seed: str) -> list[int]:
    order = list(range(size))
    Random(seed).shuffle(order)
    return order


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "kokoro":
        if options.kokoro_voices is None:
            raise SystemExit("Kokoro needs --kokoro-voices, the folder voices/ of the npm package kokoro-js")
        return KokoroEngine(options.kokoro_voices)
    return HibariEngine() if options.engine == "hibari" else FliteEngine()


if __name__ == "__main__":
    main()
