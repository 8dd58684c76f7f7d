"""Hand hostile input to every place where a file of someone else enters the program (`make fuzz`).

    python scripts/fuzz.py [--target NAME …] [--seconds 120] [--seed 0] [--engine auto|mutate|atheris] [--keep DIR]

Each target runs in a process of its own, starting from tests/fuzz_corpus/TARGET and what earlier runs kept. Found is a
death of the process, an exception that is none of the package's own, a message that is not one sentence, more than
10 s of processor time or 600 MB for one input, and memory that each run of an input keeps. Inputs that do harm lie in
.cache/fuzz/TARGET/findings afterwards; a later run goes on where this one stopped. Exit status 1 if anything was found.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fuzzing.campaign import Campaign
from fuzzing.targets import PURE_PYTHON, TARGETS
from fuzzing.worker import Limits

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "fuzz_corpus"


@dataclass(frozen=True)
class Outcome:
    """What fuzzing one target came to."""

    target: str
    engine: str
    cases: int
    minutes: float
    kept: int
    findings: int


def run_mutations(target: str, folder: Path, seconds: float, seed: int) -> Outcome:
    """Our own changes to inputs, each in a watched process."""
    seeds = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    campaign = Campaign(f"fuzzing.targets:{target}", seeds, folder, limits=Limits(), seed=seed)
    cases, minutes, findings = campaign.state.cases, campaign.state.cpu_seconds, len(campaign.state.findings)
    campaign.run(seconds, tell=lambda line: print(f"{target}: {line}", file=sys.stderr, flush=True))
    state = campaign.state
    kept = sum(1 for _ in (folder / "corpus").iterdir())
    return Outcome(
        target, "mutate", state.cases - cases, (state.cpu_seconds - minutes) / 60, kept, len(state.findings) - findings
    )


def run_atheris(target: str, folder: Path, seconds: float, seed: int) -> Outcome:
    """libFuzzer under Atheris, begun again after each finding."""
    corpus, findings = folder / "corpus", folder / "findings"
    for one in (corpus, findings):
        one.mkdir(parents=True, exist_ok=True)
    cases = found = 0
    used_before = _children_seconds()
    end = time.monotonic() + seconds
    while (left := int(end - time.monotonic())) > 0:
        command = [sys.executable, "-m", "fuzzing.guided", target, str(corpus), str(CORPUS / target)]
        command += [f"-max_total_time={left}", f"-seed={seed + found + 1}", "-max_len=65536", "-print_final_stats=1"]
        command += ["-timeout=30", "-rss_limit_mb=3000", f"-artifact_prefix={findings}/"]
        run = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, errors="replace")
        stats = [line.split()[-1] for line in run.stderr.splitlines() if line.startswith("stat::number_of_executed")]
        cases += int(stats[-1]) if stats else 0
        if run.returncode == 0:
            break
        found += 1
        (findings / f"report-{seed}-{found}-{int(time.time())}.txt").write_text(run.stderr[-20_000:])
        print(f"{target}: {_last_words(run.stderr, run.returncode)}", file=sys.stderr, flush=True)
    minutes = (_children_seconds() - used_before) / 60
    state = folder / "atheris.json"
    before = json.loads(state.read_text()) if state.exists() else {"cases": 0, "cpu_seconds": 0.0, "findings": 0}
    state.write_text(
        json.dumps(
            {
                "cases": before["cases"] + cases,
                "cpu_seconds": before["cpu_seconds"] + 60 * minutes,
                "findings": before["findings"] + found,
            }
        )
    )
    return Outcome(target, "atheris", cases, minutes, sum(1 for _ in corpus.iterdir()), found)


def _last_words(text: str, status: int) -> str:
    lines = [line for line in text.splitlines() if "Error" in line or "ERROR" in line or "SUMMARY" in line]
    return lines[0] if lines else f"the fuzzer stopped with status {status}"


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


HEADER = f"{'target':<12} {'engine':<8} {'cases':>11} {'CPU min':>8} {'kept':>6} {'findings':>9}"


def line(outcome: Outcome) -> str:
    """What one target came to, under HEADER."""
    return (
        f"{outcome.target:<12} {outcome.engine:<8} {outcome.cases:>11,} {outcome.minutes:>8.1f} {outcome.kept:>6} "
        f"{outcome.findings:>9}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", choices=sorted(TARGETS), default=list(TARGETS), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=120.0, help="of processor time, for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["auto", "mutate", "atheris"], default="auto")
    parser.add_argument("--keep", type=Path, default=ROOT / ".cache" / "fuzz", metavar="DIR")
    options = parser.parse_args()
    has_atheris = importlib.util.find_spec("atheris") is not None
    if options.engine == "atheris" and not has_atheris:
        parser.error("Atheris is not installed; run: pip install 's2t2-cli[fuzz]'")
    findings = 0
    print(HEADER)
    for target in options.target:
        folder = options.keep / target
        is_guided = options.engine == "atheris" or (options.engine == "auto" and has_atheris and target in PURE_PYTHON)
        run = run_atheris if is_guided else run_mutations
        outcome = run(target, folder, options.seconds, options.seed)
        print(line(outcome), flush=True)
        findings += outcome.findings
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
