"""`s2t2 finetune` as a user runs it: real recordings in, a checkpoint out, stopped and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cli_run import COMMAND, Here, Outcome, run_on_terminal, spawn
from s2t2_cli import Translator
from s2t2_cli.audio import load_audio
from s2t2_cli.cli.finetune import app
from s2t2_cli.training.curves import CURVES_NAME
from s2t2_cli.training.log import read_log
from training_fixtures import check_refusals_name_options

SENTENCES = ["Guten Morgen!", "Wo ist der Bahnhof?", "heute zehn Uhr", "Ein Mann sagte: gut.", "links, rechts"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """Five recordings of about a second with translations: `train.jsonl` and, three of them, `valid.jsonl`."""
    folder = tmp_path_factory.mktemp("data")
    samples = load_audio(clip).samples
    rows = []
    for number, sentence in enumerate(SENTENCES):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            piece = samples[4000 * number : 4000 * number + 12_000 + 2000 * number]
            file.writeframes((piece * 32767).astype("<i2").tobytes())
        rows.append({"audio_filepath": f"{number}.wav", "text": sentence, "transcript": f"number {number}"})
    write(folder / "train.jsonl", rows)
    write(folder / "valid.jsonl", rows[:3])
    return folder


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture
def arguments(tiny_checkpoint: Path, data: Path) -> Callable[..., list[str]]:
    """The arguments of a training of a second or two; keywords change an option, None takes it out."""

    def make(folder: Path, **changes: object) -> list[str]:
        options: dict[str, object] = {
            "model": tiny_checkpoint,
            "lang": "de",
            "train": data / "train.jsonl",
            "output": folder,
            "max_updates": 8,
            "lr": 0.002,
            "freeze_encoder_updates": 3,
            "batch_seconds": 3,
            "update_seconds": 6,
            "validate_every": 4,
            "log_every": 1,
            "save_every": 3,
            "device": "cpu",
            **changes,
        }
        arguments = ["finetune"]
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    arguments += [f"--{name.replace('_', '-')}", *([] if one is True else [str(one)])]
        return arguments

    return make


def losses(output: Path) -> dict[int, float]:
    return {line["update"]: line["loss"] for line in read_log(output / "training") if "loss" in line}


@pytest.fixture
def here(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


def test_a_training_from_a_checkpoint(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    output = tmp_path / "out"
    outcome = here(*arguments(output, valid=data / "valid.jsonl", ctc_weight=0.3))
    assert outcome.status == 0, outcome.err
    assert outcome.out == ""
    assert outcome.messages[:2] == [
        f"s2t2: {data}/train.jsonl: 5 rows, 5.0 s",
        f"s2t2: {data}/valid.jsonl: 3 rows, 2.6 s",
    ]
    assert outcome.messages[2].startswith("s2t2: update 1/8, loss ")
    assert " s of audio a second, " in outcome.messages[2]
    assert outcome.messages[3].startswith("s2t2: validation after update 4: bleu ")
    assert outcome.messages[-1].startswith("s2t2: training finished after update 8; the best, ")

    lines = read_log(output / "training")
    assert [line["update"] for line in lines] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    assert {"loss", "nll", "accuracy", "ctc", "lr", "grad_norm"} < lines[0].keys()
    assert (output / "training" / CURVES_NAME).read_bytes().startswith(b"\x89PNG")


def test_the_output_is_a_checkpoint_in_the_published_layout(
    tmp_path: Path, tiny_checkpoint: Path, clip: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    output = tmp_path / "out"
    assert here(*arguments(output, ctc_weight=0.3)).status == 0
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json", "generation_config.json", "merges.txt", "model.safetensors", "preprocessor_config.json",
        "special_tokens_map.json", "tokenizer_config.json", "training", "vocab.json",
    ]  # fmt: skip
    assert json.loads((output / "config.json").read_text())["decoder"]["tie_word_embeddings"] is False
    before, after = (
        Translator.from_pretrained(folder, lang="de").model.state_dict() for folder in (tiny_checkpoint, output)
    )
    assert before.keys() == after.keys()  # no CTC head among them
    assert torch.equal(
        before["encoder.feature_extractor.conv_layers.0.conv.weight"],
        after["encoder.feature_extractor.conv_layers.0.conv.weight"],
    )
    for name in (
        "decoder.lm_head.weight",
        "enc_to_dec_proj.weight",
        "encoder.encoder.layers.0.attention.q_proj.weight",
    ):
        if name in before:
            assert not torch.equal(before[name], after[name]), name
    assert here("models", "verify", output).status == 0
    assert here("translate", clip, "--model", output, "--lang", "de").status == 0


def test_bfloat16(tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]) -> None:
    """Forward passes, the search of the validation included, run under autocast; what is saved is float32."""
    outcome = here(*arguments(tmp_path, dtype="bfloat16", valid=data / "valid.jsonl", max_updates=4, ctc_weight=0.3))
    assert outcome.status == 0, outcome.err
    assert all(np.isfinite(loss) for loss in losses(tmp_path).values())
    model = Translator.from_pretrained(tmp_path).model
    assert {one.dtype for one in model.state_dict().values()} == {torch.float32}


def test_the_encoder_is_frozen_at_first(
    tmp_path: Path, tiny_checkpoint: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    assert here(*arguments(tmp_path, max_updates=3)).status == 0
    before, after = (
        Translator.from_pretrained(folder).model.encoder.state_dict() for folder in (tiny_checkpoint, tmp_path)
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_pretrained_encoder_with_learned_sub_words_and_a_small_decoder(
    tmp_path: Path, data: Path, tiny_checkpoint: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    (tmp_path / "encoder.json").write_text(
        json.dumps(json.loads((tiny_checkpoint / "config.json").read_text())["encoder"])
    )
    (tmp_path / "decoder.json").write_text(json.dumps({"decoder_layers": 1, "d_model": 16, "decoder_ffn_dim": 32}))
    bpe = here("learn-bpe", data / "train.jsonl", "--lang", "de", "--symbols", "10", "--output", tmp_path / "bpe")
    assert bpe.status == 0, bpe.err
    outcome = here(
        *arguments(
            tmp_path / "out", model=tmp_path / "encoder.json", tokenizer=tmp_path / "bpe",
            decoder=tmp_path / "decoder.json", freeze_encoder_updates=0, max_updates=2,
        )
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert f"s2t2: {tmp_path}/encoder.json has no weights: training starts from random numbers" in outcome.messages
    assert any(message.startswith("s2t2: the decoder is new: 1 layers") for message in outcome.messages)
    result = next(Translator.from_pretrained(tmp_path / "out", lang="de").translate(data / "0.wav"))
    assert result.error is None


def test_pseudo_labels_of_translate_are_trained_on_as_they_are(
    tmp_path: Path, data: Path, tiny_checkpoint: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    pseudo = tmp_path / "pseudo.jsonl"
    (data / "broken.wav").write_bytes(b"no audio")
    unlabelled = [data / "3.wav", data / "4.wav", data / "broken.wav"]
    labelling = here(
        "translate", *unlabelled, "--model", tiny_checkpoint, "--lang", "de", "--format", "jsonl", "--num-beams", "4",
        "--max-new-tokens", "9", "--output", pseudo, "--quiet",
    )  # fmt: skip
    assert labelling.status == 1
    rows = [json.loads(line) for line in pseudo.read_text().splitlines()]
    for row in rows:  # the miniature's weights are random, and it never ends a sentence
        row.pop("warnings", None)
    write(pseudo, rows)
    outcome = here(*arguments(tmp_path / "out", train=[data / "train.jsonl", pseudo], upsample="equal", max_updates=2))
    assert outcome.status == 0, outcome.err
    assert f"s2t2: {pseudo}: 2 rows, 2.4 s; left out: 1 whose translation failed" in outcome.messages
    assert f"s2t2: {pseudo} comes 2.11 times an epoch" in outcome.messages


# Stopping and going on


@pytest.mark.timeout(400)
def test_killed_and_run_again_it_goes_on_exactly(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    settings = {"valid": data / "valid.jsonl", "max_updates": 14, "ctc_weight": 0.3}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert here(*arguments(whole, **settings)).status == 0
    with subprocess.Popen([*COMMAND, *arguments(killed, **settings)], stderr=subprocess.PIPE) as process:
        wait_for_update(8, killed, process)
        process.kill()
    assert 8 <= max(losses(killed)) < 14
    last = spawn(*arguments(killed, **settings), timeout=300)
    assert last.returncode == 0, last.stderr.decode()
    assert b"going on after update " in last.stderr
    assert losses(killed) == pytest.approx(losses(whole), abs=1e-5)
    scores = [[line["valid"] for line in read_log(run / "training") if "valid" in line] for run in (whole, killed)]
    assert scores[0] == scores[1]
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def wait_for_update(update: int, output: Path, process: subprocess.Popen[bytes]) -> None:
    while max(losses(output), default=0) < update:
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_saves_and_says_how_to_go_on(
    tmp_path: Path, arguments: Callable[..., list[str]], number: signal.Signals, word: str
) -> None:
    command = [*COMMAND, *arguments(tmp_path, max_updates=10_000, save_every=10_000)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_for_update(2, tmp_path, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    update = max(losses(tmp_path))
    assert err.decode().splitlines()[-1] == (
        f"s2t2: {word} after update {update}; all of it is saved, and the same command goes on from there"
    )
    state = torch.load(tmp_path / "training" / "state.pt", weights_only=True)
    assert state["position"]["update"] == update


def test_going_on_with_other_settings_is_refused_and_restart_starts_over(
    tmp_path: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    assert here(*arguments(tmp_path, max_updates=2)).status == 0
    outcome = here(*arguments(tmp_path, max_updates=2, lr=0.001))
    assert outcome.status == 2
    assert outcome.messages[-1] == (
        f"s2t2: the training in {tmp_path}/training was started with --lr 0.002, not 0.001: "
        "give it as it was, or name another folder, or start over with --restart"
    )
    assert here(*arguments(tmp_path, max_updates=1, lr=0.001, restart=True)).status == 0
    assert list(losses(tmp_path)) == [1]


def test_changed_data_is_not_gone_on_with(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    train = write(data / "changing.jsonl", rows)
    assert here(*arguments(tmp_path, train=train, max_updates=1)).status == 0
    write(train, rows[:4])
    outcome = here(*arguments(tmp_path, train=train, max_updates=1))
    assert outcome.status == 2
    assert "was started with --train 5 rows (" in outcome.messages[-1]


@pytest.mark.timeout(400)
def test_two_processes_compute_what_one_does(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    settings = {"valid": data / "valid.jsonl", "max_updates": 6, "validate_every": 3, "ctc_weight": 0.3}
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert here(*arguments(alone, **settings)).status == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [*torchrun, "-m", "s2t2_cli", *arguments(together, **settings)],
        capture_output=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr.decode()
    assert losses(together) == pytest.approx(losses(alone), abs=1e-4)
    scores = [[line["valid"] for line in read_log(one / "training") if "valid" in line] for one in (alone, together)]
    for one, other in zip(*scores, strict=True):
        assert other == pytest.approx(one, abs=1e-3)
    assert run.stderr.count(b"training finished") == 1


# What can go wrong


def test_bad_rows_do_not_stop_the_others(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    good = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    (data / "noise.wav").write_bytes(b"not audio" * 100)
    bad = [
        {"audio_filepath": "nowhere.wav", "text": "x"},
        {"audio_filepath": "0.wav", "text": ""},
        {"audio_filepath": "noise.wav", "text": "Guten Tag", "duration": 1.0},
        {"audio_filepath": "0.wav", "text": "Guten Tag", "duration": 99},
    ]
    outcome = here(*arguments(tmp_path / "out", train=write(data / "mixed.jsonl", [*bad, *good])))
    assert outcome.status == 0, outcome.err
    assert [message.removeprefix("s2t2: ").replace(f"{data}/", "") for message in outcome.messages[:3]] == [
        "there is no file nowhere.wav, named in line 1 of mixed.jsonl",
        "0.wav has no text to learn from",
        "mixed.jsonl: 6 rows, 6.0 s; left out: 1 missing, 1 without text, 1 longer than 20 s",
    ]
    assert sum("noise.wav is not audio" in message for message in outcome.messages) == 1


def test_nothing_but_bad_rows(tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]) -> None:
    train = write(data / "bad.jsonl", [{"audio_filepath": "nowhere.wav", "text": "x"}])
    outcome = here(*arguments(tmp_path / "out", train=train))
    assert outcome.status == 2
    assert outcome.messages[-1] == f"s2t2: there is nothing to learn from in {train}: no row can be used"


def check_usage(outcome: Outcome, message: str) -> None:
    assert outcome.status == 2, outcome.err
    assert message in outcome.messages[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": None}, "name what to learn from: --train train.jsonl"),
        ({"output": None}, "say where the model goes: --output DIR"),
        ({"model": None, "lang": None}, "say what to start from: --model ID, or --lang de"),
        ({"lang": None}, "Moses tokenisation needs the language: --lang de; or --no-tokenize"),
        ({"patience": 3}, "--patience counts validations, which need --valid"),
        ({"length_ratio": "3"}, "--length-ratio takes two numbers, MIN,MAX, not '3'"),
        ({"upsample": "4,1"}, "--upsample gives 2 numbers for 1 manifest: give one for each"),
        ({"upsample": "more"}, "--upsample takes numbers separated by commas, not 'more'"),
        ({"lr": 0}, "lr 0.0 must be above 0"),
        ({"warmup": 99}, "warmup 99 must be within the updates"),
        ({"train": "nowhere.jsonl"}, "there is no manifest nowhere.jsonl"),
        ({"ctc_weight": 1, "ctc_field": "phones"}, "no row has 'phones' for the CTC loss"),
        ({"decoder": "nowhere.json", "new_decoder": True}, "there is no nowhere.json"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, here: Here, arguments: Callable[..., list[str]], changes: dict[str, object], message: str
) -> None:
    outcome = here(*arguments(tmp_path / "out", **changes))
    check_usage(outcome, message)


def test_a_folder_with_something_else_in_it_is_left_alone(
    tmp_path: Path, tiny_checkpoint: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "precious")
    outcome = here(*arguments(tmp_path / "precious"))
    check_usage(outcome, "precious is not empty and holds no training to go on with: name another folder")
    check_usage(here(*arguments(tmp_path / "precious" / "config.json")), "config.json is a file: name a folder")


def test_on_a_terminal_the_work_is_followed(tmp_path: Path, data: Path, arguments: Callable[..., list[str]]) -> None:
    options = {"max_updates": 2, "valid": data / "valid.jsonl", "progress": True}
    command = [*COMMAND, *arguments(tmp_path, **options)]
    status, _, err = run_on_terminal(command, "stderr", {"TERM": "xterm", "OMP_NUM_THREADS": "1"})
    assert status == 0, err
    assert "s2t2: training finished after update 2" in err
    assert "━" in err  # the bar
    assert "validating" in err


def test_every_setting_that_a_refusal_names_is_an_option(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    masks = {"mask_channel_prob": 0.1, "mask_channel_length": 8}
    assert here(*arguments(tmp_path, max_updates=1, valid=data / "valid.jsonl", ctc_weight=0.1, **masks)).status == 0
    check_refusals_name_options(tmp_path / "training", app, for_python_alone={"betas", "eps", "apply_spec_augment"})


def test_another_decoder_or_tokenizer_is_not_gone_on_with(
    tmp_path: Path, data: Path, tiny_checkpoint: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    decoder, subwords, out = tmp_path / "decoder.json", tmp_path / "subwords", tmp_path / "out"
    shutil.copytree(tiny_checkpoint, subwords, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    options = {"decoder": decoder, "tokenizer": subwords, "new_decoder": True, "max_updates": 1}
    decoder.write_text(json.dumps({"decoder_layers": 1, "d_model": 16, "decoder_ffn_dim": 32}))
    assert here(*arguments(out, **options)).status == 0

    decoder.write_text(json.dumps({"decoder_layers": 1, "d_model": 16, "decoder_ffn_dim": 48}))
    outcome = here(*arguments(out, **options))
    assert outcome.status == 2
    assert "was started with another model, --model or --decoder: " in outcome.messages[-1]

    merges = subwords / "merges.txt"
    merges.write_text("".join(merges.read_text().splitlines(keepends=True)[:-1]))
    outcome = here(*arguments(out, **options))
    assert outcome.status == 2
    assert "was started with --tokenizer " in outcome.messages[-1]


def test_quiet_is_quiet(tmp_path: Path, here: Here, arguments: Callable[..., list[str]]) -> None:
    outcome = here(*arguments(tmp_path, max_updates=1, quiet=True))
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_texts_in_another_script_are_noticed(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    train = write(data / "greek.jsonl", [{"audio_filepath": "0.wav", "text": "Καλημέρα κόσμε"}])
    outcome = here(*arguments(tmp_path, train=train, max_updates=1))
    assert any("of the sub-words of the texts are unknown to the tokenizer" in line for line in outcome.messages)


def test_silence_among_the_recordings_does_no_harm(
    tmp_path: Path, data: Path, here: Here, arguments: Callable[..., list[str]]
) -> None:
    with wave.open(str(data / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.zeros(16_000, "<i2").tobytes())
    train = write(data / "silent.jsonl", [{"audio_filepath": "silence.wav", "text": "Guten Tag"}])
    outcome = here(*arguments(tmp_path, train=train, max_updates=2))
    assert outcome.status == 0, outcome.err
    assert all(np.isfinite(loss) for loss in losses(tmp_path).values())
