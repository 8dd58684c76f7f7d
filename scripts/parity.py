"""Compare this package with the reference, live, over many random configurations (`make parity`).

    python scripts/parity.py [--cases 80] [--keep FOLDER] [--only NAME …]

Ours runs here, the reference in `.venv-oracle` (transformers 4.40.2). Each configuration translates real clips of
different lengths one by one and as one batch. Asked for: the same tokens, scores and encoder states within 1e-4
(relative to the score where a negative length penalty makes it large: float32 does not resolve 1e-4 of 2,000). Where
the reference says one thing of a clip alone and another in the batch, one of the two is asked for, and it is counted.
Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_cases import cases
from s2t2_cli import SpeechEncoderDecoderModel, Wav2Vec2FeatureExtractor
from s2t2_cli.audio import load_audio

ROOT = Path(__file__).resolve().parent.parent
ORACLE = ROOT / ".venv-oracle" / "bin" / "python"
TOLERANCE = 1e-4


def clip_files() -> list[Path]:
    """Real recordings of different lengths that lie in the repository."""
    files = (ROOT / "tests" / "data").glob("*.wav")
    return sorted(files, key=lambda one: one.stat().st_size)


def ask_oracle(request: dict[str, Any], folder: Path) -> None:
    """Run the reference on a request, its progress going to our standard error."""
    if not ORACLE.exists():
        sys.exit("parity: there is no .venv-oracle; `make parity` builds it")
    file = folder / "request.json"
    file.write_text(json.dumps(request))
    subprocess.run([ORACLE, ROOT / "scripts" / "oracle.py", file], check=True)


def compare(
    folder: Path,
    clips: list[np.ndarray],
    batches: list[list[int]],
    expected: Any,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Our outputs against the oracle's for one checkpoint: whether tokens agree, and the largest differences."""
    model = SpeechEncoderDecoderModel.from_pretrained(folder, dtype=torch.float32)
    model.generation_config = model.generation_config.replace(**settings or {})
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    found: dict[str, Any] = {
        "tokens": 0,
        "sequences": 0,
        "same": 0,
        "contradicted": 0,
        "score": 0.0,
        "encoder": 0.0,
        "logits": 0.0,
    }
    each = model.generation_config.num_return_sequences
    answers = reference_answers(expected, batches, each)
    for number, batch in enumerate(batches):
        inputs = extractor([clips[one] for one in batch], sampling_rate=16_000, padding=True, return_tensors="pt")
        encoded = model.encode(inputs.input_values, inputs.attention_mask)
        output = model.generate(encoder_outputs=encoded, return_dict_in_generate=True)
        wanted = {name: expected[f"{number}/{name}"] for name in ("sequences", "encoder", "logits")}
        found["sequences"] += len(wanted["sequences"])
        found["tokens"] += int((wanted["sequences"] != 1).sum())
        scores = np.split(output.sequences_scores.numpy(), len(batch))
        for clip, ours, ours_scores in zip(batch, by_clip(output.sequences.numpy(), each), scores, strict=True):
            said = answers[clip][number]
            if ours != said.sequences:
                said = next((other for other in answers[clip].values() if other.sequences == ours), said)
            found["contradicted"] += said is not answers[clip][number]
            found["same"] += sum(one == other for one, other in zip(ours, said.sequences, strict=True))
            if said.scores is not None:
                gap = np.abs(ours_scores - said.scores) / np.maximum(1, np.abs(said.scores))
                found["score"] = max(found["score"], float(gap.max()))
        found["encoder"] = max(found["encoder"], difference(encoded.last_hidden_state, wanted["encoder"], encoded))
        start = torch.from_numpy(wanted["sequences"][::each, :-1])
        with torch.no_grad():
            logits = model(encoder_outputs=encoded, decoder_input_ids=start).logits[:, -1].numpy()
        found["logits"] = max(found["logits"], float(np.abs(logits - wanted["logits"]).max()))
    return found


@dataclass(frozen=True)
class Answer:
    """What the reference says of one clip: its hypotheses without padding, and their scores if it has any."""

    sequences: list[list[int]]
    scores: np.ndarray | None


def reference_answers(expected: Any, batches: list[list[int]], each: int) -> dict[int, dict[int, Answer]]:
    """By clip and number of the batch.

    Where the reference says one thing of a clip alone and another in company, it stands before a near tie that it
    settles by rounding, and so may we, on processors that round in another order: either of its own answers will do.
    """
    answers: dict[int, dict[int, Answer]] = {}
    for number, batch in enumerate(batches):
        name = f"{number}/scores"
        scores = np.split(expected[name], len(batch)) if name in expected else [None] * len(batch)
        for clip, sequences, score in zip(batch, by_clip(expected[f"{number}/sequences"], each), scores, strict=True):
            answers.setdefault(clip, {})[number] = Answer(sequences, score)
    return answers


def other_answers(count: int) -> str:
    """What is added to a report where ours was the reference's answer in the other batch."""
    return f"; answered as the reference does in another batch: {count}" if count else ""


def by_clip(sequences: np.ndarray, each: int) -> list[list[list[int]]]:
    """(clips * each, length) ids -> for each clip its sequences, without the padding behind them."""
    rows = [row[: int(np.flatnonzero(row != 1).max()) + 1].tolist() for row in sequences]
    return [rows[first : first + each] for first in range(0, len(rows), each)]


def difference(states: torch.Tensor, wanted: np.ndarray, encoded: Any) -> float:
    """Largest difference over the real frames; what stands in the padding is never looked at."""
    gap = np.abs(states.detach().numpy() - wanted)
    if encoded.attention_mask is not None:
        gap = gap[encoded.attention_mask.numpy()]
    return float(gap.max())


def passes(found: dict[str, Any]) -> bool:
    """Whether a case meets the promise."""
    near = found["score"] <= TOLERANCE and found["encoder"] <= TOLERANCE and found["logits"] <= 10 * TOLERANCE
    return near and found["same"] == found["sequences"] > 0


def main() -> None:
    """Make the checkpoints, run both, print a line a case and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=80, help="how many configurations (default 80)")
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument(
        "--keep", type=Path, help="keep the reference's results in this folder, and use those already there"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    chosen = cases(random_cases=max(0, options.cases - len(cases(0))))[: options.cases]
    if options.only:
        chosen = [case for case in chosen if case["name"] in options.only]
    clips = [load_audio(file).samples for file in clip_files()]
    batches = [[one] for one in range(len(clips))] + [list(range(len(clips)))]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "clips.npz", **{f"{number:03d}": clip for number, clip in enumerate(clips)})
        jobs = [
            {
                "case": case,
                "folder": str(folder / case["name"]),
                "batches": batches,
                "out": str(folder / f"{case['name']}.npz"),
            }
            for case in chosen
        ]
        missing = [job for job in jobs if not Path(job["out"]).exists()]
        if missing:
            ask_oracle({"clips": str(folder / "clips.npz"), "jobs": missing}, folder)
        failed, tokens, sequences, same, contradicted = [], 0, 0, 0, 0
        for case, job in zip(chosen, jobs, strict=True):
            found = compare(Path(job["folder"]), clips, batches, np.load(job["out"]))
            tokens, sequences = tokens + found["tokens"], sequences + found["sequences"]
            same, contradicted = same + found["same"], contradicted + found["contradicted"]
            verdict = "same" if passes(found) else "DIFFERS"
            print(
                f"{case['name']:32} {verdict:8} {found['same']}/{found['sequences']} sequences"
                f"  score {found['score']:.1e}  encoder {found['encoder']:.1e}  logits {found['logits']:.1e}"
            )
            if not passes(found):
                failed.append(case["name"])
    print(
        f"{len(chosen)} configurations, {len(clips)} clips one by one and batched: "
        f"{same} of {sequences} sequences identical ({tokens} tokens), {len(failed)} configurations differ"
        f"{other_answers(contradicted)}"
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
