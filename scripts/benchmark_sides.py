"""The sides of a benchmark: ours, the reference, faster-whisper; each a process that stays warm and does as it is told.

    python scripts/benchmark_sides.py ours CHECKPOINT [--threads 2] [--dtype float32|int8]
    .venv-oracle/bin/python scripts/benchmark_sides.py oracle CHECKPOINT [--threads 2]
    .venv-whisper/bin/python scripts/benchmark_sides.py whisper MODEL [--threads 2]

Started by scripts/bench_*.py. A request is a JSON object on a line of standard input: `do`, one of the methods below,
and its arguments. The answer is a line on standard output. Nothing but the work itself is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Ours:
    """This package."""

    def __init__(self, options: argparse.Namespace) -> None:
        from s2t2_cli import Translator

        self._translator = Translator.from_pretrained(
            options.model, device="cpu", dtype=options.dtype, threads=options.threads
        )
        self._model = self._translator.model

    def clip(self, file: str, search: dict[str, Any]) -> dict[str, Any]:
        """One clip: seconds in the encoder, seconds in the search, ids."""
        import torch

        inputs = self._inputs(file)
        with torch.inference_mode():
            encoder, encoded = timed(lambda: self._model.encode(inputs))
        seconds, ids = timed(lambda: self._model.generate(encoder_outputs=encoded, **search))
        return {"encoder": encoder, "search": seconds, "ids": ids[0].tolist()}

    def encode(self, file: str) -> dict[str, Any]:
        """Seconds in the encoder, bridge included."""
        import torch

        inputs = self._inputs(file)
        with torch.inference_mode():
            return {"seconds": timed(lambda: self._model.encode(inputs))[0]}

    def folder(self, files: list[str], search: dict[str, Any], batch_seconds: float | None = None) -> dict[str, Any]:
        """All files as `s2t2 translate` does it, decoding and text included: seconds, ids by file."""
        seconds, results = timed(lambda: list(self._translator.translate(files, batch_seconds=batch_seconds, **search)))
        if failed := [result for result in results if result.error is not None]:
            sys.exit(f"{failed[0].audio_filepath}: {failed[0].error}")
        return {"seconds": seconds, "ids": [list(result.tokens) for result in results]}

    def peak(self, sizes: list[int], repeats: int = 3) -> dict[str, Any]:
        """GFLOP/s of square matrix products, the best of each size, by each way that torch has on this processor."""
        import torch

        ways: dict[str, Callable[[torch.Tensor, torch.Tensor], Callable[[], Any]]] = {
            "mm": lambda left, right: lambda: torch.mm(left, right)
        }
        if hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
            ways["oneDNN, packed"] = packed_product
        found: dict[str, dict[str, float]] = {way: {} for way in ways}
        for size in sizes:
            left, right = torch.randn(size, size), torch.randn(size, size)
            for way, make in ways.items():
                with torch.inference_mode():
                    product = make(left, right)
                    product()
                    best = min(timed(product)[0] for _ in range(repeats))
                found[way][str(size)] = round(2 * size**3 / best / 1e9, 2)
        return {"gflops": found, "best": max(max(one.values()) for one in found.values())}

    def _inputs(self, file: str) -> Any:
        from s2t2_cli.audio import SAMPLING_RATE, load_audio

        samples = load_audio(file).samples
        return self._translator.feature_extractor(samples, sampling_rate=SAMPLING_RATE, return_tensors="pt")[
            "input_values"
        ]


def packed_product(left: Any, right: Any) -> Callable[[], Any]:
    """The product in the block layout of oneDNN, which on some processors is the fastest there is."""
    import torch

    packed = torch.ops.mkldnn._reorder_linear_weight(right, left.shape[0])
    return lambda: torch.ops.mkldnn._linear_pointwise(left, packed, None, "none", [], "")


class Oracle:
    """transformers 4.40.2."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        import oracle

        oracle.quiet()
        torch.set_num_threads(options.threads)
        self._oracle, self._model = oracle, oracle.load(options.model)

    def clip(self, file: str, search: dict[str, Any]) -> dict[str, Any]:
        """As ours. The reference applies the bridge in every step of the search."""
        import torch

        inputs = self._oracle.features([self._oracle.samples_of(file)])["input_values"]
        with torch.no_grad():
            encoder, encoded = timed(lambda: self._model.encoder(inputs))
        seconds, ids = timed(lambda: self._model.generate(encoder_outputs=encoded, **search))
        return {"encoder": encoder, "search": seconds, "ids": ids[0].tolist()}

    def encode(self, file: str) -> dict[str, Any]:
        """Seconds in the encoder."""
        import torch

        inputs = self._oracle.features([self._oracle.samples_of(file)])["input_values"]
        with torch.no_grad():
            return {"seconds": timed(lambda: self._model.encoder(inputs))[0]}

    def folder(self, files: list[str], search: dict[str, Any], batch: int = 1) -> dict[str, Any]:
        """All files, sorted by length in batches of so many clips: seconds, ids by file."""
        started = time.perf_counter()
        clips = [self._oracle.samples_of(file) for file in files]
        order = sorted(range(len(clips)), key=lambda one: len(clips[one]), reverse=True)
        ids: dict[int, list[int]] = {}
        for first in range(0, len(order), batch):
            places = order[first : first + batch]
            inputs = self._oracle.features([clips[place] for place in places])
            found = self._model.generate(
                inputs["input_values"], attention_mask=inputs["attention_mask"], **search
            ).tolist()
            ids.update(zip(places, found, strict=True))
        seconds = time.perf_counter() - started
        settings = self._model.generation_config
        marks = {settings.pad_token_id, settings.eos_token_id}
        words = [[token for token in ids[place][1:] if token not in marks] for place in range(len(files))]
        return {"seconds": seconds, "ids": words}


class Whisper:
    """faster-whisper with 8-bit integers. It writes down what is said, and does not translate."""

    def __init__(self, options: argparse.Namespace) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(options.model), device="cpu", compute_type="int8", cpu_threads=options.threads)

    def folder(self, files: list[str], search: dict[str, Any]) -> dict[str, Any]:
        """All files one by one, as its README does it: seconds, and how many tokens it made of each."""
        started = time.perf_counter()
        ids = [
            [token for segment in self._model.transcribe(file, beam_size=search["num_beams"], language="en")[0]
             for token in segment.tokens]
            for file in files
        ]  # fmt: skip
        return {"seconds": time.perf_counter() - started, "ids": ids}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    """Answer until there are no more requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["ours", "oracle", "whisper"])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    side = {"ours": Ours, "oracle": Oracle, "whisper": Whisper}[options.side](options)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(side, request.pop("do"))(**request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
