"""The Python face: everything the reference's pipeline took, lazily, in order, and nothing lost."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2t2_cli import Speech2Text2Processor, SpeechEncoderDecoderModel, TranslationResult, Translator
from s2t2_cli.audio import load_audio
from s2t2_cli.errors import (
    AudioTooLongError,
    AudioTooShortError,
    ConfigurationError,
    InputNotFoundError,
    ModelNotFoundError,
    TranslationError,
    UsageError,
)
from s2t2_cli.inputs import Source
from s2t2_cli.selftest import run_selftest


@pytest.fixture(scope="module")
def translator(tiny_checkpoint: Path) -> Translator:
    return Translator.from_pretrained(tiny_checkpoint, lang="de")


@pytest.fixture(scope="module")
def samples(clip: Path) -> np.ndarray:
    return load_audio(clip).samples


@pytest.fixture(scope="module")
def expected(tiny_checkpoint: Path) -> list[int]:
    """The reference's tokens for the clip."""
    tokens: list[int] = json.loads((tiny_checkpoint / "expected.json").read_text())["tokens"]
    return tokens


def one(results: Iterator[TranslationResult]) -> TranslationResult:
    found = list(results)
    assert len(found) == 1
    return found[0]


INPUTS = {
    "path": lambda clip, samples: clip,
    "string": lambda clip, samples: str(clip),
    "bytes": lambda clip, samples: clip.read_bytes(),
    "file object": lambda clip, samples: io.BytesIO(clip.read_bytes()),
    "array dictionary": lambda clip, samples: {"array": samples, "sampling_rate": 16_000, "path": None},
    "raw dictionary": lambda clip, samples: {"raw": samples, "sampling_rate": 16_000},
    "double array": lambda clip, samples: {"raw": samples.astype(np.float64), "sampling_rate": 16_000},
    "source": lambda clip, samples: Source("talk", clip),
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("many", [False, True])
def test_inputs_of_every_kind_give_the_same_tokens(
    translator: Translator, clip: Path, samples: np.ndarray, expected: list[int], kind: str, many: bool
) -> None:
    given = INPUTS[kind](clip, samples)
    result = one(translator.translate([given] if many else given))
    assert result.status == "ok", result.error
    assert list(result.tokens) == expected
    assert result.duration == pytest.approx(2.786, abs=1e-3)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_arrays_and_tensors_come_with_their_rate(
    translator: Translator, samples: np.ndarray, expected: list[int], kind: str
) -> None:
    given: Any = samples if kind == "array" else torch.from_numpy(samples)
    assert list(one(translator.translate(given, sampling_rate=16_000)).tokens) == expected


def test_results_carry_all_that_is_known(translator: Translator, clip: Path, tiny_checkpoint: Path) -> None:
    result = one(translator.translate(clip, n_best=3))
    assert result.audio_filepath == str(clip)
    assert (result.lang, result.model) == ("de", str(tiny_checkpoint))
    assert len(result.alternatives) == 2
    assert result.score is not None
    assert result.score >= result.alternatives[0].score >= result.alternatives[1].score
    assert list(result.to_dict(tokens=True)) == [
        "audio_filepath", "status", "lang", "model", "duration", "text", "raw_text", "score", "tokens", "alternatives"
    ]  # fmt: skip


def test_translation_equals_processor_model_and_decoding_by_hand(
    translator: Translator, tiny_checkpoint: Path, samples: np.ndarray
) -> None:
    processor = Speech2Text2Processor.from_pretrained(tiny_checkpoint)
    model = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint)
    inputs = processor(samples, sampling_rate=16_000, return_tensors="pt")
    ids = model.generate(inputs=inputs["input_values"], attention_mask=inputs["attention_mask"])
    by_hand = processor.batch_decode(ids, skip_special_tokens=True)
    result = one(translator.translate(samples, sampling_rate=16_000))
    assert [result.raw_text] == by_hand
    assert one(translator.translate(samples, sampling_rate=16_000, detokenize=False)).text == by_hand[0]


def test_order_and_content_do_not_depend_on_batches(translator: Translator, samples: np.ndarray) -> None:
    clips = [{"raw": samples[: 6_000 + 3_100 * (number * 7 % 11)], "sampling_rate": 16_000} for number in range(11)]
    alone = [one(translator.translate(clip)) for clip in clips]
    for seconds in (0.1, 5.0, 100.0):
        together = list(translator.translate(clips, batch_seconds=seconds))
        assert [result.audio_filepath for result in together] == [f"input-{number}" for number in range(11)]
        assert [result.tokens for result in together] == [result.tokens for result in alone]
        assert [result.score for result in together] == pytest.approx([result.score for result in alone], abs=1e-4)
    unordered = list(translator.translate(clips, ordered=False))
    assert {result.audio_filepath for result in unordered} == {result.audio_filepath for result in together}


def test_a_bad_input_is_a_result_and_the_others_go_on(
    translator: Translator, clip: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    bad = [tmp_path / "missing.wav", {"raw": samples[:399], "sampling_rate": 16_000}]
    results = list(
        translator.translate([clip, bad[0], clip, bad[1], Source("x", clip, error=AudioTooShortError("short"))])
    )
    assert [result.status for result in results] == ["ok", "error", "ok", "error", "error"]
    assert isinstance(results[1].error, InputNotFoundError)
    assert isinstance(results[3].error, AudioTooShortError)
    assert [result.text for result in results if result.error] == ["", "", ""]
    assert results[1].to_dict()["error"]["type"] == "InputNotFoundError"


def test_silence_gives_no_words(translator: Translator) -> None:
    result = one(translator.translate(np.zeros(16_000, np.float32), sampling_rate=16_000))
    assert (result.status, result.text, result.score, result.warnings) == ("ok", "", None, ("no_speech",))


def test_text_cut_off_at_the_length_limit_is_marked(translator: Translator, clip: Path) -> None:
    result = one(translator.translate(clip, max_new_tokens=2))
    assert (len(result.tokens), result.warnings) == (2, ("length_limit",))
    assert one(translator.translate(clip)).warnings == ()


def test_an_endless_recording_that_may_not_be_cut_is_given_up(translator: Translator) -> None:
    class Endless(io.RawIOBase):
        """A pipe that never ends: a WAV header, then noise."""

        def __init__(self) -> None:
            self.head = (
                b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xff\xff\xff\xff"
            )

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.head = self.head or bytes(range(256)) * 256
            size = min(len(self.head), len(buffer))
            buffer[:size], self.head = self.head[:size], self.head[size:]
            return size

    result = one(translator.translate(Endless(), segmentation="none"))
    assert isinstance(result.error, AudioTooLongError)
    assert "longer than 10 minutes" in str(result.error)


def test_results_are_lazy(translator: Translator, samples: np.ndarray) -> None:
    """An endless stream of inputs gives its first results."""
    clip = {"raw": samples[:8_000], "sampling_rate": 16_000}
    results = translator.translate(itertools.repeat(clip), batch_seconds=1.0)
    assert len(list(itertools.islice(results, 5))) == 5


def test_fields_of_a_manifest_pass_through(translator: Translator, clip: Path) -> None:
    source = Source("talk.wav", clip, fields={"speaker": "dhd", "text": "go forward ten meters", "duration": 99})
    record = one(translator.translate(source)).to_dict()
    assert (record["speaker"], record["input_text"]) == ("dhd", "go forward ten meters")
    assert record["duration"] == pytest.approx(2.786, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"n_best": 6}, UsageError, "6 best translations were asked for, but 5 beams"),
        ({"batch_seconds": 0}, UsageError, "batch_seconds must be above 0"),
        ({"num_beams": 0}, ConfigurationError, "num_beams=0 must be at least 1"),
        ({"beams": 2}, ConfigurationError, "'beams' is not a setting of the search"),
    ],
)
def test_settings_are_checked_before_anything_is_read(
    translator: Translator, options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        translator.translate("never-opened.wav", **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "tpu9"}, "unknown device 'tpu9'"),
        ({"device": "meta"}, "unknown device 'meta'"),
        ({"dtype": "int3"}, "unknown dtype 'int3'"),
    ],
)
def test_machines_that_are_not_there_are_named(tiny_checkpoint: Path, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Translator.from_pretrained(tiny_checkpoint, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named(tiny_checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="no CUDA GPU here; use --device cpu"):
        Translator.from_pretrained(tiny_checkpoint, device="cuda")


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        Translator.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs(tiny_checkpoint: Path, clip: Path, dtype: str) -> None:
    translator = Translator.from_pretrained(tiny_checkpoint, dtype=dtype, device="cpu", threads=1)
    assert (str(translator.dtype), str(translator.device)) == (f"torch.{dtype}", "cpu")
    assert one(translator.translate(clip)).status == "ok"


def test_language_comes_from_the_name(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine-en-ca").symlink_to(tiny_checkpoint)
    assert Translator.from_pretrained(tmp_path / "mine-en-ca").lang == "ca"
    assert Translator.from_pretrained(tiny_checkpoint).lang is None


def test_models_that_see_padding_translate_clips_of_equal_length_only(tiny_checkpoint: Path, clip: Path) -> None:
    translator = Translator.from_pretrained(tiny_checkpoint)
    translator.feature_extractor.return_attention_mask = False
    long, short = load_audio(clip).samples, load_audio(clip).samples[:20_000]
    pair = [{"raw": one, "sampling_rate": 16_000} for one in (long, short)]
    together = [result.tokens for result in translator.translate(pair)]
    assert together == [one(translator.translate(clip)).tokens for clip in pair]


def test_a_batch_that_does_not_fit_is_tried_in_halves(
    tiny_checkpoint: Path, samples: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    translator = Translator.from_pretrained(tiny_checkpoint)
    encoder = translator.model.encoder

    def limited(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        batch, length = arguments[0].shape
        if batch * length > 40_000:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with_limit = encoder.register_forward_pre_hook(limited)
    clips = [{"raw": samples[:length], "sampling_rate": 16_000} for length in (9_000, 16_000, 44_000, 12_000)]
    results = list(translator.translate(clips, batch_seconds=60))
    with_limit.remove()
    assert [result.status for result in results] == ["ok", "ok", "error", "ok"]
    assert isinstance(results[2].error, TranslationError)
    assert "not enough memory" in str(results[2].error)
    assert "trying it in halves" in caplog.text


def test_selftest_passes() -> None:
    result = run_selftest()
    assert result.ok, result.detail
