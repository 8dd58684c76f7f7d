"""The paper's ladder at small scale (`make recipe`): labelled data, + language model, + self-training, + both.

    python scripts/recipe.py DATA --work FOLDER [--seeds 1 2 3] [--docs docs/recipe.md]

DATA is a folder with train.jsonl (labelled), unlabelled.jsonl, valid.jsonl, test.jsonl, text.txt (the language model's)
and start/ (the Speech2Text2 checkpoint that teacher and student go on from); `make recipe` makes one.

Every step is one `s2t2` command, printed before it runs; a step whose output is there already is not run again, and one
that was killed goes on where it was. The table with signatures and confidence goes into the docs.

Knows: the steps and their settings. Does not know: how any of them works.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU

# A name that ends in -lm is the model of the name before it, with the language model in its search.
LADDER = {
    "labelled": "labelled data only",
    "labelled-lm": "+ language model in the search",
    "selftrained": "+ self-training",
    "selftrained-lm": "+ both: language model in the student's search",
    "lm-taught": "+ both: language model in the teacher's search",
    "lm-taught-lm": "+ both: language model in either search",
}
# Around the paper's weight of 0.1.
LM_WEIGHTS = (0.05, 0.1, 0.2)
MARK = "<!-- made by scripts/recipe.py -->"


class Ladder:
    """One run of the recipe in a folder of its own."""

    def __init__(self, data: Path, work: Path, options: argparse.Namespace) -> None:
        self._data, self._work, self._options = data, work, options
        work.mkdir(parents=True, exist_ok=True)

    def climb(self) -> tuple[dict[str, Any], dict[str, list[float]], list[tuple[float, float]]]:
        """All rungs for every seed: what `s2t2 evaluate` says of the test set, the weights of the language model
        that were chosen, by rung, and the intervals of the gains over the first rung."""
        self._language_model()
        outputs: dict[str, list[Path]] = {rung: [] for rung in LADDER}
        weights: dict[str, list[float]] = {rung: [] for rung in LADDER if rung.endswith("-lm")}
        for seed in self._options.seeds:
            self._finetune("labelled", seed)
            self._finetune("selftrained", seed, self._labels("pseudo", seed))
            weight = self._best_weight("labelled-lm", seed)
            labels = self._labels(f"pseudo-lm-{weight}", seed, *self._with_language_model(weight))
            self._finetune("lm-taught", seed, labels)
            for rung, made in outputs.items():
                best = None
                if rung in weights:
                    best = self._best_weight(rung, seed)
                    weights[rung].append(best)
                made.append(self._hypotheses(rung, seed, best, "test"))
        files = self._pooled(list(outputs.values()), "test")
        return self._evaluate(files), weights, gain_intervals(files, self._work / "pooled-references.txt")

    def _language_model(self) -> None:
        self._run(
            self._work / "lm.done",
            *("train-lm", self._data / "text.txt", "--lang", self._options.lang),
            *("--tokenizer", self._data / "start", "--output", self._work / "lm"),
            *("--decoder-layers", "3", "--d-model", "192", "--decoder-attention-heads", "4"),
            *("--decoder-ffn-dim", "768", "--max-updates", str(self._options.lm_updates), "--lr", "2e-3"),
            *("--update-tokens", "4096", "--validate-every", "100", "--schedule", "cosine"),
        )

    def _labels(self, name: str, seed: int, *more: str) -> Path:
        """What the teacher hears in the unlabelled recordings, beam 4 (paper section 2.2)."""
        return self._translate(f"labelled-{seed}", "unlabelled", f"{name}-{seed}", "--num-beams", "4", *more)

    def _finetune(self, name: str, seed: int, labels: Path | None = None) -> None:
        """Teacher and student go on from the same checkpoint, and differ in nothing but what they learn from."""
        manifests: list[object] = ["--train", self._data / "train.jsonl"]
        if labels is not None:
            manifests += ["--train", labels, "--upsample", "equal"]
        updates = self._options.updates
        self._run(
            self._work / f"{name}-{seed}.done",
            *("finetune", "--lang", self._options.lang, "--model", self._data / "start"),
            *(*manifests, "--valid", self._data / "valid.jsonl", "--audio-dir", self._data),
            *("--output", self._work / f"{name}-{seed}", "--seed", seed, "--max-updates", updates),
            *("--freeze-encoder-updates", "0", "--lr", "3e-4", "--schedule", "linear", "--update-seconds", "20"),
            *("--batch-seconds", "20", "--layerdrop", "0", "--mask-time-prob", "0.08"),
            *("--validate-every", max(1, updates // 4)),
        )

    def _translate(self, model: str, what: str, name: str, *more: str) -> Path:
        output = self._work / f"{name}.jsonl"
        unfinished = output.with_suffix(".part.jsonl")
        if not output.exists():
            self._run(
                output,
                *("translate", "--manifest", self._data / f"{what}.jsonl", "--model", self._work / model),
                *("--lang", self._options.lang, "--format", "jsonl", "--resume", "--output", unfinished, *more),
            )
            unfinished.replace(output)
            unfinished.with_name(f"{unfinished.name}.resume").unlink()
        return output

    def _hypotheses(self, rung: str, seed: int, weight: float | None, what: str) -> Path:
        model = rung.removesuffix("-lm")
        name = f"{what}-{rung}-{seed}" + ("" if weight is None else f"-{weight}")
        more = () if weight is None else self._with_language_model(weight)
        return self._translate(f"{model}-{seed}", what, name, *more)

    def _with_language_model(self, weight: float) -> tuple[str, ...]:
        return ("--lm", str(self._work / "lm"), "--lm-weight", str(weight))

    def _best_weight(self, rung: str, seed: int) -> float:
        """The weight of the language model with the best BLEU on the validation set."""

        def bleu(weight: float) -> float:
            files = self._pooled([[self._hypotheses(rung, seed, weight, "valid")]], "valid")
            return self._evaluate(files)["systems"][0]["scores"][0]["score"]  # type: ignore[no-any-return]

        return max(LM_WEIGHTS, key=bleu)

    def _pooled(self, systems: Sequence[Sequence[Path]], what: str) -> list[Path]:
        """One text file a system with the outputs of all seeds one after the other, and the references as often."""
        references = _field(self._data / f"{what}.jsonl", "text")
        files = []
        for number, outputs in enumerate(systems):
            files.append(self._work / f"pooled-{number}.txt")
            _write_lines(files[-1], [text for output in outputs for text in _field(output, "text")])
        _write_lines(self._work / "pooled-references.txt", references * len(systems[0]))
        return files

    def _evaluate(self, systems: Sequence[Path]) -> dict[str, Any]:
        """What `s2t2 evaluate --format json` says of pooled outputs."""
        references = self._work / "pooled-references.txt"
        command = ["evaluate", *systems, "--references", references, "--format", "json", "--quiet"]
        done = subprocess.run(_command(command), check=True, stdout=subprocess.PIPE, text=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def _run(self, made: Path, *arguments: object) -> None:
        """Run a command unless what it makes is there."""
        if made.exists():
            return
        command = _command(arguments)
        print("$", shlex.join(["s2t2", *command[3:]]), file=sys.stderr, flush=True)
        subprocess.run(command, check=True)
        if made.suffix == ".done":
            made.touch()


def _command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "s2t2_cli", *map(str, arguments)]


def _field(path: Path, name: str) -> list[Any]:
    return [json.loads(line).get(name, "") for line in path.read_text(encoding="utf-8").splitlines()]


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def gain_intervals(systems: Sequence[Path], references: Path, draws: int = 1000) -> list[tuple[float, float]]:
    """For each system after the first, the 95 % interval of its BLEU less the first's.

    What is drawn anew is sentences, each with all its outputs: those of several seeds and speakers are alike, and would
    make the interval too narrow if they counted as many sentences.
    """
    expected = references.read_text(encoding="utf-8").splitlines()
    places: dict[str, int] = {}
    clusters = [places.setdefault(reference, len(places)) for reference in expected]
    generator = np.random.default_rng(12345)
    drawn = generator.multinomial(len(places), np.full(len(places), 1 / len(places)), size=draws)
    scores = []
    for system in systems:
        statistics = np.zeros((len(places), 10))
        outputs = system.read_text(encoding="utf-8").splitlines()
        for cluster, output, reference in zip(clusters, outputs, expected, strict=True):
            one = BLEU(effective_order=True).sentence_score(output, [reference])
            statistics[cluster] += [*one.counts, *one.totals, one.sys_len, one.ref_len]
        sums = (drawn @ statistics).round().astype(int).tolist()
        scores.append(np.array([BLEU.compute_bleu(one[:4], one[4:8], one[8], one[9]).score for one in sums]))
    return [tuple(np.percentile(other - scores[0], (2.5, 97.5)).tolist()) for other in scores[1:]]


def table(
    result: dict[str, Any], seeds: int, weights: dict[str, list[float]], gains: Sequence[tuple[float, float]]
) -> str:
    """The ladder in Markdown; intervals are 95 % by bootstrap."""
    lines = ["| system | BLEU | chrF2 | BLEU gained, 95 % interval |", "|---|---|---|---|"]
    first = result["systems"][0]["scores"][0]["score"]
    for number, (name, system) in enumerate(zip(LADDER.values(), result["systems"], strict=True)):
        bleu, chrf = system["scores"]
        gained = ""
        if number > 0:
            low, high = gains[number - 1]
            gained = f"{bleu['score'] - first:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(f"| {name} | {_interval(bleu)} | {_interval(chrf)} | {gained} |")
    signatures = "; ".join(f"`{score['signature']}`" for score in result["systems"][0]["scores"])
    pooled = "1 seed" if seeds == 1 else f"{seeds} seeds pooled"
    searched = "; ".join(", ".join(map(str, weights[rung])) for rung in LADDER if rung in weights)
    counted = f"{result['utterances']} sentences ({pooled})"
    note = f"{counted}; weights of the language model, by row and seed: {searched}. {signatures}"
    return "\n".join([*lines, "", note, ""])


def _interval(score: dict[str, Any]) -> str:
    return f"{score['score']:.1f} ± {score['half_width']:.1f}"


def main() -> None:
    """Climb, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="models, translations and logs go here")
    parser.add_argument("--lang", default="de")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--updates", type=int, default=500, help="of teachers and students")
    parser.add_argument("--lm-updates", type=int, default=400)
    parser.add_argument("--docs", type=Path, help="Markdown file whose marked part becomes the table")
    options = parser.parse_args()
    ladder = Ladder(options.data, options.work, options)
    result, weights, gains = ladder.climb()
    text = table(result, len(options.seeds), weights, gains)
    print(text)
    if options.docs is not None:
        before, _, rest = options.docs.read_text(encoding="utf-8").partition(MARK)
        _, _, after = rest.partition(MARK)
        options.docs.write_text(f"{before}{MARK}\n\n{text}\n{MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
