"""`s2t2 evaluate`: what is printed, written, said, and with which status it ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli_run import COMMAND, Here, spawn
from evaluation_fixtures import BETTER, REFERENCES, WORSE, record, write_lines, write_rows
from s2t2_cli.evaluation import ScoreSettings, score_systems

QUICK = ("--bootstrap", "50")


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `refs.jsonl`, what two systems made of it, and all of them as plain text."""
    monkeypatch.chdir(tmp_path)
    names = [f"clips/{number}.wav" for number in range(len(REFERENCES))]
    write_rows(
        Path("refs.jsonl"),
        [{"audio_filepath": name, "text": text} for name, text in zip(names, REFERENCES, strict=True)],
    )
    for name, texts in (("worse", WORSE), ("better", BETTER)):
        rows = [record(name, text) for name, text in zip(names, texts, strict=True)]
        write_rows(Path(f"{name}.jsonl"), rows[::-1])
        write_lines(Path(f"{name}.txt"), texts)
    write_lines(Path("refs.txt"), REFERENCES)
    return tmp_path


@pytest.fixture
def recordings(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a split of CoVoST 2 with two clips, and a third that is not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "en" / "clips").mkdir(parents=True)
    rows = ["path\tsentence\ttranslation\tclient_id"]
    for number in (1, 2):
        shutil.copy(clip, tmp_path / "en" / "clips" / f"{number}.mp3")
        rows.append(f'{number}.mp3\tGo.\t\\"Geh\\" {number} Meter.\tx')
    Path("en/test.tsv").write_text("\n".join(rows) + "\n")
    Path("en/more.tsv").write_text("\n".join([*rows, "3.mp3\tNo.\tNein.\tx"]) + "\n")
    return tmp_path


def table(text: str) -> list[dict[str, str]]:
    """The lines by the names of their columns."""
    head, *lines = (line.split("\t") for line in text.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


class TestScores:
    def test_a_line_for_each_metric(self, s2t2: Here, folder: Path) -> None:
        outcome = s2t2("evaluate", "worse.jsonl", "--references", "refs.jsonl", *QUICK)
        assert (outcome.status, outcome.err) == (0, "")
        bleu, chrf = table(outcome.out)
        (expected, _), *_ = score_systems([WORSE], REFERENCES, ScoreSettings(bootstrap=50))
        assert expected.interval is not None
        assert bleu == {
            "system": "worse.jsonl",
            "metric": "BLEU",
            "score": f"{expected.value:.2f}",
            "mean": f"{expected.interval.mean:.2f}",
            "half_width": f"{expected.interval.half_width:.2f}",
            "p_value": "",
            "utterances": str(len(REFERENCES)),
            "failed": "0",
            "normalization": "",
            "signature": expected.signature,
        }
        assert chrf["metric"] == "chrF2"

    def test_plain_text_gives_the_same(self, s2t2: Here, folder: Path) -> None:
        named = s2t2("evaluate", "worse.jsonl", "--references", "refs.jsonl", *QUICK).out
        plain = s2t2("evaluate", "worse.txt", "--references", "refs.txt", *QUICK).out
        assert plain == named.replace("worse.jsonl", "worse.txt")

    def test_further_systems_are_tested_against_the_first(self, s2t2: Here, folder: Path) -> None:
        outcome = s2t2("evaluate", "worse.jsonl", "better.jsonl", "--references", "refs.jsonl", *QUICK)
        first, _, second, _ = table(outcome.out)
        assert (first["p_value"], float(second["p_value"]) < 0.05) == ("", True)
        outcome = s2t2(
            "evaluate", "worse.txt", "better.txt", "--references", "refs.txt", "--paired", "randomisation",
            "--trials", "100", "--bootstrap", "0", "--seed", "3",
        )  # fmt: skip
        assert "|ar:100|seed:3|" in table(outcome.out)[2]["signature"]
        outcome = s2t2("evaluate", "worse.txt", "better.txt", "--references", "refs.txt", "--paired", "none", *QUICK)
        assert [line["p_value"] for line in table(outcome.out)] == [""] * 4

    def test_json_has_everything_in_full(self, s2t2: Here, folder: Path) -> None:
        outcome = s2t2(
            "evaluate", "worse.jsonl", "better.jsonl", "--references", "refs.jsonl", "--format", "json", *QUICK
        )
        found = json.loads(outcome.out)
        settings = ScoreSettings(bootstrap=50, paired="bootstrap")
        for system, scores in zip(found["systems"], score_systems([WORSE, BETTER], REFERENCES, settings), strict=True):
            for one, expected in zip(system["scores"], scores, strict=True):
                assert (one["score"], one["p_value"]) == (expected.value, expected.p_value)
        assert found["settings"]["tokenize"] == "13a"
        assert found["sentences"][0]["reference"] == REFERENCES[0]
        assert [said["text"] for said in found["sentences"][0]["hypotheses"]] == [WORSE[0], BETTER[0]]

    def test_for_people_it_is_a_table_with_signatures_below(
        self, s2t2: Here, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s2t2_cli.cli.scores.is_for_people", lambda: True)
        options = ("--references", "refs.jsonl", "--ignore-case", *QUICK)
        head, first, second, _, count, before, bleu, chrf = s2t2(
            "evaluate", "worse.jsonl", "better.jsonl", *options
        ).lines
        assert head.split() == ["system", "BLEU", "chrF2"]
        assert first.startswith("worse.jsonl   ")
        assert second.count(" p = 0.0") == 2
        assert {line.index("(μ = ") for line in (first, second)} == {first.index("(μ = ")}
        assert (count, before) == (f"{len(REFERENCES)} utterances", "before scoring: lower-cased")
        assert bleu.startswith("BLEU   nrefs:1|bs:50|")
        assert chrf.startswith("chrF2  nrefs:1|bs:50|")

    def test_case_and_punctuation_can_be_ignored(self, s2t2: Here, folder: Path) -> None:
        write_lines(Path("loud.txt"), [text.upper().replace(".", " !") for text in REFERENCES])
        options = ("evaluate", "loud.txt", "--references", "refs.txt", "--bootstrap", "0")
        strict, _ = table(s2t2(*options).out)
        loose, _ = table(s2t2(*options, "--ignore-case", "--ignore-punctuation").out)
        assert float(strict["score"]) < 50
        assert float(loose["score"]) > 90  # but not 100: upper() made SS of ß
        assert loose["normalization"] == "lower-cased, punctuation made spaces"
        lowered, _ = table(s2t2(*options, "--lowercase", "--tokenize", "intl").out)
        assert "case:lc|eff:no|tok:intl" in lowered["signature"]

    def test_raw_text(self, s2t2: Here, folder: Path) -> None:
        raw = s2t2("evaluate", "better.jsonl", "--references", "refs.jsonl", "--raw", "--bootstrap", "0")
        assert float(table(raw.out)[0]["score"]) < float(
            table(s2t2("evaluate", "better.jsonl", "--references", "refs.jsonl", "--bootstrap", "0").out)[0]["score"]
        )


class TestGaps:
    def test_what_failed_or_is_missing_is_told_and_counted(self, s2t2: Here, folder: Path) -> None:
        rows = [json.loads(line) for line in Path("better.jsonl").read_text().splitlines()]
        rows[0] = record(rows[0]["audio_filepath"], None)
        write_rows(Path("gaps.jsonl"), rows[:-5])
        options = ("evaluate", "gaps.jsonl", "--references", "refs.jsonl", "--bootstrap", "0")
        outcome = s2t2(*options)
        assert outcome.status == 1
        assert outcome.messages == [
            f"s2t2: gaps.jsonl: 1 not translated, scored as empty: clips/{len(REFERENCES) - 1}.wav",
            "s2t2: gaps.jsonl: 5 without a hypothesis, scored as empty: clips/0.wav, clips/1.wav, clips/2.wav,"
            " and 2 more",
        ]
        whole, _ = table(outcome.out)
        assert (whole["failed"], whole["utterances"]) == ("6", str(len(REFERENCES)))
        outcome = s2t2(*options, "--exclude-failed", "--quiet")
        assert (outcome.status, outcome.err) == (1, "")
        part, _ = table(outcome.out)
        assert (part["failed"], part["utterances"]) == ("0", str(len(REFERENCES) - 6))
        assert float(part["score"]) > float(whole["score"])

    def test_rows_too_many_are_a_remark(self, s2t2: Here, folder: Path) -> None:
        with Path("better.jsonl").open("a") as file:
            file.write(json.dumps(record("clips/0.wav", "twice")) + "\n" + json.dumps(record("new.wav", "new")) + "\n")
        outcome = s2t2("evaluate", "better.jsonl", "--references", "refs.jsonl", "--bootstrap", "0")
        assert outcome.status == 0
        assert outcome.messages == [
            "s2t2: better.jsonl: 1 named more than once, one row counts: clips/0.wav",
            "s2t2: better.jsonl: 1 without a reference, not scored: new.wav",
        ]

    def test_the_password_of_an_address_is_not_shown(self, s2t2: Here, folder: Path) -> None:
        name = "https://ann:secret@example.org/a.wav"
        with Path("refs.jsonl").open("a") as file:
            file.write(json.dumps({"audio_filepath": name, "text": "Ja."}) + "\n")
        outcome = s2t2("evaluate", "better.jsonl", "--references", "refs.jsonl", "--bootstrap", "0")
        assert outcome.messages == [
            "s2t2: better.jsonl: 1 without a hypothesis, scored as empty: https://example.org/a.wav"
        ]

    def test_nothing_but_failures_scores_zero(self, s2t2: Here, folder: Path) -> None:
        write_rows(Path("none.jsonl"), [record(f"clips/{number}.wav", None) for number in range(len(REFERENCES))])
        outcome = s2t2("evaluate", "none.jsonl", "--references", "refs.jsonl", *QUICK)
        assert (outcome.status, [line["score"] for line in table(outcome.out)]) == (1, ["0.00", "0.00"])


class TestOnTheSpot:
    def test_a_manifest_is_translated_and_scored(
        self, s2t2: Here, recordings: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = ("--model", tiny_checkpoint, "--num-beams", "2", "--max-new-tokens", "8")
        options = ("--manifest", "en/test.tsv", *model)
        now = s2t2("evaluate", *options, "--save-translations", "now.jsonl", "--format", "json", *QUICK)
        assert now.status == 0
        then = s2t2("translate", *options, "--format", "jsonl", "--output", "then.jsonl")
        assert then.status == 0
        assert Path("now.jsonl").read_text() == Path("then.jsonl").read_text()
        for references in ((), ("--references", "en/test.tsv")):
            later = s2t2("evaluate", "then.jsonl", *references, "--format", "json", *QUICK)
            now_scores, later_scores = (json.loads(one.out)["systems"][0]["scores"] for one in (now, later))
            assert now_scores == later_scores
        assert json.loads(now.out)["sentences"][0]["reference"] == '"Geh" 1 Meter.'

    def test_models_are_compared_with_files_and_each_other(
        self, s2t2: Here, recordings: Path, tiny_checkpoint: Path
    ) -> None:
        write_rows(Path("old.jsonl"), [record(f"clips/{number}.mp3", f"Geh {number} Meter.") for number in (1, 2)])
        model = ("--model", tiny_checkpoint) * 2
        outcome = s2t2("evaluate", "old.jsonl", "--manifest", "en/test.tsv", *model, "--max-new-tokens", "4", *QUICK)
        names = [line["system"] for line in table(outcome.out)][::2]
        assert names == ["old.jsonl", str(tiny_checkpoint), f"{tiny_checkpoint} (2)"]

    def test_a_recording_that_is_not_there_is_scored_as_empty(
        self, s2t2: Here, recordings: Path, tiny_checkpoint: Path
    ) -> None:
        options = ("--model", tiny_checkpoint, "--max-new-tokens", "4", "--bootstrap", "0")
        outcome = s2t2("evaluate", "--manifest", "en/more.tsv", *options)
        assert outcome.status == 1
        assert table(outcome.out)[0]["failed"] == "1"
        assert "s2t2: there is no file clips/3.mp3, named in line 4 of en/more.tsv" in outcome.messages
        assert outcome.messages[-1].endswith("1 not translated, scored as empty: clips/3.mp3")

    def test_clips_can_lie_elsewhere(self, s2t2: Here, recordings: Path, tiny_checkpoint: Path) -> None:
        shutil.move("en/clips", "mp3")
        options = ("--audio-dir", "mp3", "--model", tiny_checkpoint, "--max-new-tokens", "4")
        assert s2t2("evaluate", "--manifest", "en/test.tsv", *options, "--bootstrap", "0").status == 0
        outcome = s2t2("translate", "--manifest", "en/test.tsv", *options)
        assert [line.split("\t")[0] for line in outcome.lines] == ["1.mp3", "2.mp3"]

    def test_what_does_not_go_together_is_known_before_anything_is_translated(
        self, s2t2: Here, recordings: Path, tiny_checkpoint: Path
    ) -> None:
        Path("bare.jsonl").write_text('{"audio_filepath": "en/clips/1.mp3"}\n')
        options = ("--model", tiny_checkpoint, "--save-translations", "out.jsonl")
        outcome = s2t2("evaluate", "--manifest", "bare.jsonl", *options)
        assert (outcome.status, Path("out.jsonl").exists()) == (2, False)
        assert "--reference-field NAME" in outcome.err
        write_lines(Path("old.txt"), ["one line too many", "or two", "or three"])
        outcome = s2t2("evaluate", "old.txt", "--manifest", "en/test.tsv", *options)
        assert (outcome.status, Path("out.jsonl").exists()) == (2, False)
        assert "old.txt has 3 hypotheses for the 2 references of en/test.tsv" in outcome.err

    def test_only_the_split_is_translated(self, s2t2: Here, recordings: Path, tiny_checkpoint: Path) -> None:
        Path("en/all.tsv").write_text("path\ttranslation\tsplit\n1.mp3\tJa.\ttest\n3.mp3\tNein.\ttrain\n")
        options = ("--model", tiny_checkpoint, "--max-new-tokens", "4", "--bootstrap", "0")
        outcome = s2t2("evaluate", "--manifest", "en/all.tsv", "--split", "test", *options)
        assert (outcome.status, table(outcome.out)[0]["utterances"]) == (0, "1")
        outcome = s2t2("evaluate", "--manifest", "en/all.tsv", "--split", "dev", *options)
        assert outcome.messages == ["s2t2: there is nothing to translate in en/all.tsv of the split dev"]

    def test_a_pipe_from_translate(self, s2t2: Here, recordings: Path, tiny_checkpoint: Path) -> None:
        options = ("--model", tiny_checkpoint, "--max-new-tokens", "4", "--format", "jsonl")
        translations = s2t2("translate", "en/clips", *options).out.encode()
        done = spawn("evaluate", "-", "--references", "en/test.tsv", *QUICK, input=translations)
        assert done.returncode == 0
        assert table(done.stdout.decode())[0]["system"] == "standard input"
        assert done.stderr.decode().startswith("s2t2: standard input: 2 found by the end of the path alone: clips/1")


class TestReport:
    def test_it_is_written_beside_the_scores(self, s2t2: Here, recordings: Path) -> None:
        write_rows(Path("hyp.jsonl"), [record(f"clips/{number}.mp3", "Geh.") for number in (1, 2)])
        options = ("evaluate", "hyp.jsonl", "--references", "en/test.tsv", *QUICK)
        plain = s2t2(*options)
        outcome = s2t2(*options, "--report", "report.html")
        assert outcome == plain
        page = Path("report.html").read_text("utf-8")
        assert page.count('src="data:audio/webm') == 2
        s2t2(*options, "--report", "report.html", "--no-audio")
        assert "data:audio" not in Path("report.html").read_text("utf-8")
        s2t2(*options, "--report", "report.html", "--report-audio-limit", "0.001")
        assert Path("report.html").read_text("utf-8").count('src="data:audio') == 1


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ("", "name a file of translations: s2t2 evaluate hyp.jsonl --references refs.jsonl"),
            ("no.jsonl --references refs.jsonl", "there is no file no.jsonl"),
            ("worse.jsonl", "worse.jsonl holds translations and no references; name the file that has them"),
            ("worse.jsonl --references no.tsv", "there is no file no.tsv"),
            ("worse.txt --references refs.jsonl --split test", "no row of refs.jsonl has 'test' as its split"),
            ("worse.jsonl --references refs.jsonl --reference-field de", "no row of refs.jsonl has a de"),
            ("worse.jsonl --model x", "--model and --save-translations need recordings to translate"),
            ("--manifest refs.jsonl", "--manifest is translated: say with --model or --lang by what"),
            ("--manifest refs.jsonl --model no/such/folder", "no/such/folder"),
            ("--manifest refs.jsonl --model a --model b --save-translations x", "give one --model"),
            ("--manifest refs.jsonl --model a --lm-weight 1", "--lm-weight is the weight of a language model"),
            ("- --references -", "standard input can be read only once"),
            ("worse.jsonl --references refs.jsonl --report refs.jsonl", "would overwrite the input refs.jsonl"),
            ("worse.jsonl --references refs.jsonl --report no/x.html", "make it first: mkdir -p no"),
            ("worse.jsonl --references refs.jsonl --bootstrap 1", "1 resamples give no interval"),
            ("worse.jsonl --references refs.jsonl --tokenize moses", "'moses' is not one of '13a', 'intl', 'char'"),
        ],
    )
    def test_a_mistake_is_one_sentence_and_status_2(
        self, s2t2: Here, folder: Path, arguments: str, sentence: str
    ) -> None:
        outcome = s2t2("evaluate", *arguments.split())
        assert (outcome.status, outcome.out) == (2, "")
        assert sentence in outcome.messages[0]

    def test_files_are_scored_without_torch(self, folder: Path) -> None:
        script = (
            "import sys; from s2t2_cli.cli.app import run\n"
            "status = run(['evaluate', 'worse.jsonl', '--references', 'refs.jsonl', '--bootstrap', '0'])\n"
            "sys.exit(status or bool({'torch', 'av', 'jinja2'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=100)
        assert (done.returncode, done.stderr) == (0, b"")

    def test_a_closed_pipe_ends_quietly(self, folder: Path) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        command = [*COMMAND, "evaluate", "worse.jsonl", "--references", "refs.jsonl", "--bootstrap", "0"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=100)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")
