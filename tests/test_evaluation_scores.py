"""Scores are those of the sacrebleu program, digit for digit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluation_fixtures import BETTER, REFERENCES, WORSE, write_lines
from s2t2_cli.errors import UsageError
from s2t2_cli.evaluation import ScoreSettings, corpus_bleu, corpus_chrf, score_systems, sentence_scores
from s2t2_cli.evaluation.scores import PairedTest

WIDTH = 8  # digits behind the point that are compared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "ref", REFERENCES)
    write_lines(tmp_path / "worse", WORSE)
    write_lines(tmp_path / "better", BETTER)
    return tmp_path


def sacrebleu(folder: Path, *arguments: str, seed: str | None = None) -> str:
    """What the program prints about these files."""
    command = [sys.executable, "-m", "sacrebleu", "ref", *arguments, "-w", str(WIDTH)]
    environment = os.environ | ({} if seed is None else {"SACREBLEU_SEED": seed})
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, timeout=100)
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ((), ScoreSettings(bootstrap=200)),
        (("-lc", "--tok", "intl"), ScoreSettings(lowercase=True, tokenize="intl", bootstrap=200)),
        (("--tok", "char"), ScoreSettings(tokenize="char", bootstrap=200)),
    ],
)
def test_scores_intervals_and_signatures_are_those_of_the_program(
    folder: Path, arguments: tuple[str, ...], settings: ScoreSettings
) -> None:
    options = ("-i", "worse", "-m", "bleu", "chrf", "--confidence", "--confidence-n", "200")
    if "-lc" in arguments:
        options += ("--chrf-lowercase",)
    theirs: list[dict[str, Any]] = json.loads(sacrebleu(folder, *options, *arguments))
    ours = score_systems([WORSE], REFERENCES, settings)[0]
    for expected, score in zip(theirs, ours, strict=True):
        assert score.interval is not None
        assert (score.name, score.signature) == (expected["name"], expected["signature"])
        assert round(score.value, WIDTH) == expected["score"]
        assert round(score.interval.mean, WIDTH) == expected["confidence_mean"]
        assert round(score.interval.half_width, WIDTH) == expected["confidence_var"]
    precisions = "/".join(f"{one:.1f}" for one in ours[0].details["precisions"])
    assert theirs[0]["verbose_score"].startswith(f"{precisions} (BP = {ours[0].details['brevity_penalty']:.3f} ")


@pytest.mark.parametrize(
    ("paired", "options", "bootstrap"),
    [
        ("bootstrap", ("--paired-bs", "--paired-bs-n", "200"), 200),
        ("randomisation", ("--paired-ar", "--paired-ar-n", "300"), 0),
    ],
)
@pytest.mark.parametrize("seed", [None, 7])
def test_paired_tests_are_those_of_the_program(
    folder: Path, paired: PairedTest, options: tuple[str, ...], bootstrap: int, seed: int | None
) -> None:
    # The program's JSON cannot hold the numbers of its own paired bootstrap; its table can.
    table = sacrebleu(
        folder, "-i", "worse", "better", "-m", "bleu", "chrf", *options, "-f", "text",
        seed=None if seed is None else str(seed),
    )  # fmt: skip
    settings = ScoreSettings(bootstrap=bootstrap, paired=paired, trials=300, seed=seed)
    first, second = score_systems([WORSE, BETTER], REFERENCES, settings)
    for baseline, compared in zip(first, second, strict=True):
        for score in (baseline, compared):
            shown = f"{score.value:.{WIDTH}f}"
            if score.interval is not None:
                shown += f" ({score.interval.mean:.{WIDTH}f} ± {score.interval.half_width:.{WIDTH}f})"
            assert shown in table
        assert baseline.p_value is None
        assert compared.p_value is not None
        assert f"(p = {compared.p_value:.4f})" in table
        assert baseline.signature == compared.signature
        # At its end the program spells the signature over several lines.
        facts = set(re.findall(r"\b[a-z]+:\w[\w.]*", table))
        assert set(compared.signature.split("|")) <= facts


def test_sentences_are_those_of_the_program(folder: Path) -> None:
    lines = sacrebleu(folder, "-i", "worse", "-m", "bleu", "--sentence-level", "-b").split()
    found = list(sentence_scores(WORSE, REFERENCES))
    assert [f"{bleu:.{WIDTH}f}" for bleu, _ in found] == lines
    lines = sacrebleu(folder, "-i", "worse", "-m", "chrf", "--sentence-level", "-b").split()
    assert [f"{chrf:.{WIDTH}f}" for _, chrf in found] == lines


def test_the_short_ways_are_the_same_scores() -> None:
    bleu, chrf = score_systems([BETTER], REFERENCES)[0]
    assert (corpus_bleu(BETTER, REFERENCES), corpus_chrf(BETTER, REFERENCES)) == (bleu, chrf)
    assert corpus_bleu(REFERENCES, REFERENCES).value == pytest.approx(100)


def test_the_variable_of_the_seed_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "99")
    (found,), (other,) = (
        score_systems([WORSE], REFERENCES, ScoreSettings(bootstrap=50, seed=seed)) for seed in (None, 7)
    )
    assert ("seed:99" in found[0].signature, "seed:7" in other[0].signature) == (True, True)
    assert os.environ["SACREBLEU_SEED"] == "99"
    monkeypatch.delenv("SACREBLEU_SEED")
    score_systems([WORSE], REFERENCES, ScoreSettings(bootstrap=50, seed=7))
    assert "SACREBLEU_SEED" not in os.environ


@pytest.mark.parametrize(
    ("hypotheses", "references", "sentence"),
    [
        (["a"], [], "1 hypotheses cannot be scored with 0 references"),
        ([], [], "there is nothing to score"),
    ],
)
def test_what_cannot_be_scored_is_refused(hypotheses: list[str], references: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        corpus_bleu(hypotheses, references)


@pytest.mark.parametrize(("settings", "sentence"), [({"bootstrap": 1}, "give no interval"), ({"seed": 0}, "use 1 or")])
def test_settings_without_sense_are_refused(settings: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ScoreSettings(**settings)
