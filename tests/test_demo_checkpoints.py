"""The bundled checkpoints: what they say of spoken sentences, and what users are told of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli_run import Here
from s2t2_cli import Translator
from s2t2_cli.checkpoint import resolve_checkpoint
from s2t2_cli.checkpoint.bundled import BUNDLED
from s2t2_cli.evaluation import corpus_bleu

ROOT = Path(__file__).parents[1]
SPOKEN = ROOT / "tests" / "data" / "spoken"
SAMPLES = ROOT / "samples"
REFERENCE = json.loads((ROOT / "tests" / "golden" / "demo.json").read_text(encoding="utf-8"))


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.mark.parametrize("lang", ["de", "tr", "ca", "ar"])
def test_the_tokens_are_the_reference_s(lang: str) -> None:
    """On every fifth clip of those that `make parity` compares live."""
    names = sorted(REFERENCE[lang])[::5]
    translator = Translator.from_pretrained("demo", lang=lang)
    assert (translator.lang, translator.name) == (lang, f"demo-{lang}")
    results = translator.translate([SPOKEN / name for name in names])
    for name, result in zip(names, results, strict=True):
        assert list(result.tokens) == REFERENCE[lang][name], name


def test_german_of_unseen_sentences_in_unheard_voices_is_mostly_right() -> None:
    """A floor far below what docs/demo-checkpoints.md measures; random weights and mixed-up files are at 0."""
    chosen = rows(SPOKEN)[::2]
    results = Translator.from_pretrained("demo").translate([SPOKEN / row["audio_filepath"] for row in chosen])
    assert corpus_bleu([result.text for result in results], [row["de"] for row in chosen]).value > 40


@pytest.mark.parametrize("lang", ["de", "tr", "ca", "ar"])
def test_the_samples_come_out_right(s2t2: Here, lang: str) -> None:
    outcome = s2t2("translate", SAMPLES, "--model", "demo", "--lang", lang, "--quiet")
    assert outcome.status == 0
    said = dict(line.split("\t") for line in outcome.lines)
    assert said == {str(SAMPLES / row["audio_filepath"]): row[lang] for row in rows(SAMPLES)}


def test_the_name_wins_over_a_folder_that_dot_slash_reaches(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_checkpoint, tmp_path / "demo")
    assert resolve_checkpoint("demo").folder == BUNDLED["demo-de"].folder
    assert resolve_checkpoint("./demo").folder == Path("demo")


def test_list_and_info_say_what_they_are(s2t2: Here) -> None:
    lines = s2t2("models", "list").lines
    assert [line.split("\t")[0] for line in lines[1:5]] == list(BUNDLED)
    facts = json.loads(s2t2("models", "info", "demo-tr", "--json").out)
    assert facts["model"] == "demo-tr"
    assert "anything else" in facts["about"]["does not understand"]
    assert facts["parameters"] < 5_000_000


def test_all_four_fit_into_the_wheel() -> None:
    size = sum(path.stat().st_size for one in BUNDLED.values() for path in one.folder.iterdir())
    assert size < 40_000_000
