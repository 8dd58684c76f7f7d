"""Help, usage errors and everything else that needs no model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli_run import COMMAND, Here, spawn
from s2t2_cli import __version__
from s2t2_cli.cli.app import COMMANDS, program

ROOT = Path(__file__).parents[1]


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with recordings nobody will decode."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav", "rec/c.mp3", "rec/deep/d.flac"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


class TestHelp:
    def test_alone_it_shows_its_help(self, s2t2: Here) -> None:
        outcome = s2t2()
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out == s2t2("--help").out
        assert "s2t2 translate talk.mp3 --lang de" in outcome.out

    def test_the_version(self, s2t2: Here) -> None:
        assert s2t2("--version").out == f"s2t2 {__version__}\n"

    def test_options_stand_in_panels_within_80_columns(self, s2t2: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        lines = s2t2("translate", "--help").lines
        panels = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
        assert panels == ["Input", "Model", "Search", "Output", "Machine", "Options"]
        assert max(map(len, lines)) <= 80
        assert "  ffmpeg -i talk.mkv -f wav - | s2t2 translate - --lang ar" in [line[2:] for line in lines]

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_help(self, s2t2: Here, name: str) -> None:
        assert s2t2(name, "--help").out.startswith(f"Usage: s2t2 {name} ")

    def test_the_list_of_commands_says_what_translate_says_of_itself(self) -> None:
        translate = program().get_command(None, "translate")
        assert translate.get_short_help_str(limit=100) == COMMANDS["translate"]

    def test_the_reference_in_the_docs_is_up_to_date(self) -> None:
        check = subprocess.run(
            [sys.executable, ROOT / "scripts" / "make_cli_reference.py", "--check"], capture_output=True, text=True
        )
        assert (check.returncode, check.stderr) == (0, "")


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ("translate --lang de", "name at least one recording: s2t2 translate talk.mp3 --lang de"),
            (
                "translate a.wav",
                "name the language to translate to, or a checkpoint: s2t2 translate talk.mp3 --lang de",
            ),
            ("translate a.wav --lang xx", "Invalid value for '--lang': 'xx' is not one of 'de', 'tr', 'ca', 'ar'."),
            ("translate a.wav --lnag de", "No such option: --lnag (Possible options: --lang, --lm)"),
            ("translat a.wav", "No such command 'translat'. Did you mean 'translate'"),
            ("translate a.wav --lang de --length-penalty nan", "'--length-penalty': nan is not a number to work with"),
            ("translate a.wav --lang de --device tpu", "'tpu' is not one of 'auto', 'cpu', 'cuda', 'cuda:N', 'mps'"),
            ("translate a.wav --lang de --num-beams 0", "'--num-beams': Input should be greater than or equal to 1"),
            (
                "translate a.wav --lang de --dtype int4",
                "'int4' is not one of 'auto', 'float32', 'bfloat16', 'float16', 'int8'",
            ),
            ("translate a.wav --lang de --num-beams 2 --n-best 3", "--n-best 3 needs at least --num-beams 3, not 2"),
            ("translate a.wav --lang de --output x --output-dir y", "give --output for one file or --output-dir for"),
            ("translate a.wav --lang de --output a.wav", "--output a.wav would overwrite the input a.wav"),
            ("translate a.wav --lang de --output no/x", "cannot write no/x, there is no folder no; make it first"),
            ("translate a.wav --lang de --output-dir a.wav", "cannot write a.wav (File exists); name another place"),
            ("translate --manifest no.tsv --lang de", "there is no manifest no.tsv"),
            ("translate - - --lang de", "standard input can be read only once; name - a single time"),
            ("translate empty --lang de", "nothing to translate: no audio or video files in empty"),
            ("translate --manifest empty.tsv --lang de", "nothing to translate: no rows in the manifest"),
            ("translate a.wav --model no/such/folder", "no/such/folder"),
        ],
    )
    def test_a_mistake_is_one_sentence_and_status_2(
        self, s2t2: Here, folder: Path, arguments: str, sentence: str
    ) -> None:
        Path("empty").mkdir()
        Path("empty.tsv").touch()
        outcome = s2t2(*arguments.split())
        assert outcome.status == 2
        assert outcome.out == ""
        assert sentence in outcome.messages[0]
        assert all(line.startswith("s2t2: ") for line in outcome.messages)

    def test_a_mistyped_option_says_where_help_is(self, s2t2: Here) -> None:
        assert s2t2("translate", "--lnag").messages[1] == "s2t2: see 's2t2 translate --help'"

    def test_an_unwritable_output_keeps_what_is_there(self, s2t2: Here, folder: Path) -> None:
        """The model is looked for after the output, and before anything is overwritten."""
        Path("out.txt").write_text("precious")
        outcome = s2t2("translate", "a.wav", "--model", "no/such/folder", "--output", "out.txt")
        assert outcome.status == 2
        assert Path("out.txt").read_text() == "precious"

    def test_debugging_shows_the_traceback(self, s2t2: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S2T2_DEBUG", "1")
        outcome = s2t2("translate", "--lang", "de")
        assert "Traceback (most recent call last)" in outcome.err
        assert outcome.messages[-1].startswith("s2t2: name at least one recording")

    def test_a_fault_of_our_own_is_one_line_too(
        self, s2t2: Here, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("two\nlines")

        monkeypatch.setattr("s2t2_cli.cli.translate.make_format", fail)
        outcome = s2t2("translate", "a.wav", "--lang", "de")
        sentence = "s2t2: internal error: RuntimeError: two\\nlines (S2T2_DEBUG=1 shows the traceback)\n"
        assert (outcome.status, outcome.err) == (70, sentence)

    def test_a_broken_installation_points_to_the_doctor(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "s2t2_cli.translator", None)
        outcome = s2t2("translate", "a.wav", "--model", tiny_checkpoint)
        assert outcome.status == 70
        assert outcome.err.endswith("(s2t2 doctor tells what is missing)\n")


class TestDryRun:
    def test_inputs_are_listed_and_nothing_is_loaded(self, s2t2: Here, folder: Path) -> None:
        outcome = s2t2("translate", "rec", "b.wav", "--model", "no/such", "--dry-run")
        assert (outcome.status, outcome.lines, outcome.err) == (0, ["rec/c.mp3", "rec/deep/d.flac", "b.wav"], "")

    def test_results_would_go_there(self, s2t2: Here, folder: Path) -> None:
        outcome = s2t2("translate", "rec", "a.wav", "./a.wav", "--lang", "de", "--output-dir", "out", "--dry-run")
        assert outcome.lines == [
            "rec/c.mp3\tout/c.mp3.txt",
            "rec/deep/d.flac\tout/deep/d.flac.txt",
            "a.wav\tout/a.wav.txt",
            "./a.wav\tout/a.wav.2.txt",
        ]
        assert not Path("out").exists()

    def test_bad_inputs_are_marked_and_the_status_is_as_it_would_be(self, s2t2: Here, folder: Path) -> None:
        Path("list.jsonl").write_text('{"audio_filepath": "a.wav"}\nnonsense\n')
        outcome = s2t2("translate", "no.wav", "--manifest", "list.jsonl", "--lang", "de", "--dry-run")
        assert outcome.status == 1
        assert outcome.lines == [
            "no.wav\terror: there is no file no.wav",
            "a.wav",
            "list.jsonl:2\terror: line 2 of list.jsonl is not valid JSON (Expecting value at column 1)",
        ]
        assert outcome.err == "s2t2: 1 would be translated, 2 would fail\n"
        assert s2t2("translate", "no.wav", "--lang", "de", "--dry-run", "--quiet").err == ""

    def test_names_that_look_like_options_and_names_of_any_bytes(self, s2t2: Here, folder: Path) -> None:
        strange = os.fsdecode(b"caf\xe9\n.wav")
        Path(strange).touch()
        Path("--lang").touch()
        outcome = s2t2("translate", "--lang", "de", "--dry-run", "--", "--lang", strange)
        assert outcome.out == "--lang\n" + os.fsdecode(b"caf\xe9") + "\\n.wav\n"

    def test_no_recursive(self, s2t2: Here, folder: Path) -> None:
        assert s2t2("translate", "rec", "--no-recursive", "--lang", "de", "--dry-run").lines == ["rec/c.mp3"]


class TestCompletion:
    @staticmethod
    def complete(words: str) -> list[str]:
        typed = words.split(" ")
        environment = os.environ | {
            "_S2T2_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(typed) - 1),
        }
        return spawn(env=environment).stdout.decode().split()

    def test_languages_formats_and_commands_are_completed(self) -> None:
        assert self.complete("s2t2 translate --lang ") == ["de", "tr", "ca", "ar"]
        assert self.complete("s2t2 translate --format js") == ["jsonl"]
        assert self.complete("s2t2 translate --device c") == ["cpu", "cuda"]
        assert self.complete("s2t2 mod") == ["models"]

    def test_the_script_for_a_shell(self) -> None:
        environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        script = spawn("--show-completion", "bash", env=environment)
        assert b"complete -o default -F _s2t2_completion s2t2" in script.stdout


class TestStartup:
    """What a command imports: help and mistakes must be quick, so they load nothing heavy."""

    HEAVY = frozenset({"torch", "av", "numpy", "huggingface_hub", "safetensors", "sacremoses", "transformers"})

    @classmethod
    def imported(cls, *command: str) -> set[str]:
        log = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True).stderr
        return {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in log.splitlines() if "|" in line}

    @pytest.mark.parametrize("arguments", ["--help", "translate --help", "models --help", "doctor --help", "--version"])
    def test_help_is_light(self, arguments: str) -> None:
        imported = self.imported("-m", "s2t2_cli", *arguments.split())
        assert "typer" in imported
        assert not imported & (self.HEAVY | {"pydantic", "rich"})

    @pytest.mark.parametrize("arguments", ["translate a.wav --lnag de", "translate a.wav", "translate no --lang de"])
    def test_mistakes_are_light(self, arguments: str) -> None:
        assert not self.imported("-m", "s2t2_cli", *arguments.split(), "--dry-run") & self.HEAVY

    def test_the_package_is_light(self) -> None:
        assert not self.imported("-c", "import s2t2_cli") & (self.HEAVY | {"typer", "rich", "pydantic"})


def test_python_m_and_the_script_are_the_same_program() -> None:
    script = Path(sys.executable).with_name("s2t2")
    outcomes = [
        subprocess.run([*command, "translate"], capture_output=True, text=True) for command in (COMMAND, [script])
    ]
    assert outcomes[0].stderr == outcomes[1].stderr
    assert outcomes[0].returncode == outcomes[1].returncode == 2
