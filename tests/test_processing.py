"""Feature extractor and processor against the reference (golden values made by `scripts/make_golden_text.py`)."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hub_server import HubServer, use_hub
from s2t2_cli.batch_feature import BatchFeature
from s2t2_cli.errors import ConfigurationError, InvalidAudioError, ModelNotFoundError, TokenizerError, UsageError
from s2t2_cli.processing import Speech2Text2Processor, Wav2Vec2FeatureExtractor

GOLDEN = Path(__file__).parent / "golden" / "text"
FEATURES = json.loads((GOLDEN / "features.json").read_text(encoding="utf-8"))
(PROCESSOR,) = json.loads((GOLDEN / "processor.json").read_text(encoding="utf-8"))

PUBLISHED = """{
  "do_normalize": true,
  "feature_extractor_type": "Wav2Vec2FeatureExtractor",
  "feature_size": 1,
  "padding_side": "right",
  "padding_value": 0,
  "return_attention_mask": true,
  "sampling_rate": 16000
}
"""

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def samples() -> Floats:
    """A real recording, float32 at 16 kHz."""

    with wave.open(str(Path(__file__).parent / "data" / "goforward.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


@pytest.fixture
def extractor() -> Wav2Vec2FeatureExtractor:
    """As published."""
    return Wav2Vec2FeatureExtractor.from_dict(json.loads(PUBLISHED))


@pytest.fixture
def processor(tmp_path: Path) -> Speech2Text2Processor:
    """The processor the golden values come from."""
    for name, value in {**PROCESSOR["files"], "preprocessor_config.json": PUBLISHED}.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        (tmp_path / name).write_bytes(text.encode())
    return Speech2Text2Processor.from_pretrained(tmp_path)


# The reference


def batches(clip: Floats) -> dict[str, Any]:
    """The same parts of the clip as in the script that made the golden values."""
    return {
        "one": clip[:8000],
        "three": [clip[4000:9000], clip[:2500], np.zeros(700, np.float32)],
        "quiet": [clip[:3000] * np.float32(1e-4), clip[:400]],
    }


@pytest.mark.parametrize("golden", FEATURES, ids=lambda one: f"{one['batch']}-{one['options']}")
def test_features_equal_the_reference(golden: dict[str, Any], samples: Floats) -> None:
    extractor = Wav2Vec2FeatureExtractor.from_dict(golden["settings"])
    found = extractor(batches(samples)[golden["batch"]], sampling_rate=16000, return_tensors="np", **golden["options"])
    assert found.input_values.shape == tuple(golden["shape"])
    assert found.input_values.dtype == np.float32
    np.testing.assert_allclose(found.input_values[:, golden["places"]], golden["values"], rtol=2e-6, atol=1e-7)
    if golden["valid"] is None:
        assert "attention_mask" not in found
    else:
        assert found.attention_mask.sum(-1).tolist() == golden["valid"]
        assert found.attention_mask.dtype == np.int32


@pytest.mark.parametrize("name", ["audio", "text", "both"])
def test_the_processor_equals_the_reference(name: str, processor: Speech2Text2Processor) -> None:
    audio, text = np.array(PROCESSOR["samples"]), PROCESSOR["texts"]
    found = {
        "audio": lambda: processor(audio, sampling_rate=16000, return_tensors="np"),
        "text": lambda: processor(text=text, padding=True, return_tensors="np"),
        "both": lambda: processor(audio, text=text, sampling_rate=16000, padding=True, return_tensors="np"),
    }[name]()
    expected = PROCESSOR["calls"][name]
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-6)


# Feature extraction


def test_an_utterance_is_brought_to_zero_mean_and_unit_variance(
    extractor: Wav2Vec2FeatureExtractor, samples: Floats
) -> None:
    values = extractor(samples, sampling_rate=16000).input_values[0]
    assert abs(values.mean()) < 1e-5
    assert values.std() == pytest.approx(1, abs=1e-3)


def test_an_utterance_is_the_same_alone_and_in_a_batch(extractor: Wav2Vec2FeatureExtractor, samples: Floats) -> None:
    alone = extractor(samples[:5000], sampling_rate=16000).input_values[0]
    batch = extractor([samples, samples[:5000]], sampling_rate=16000, padding=True, return_tensors="np")
    assert (batch.input_values[1, :5000] == alone).all()
    assert (batch.input_values[1, 5000:] == 0).all()
    assert batch.attention_mask[1].tolist() == [1] * 5000 + [0] * (len(samples) - 5000)


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        lambda rows: rows.astype(np.float64),
        lambda rows: [list(map(float, row)) for row in rows],
        lambda rows: tuple(rows),
        lambda rows: torch.from_numpy(rows.copy()),
        lambda rows: [torch.from_numpy(row.copy()).double() for row in rows],
        lambda rows: [rows[0], rows[1].tolist()],
    ],
    ids=["2-D array", "float64", "lists", "tuple", "2-D tensor", "list of tensors", "mixed"],
)
def test_a_batch_comes_in_many_forms(extractor: Wav2Vec2FeatureExtractor, samples: Floats, form: Any) -> None:
    rows = np.stack([samples[:600], samples[1000:1600]])
    found = extractor(form(rows), sampling_rate=16000, return_tensors="pt")
    assert found.input_values.dtype == torch.float32
    assert torch.equal(found.input_values, extractor(rows, sampling_rate=16000, return_tensors="pt").input_values)


def test_whole_numbers_and_single_recordings_are_taken_too(extractor: Wav2Vec2FeatureExtractor) -> None:
    for one in ([1, 2, 3], np.array([1, 2, 3], dtype=np.int16), torch.tensor([1, 2, 3])):
        (values,) = extractor(one, sampling_rate=16000).input_values
        np.testing.assert_allclose(values, [-1.2247448, 0, 1.2247448], rtol=1e-6)


def test_silence_and_nothing_stay_what_they_are(extractor: Wav2Vec2FeatureExtractor) -> None:
    found = extractor([np.zeros(500), np.zeros(0)], sampling_rate=16000, padding=True, return_tensors="np")
    assert not found.input_values.any()
    assert found.attention_mask.sum(-1).tolist() == [500, 0]


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((2, 3, 4)), [np.zeros((2, 500))], [[1.0, "x"]], "a.wav", None, [], [[0.0], [[0.0], [0.0, 1.0]]],
        np.zeros(5, dtype=complex), {"array": [0.0]},
    ],
    ids=["3-D", "stereo in a list", "words", "path", "none", "empty list", "ragged", "complex", "dictionary"],
)  # fmt: skip
def test_what_is_not_mono_samples_is_refused(extractor: Wav2Vec2FeatureExtractor, audio: Any) -> None:
    with pytest.raises(InvalidAudioError) as caught:
        extractor(audio, sampling_rate=16000)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_a_wrong_rate_is_refused_and_a_missing_one_logged(
    extractor: Wav2Vec2FeatureExtractor, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidAudioError, match="needs audio at 16000 Hz and this is declared as 44100 Hz"):
        extractor(np.zeros(500), sampling_rate=44100)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        extractor(np.zeros(500))
    assert "no sampling_rate given" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation": True}, "truncation=True needs max_length"),
        ({"padding": "max_length"}, "padding='max_length' needs max_length"),
        ({"padding": None}, "padding=None is not supported"),
        ({"return_tensors": "jax"}, "return_tensors='jax' is not supported"),
        ({"return_tensors": "pt"}, "rows of input_values differ in length"),
        ({"return_tensors": "np"}, "rows of input_values differ in length"),
    ],
)
def test_options_that_cannot_be_honoured_say_why(
    extractor: Wav2Vec2FeatureExtractor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        extractor([np.zeros(500), np.zeros(600)], sampling_rate=16000, **options)
    assert isinstance(caught.value, ValueError)


def test_pad_serves_a_collator(extractor: Wav2Vec2FeatureExtractor) -> None:
    rows = [{"input_values": [1.0, 2.0], "labels": [7]}, {"input_values": [1.0, 2.0, 3.0], "labels": [8]}]
    padded = extractor.pad(rows, return_tensors="pt")
    assert padded.input_values.tolist() == [[1, 2, 0], [1, 2, 3]]
    assert padded.attention_mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert padded.labels.tolist() == [[7], [8]]


def test_pad_keeps_masks_and_kinds(extractor: Wav2Vec2FeatureExtractor) -> None:
    rows = {"input_values": [torch.ones(2), torch.ones(4)], "attention_mask": [[1, 0], [1, 1, 1, 1]]}
    padded = extractor.pad(rows, max_length=3, truncation=True)
    assert padded.input_values.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert padded.attention_mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert "attention_mask" not in extractor.pad({"input_values": [np.ones(2)]}, return_attention_mask=False)
    with pytest.raises(UsageError, match="only: labels"):
        extractor.pad({"labels": [1]})


# Files


def test_the_published_file_is_written_back_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(PUBLISHED)
    assert len(PUBLISHED) == 212  # the size on the hub
    Wav2Vec2FeatureExtractor.from_pretrained(tmp_path).save_pretrained(tmp_path / "new")
    assert (tmp_path / "new" / "preprocessor_config.json").read_text() == PUBLISHED


def test_unknown_keys_survive_and_keywords_win(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"note": [1, 2], "sampling_rate": 16000}')
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path, sampling_rate=8000)
    assert extractor.sampling_rate == 8000
    extractor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["note"] == [1, 2]
    assert saved["return_attention_mask"] is False  # the default of the class
    assert '"note"' in repr(extractor)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("feature_size", 80),
        ("padding_side", "left"),
        ("sampling_rate", "16k"),
        ("sampling_rate", 0),
        ("padding_value", "0"),
        ("feature_extractor_type", "Speech2TextFeatureExtractor"),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{key}={value!r}"):
        Wav2Vec2FeatureExtractor.from_dict({key: value})


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no preprocessor_config\.json"):
        Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)


# The processor


def test_the_processor_decodes(processor: Speech2Text2Processor) -> None:
    ids = processor(text="Ein Mann .").input_ids
    assert processor.decode([*ids, 2], skip_special_tokens=True) == "Ein Mann."
    assert processor.batch_decode(torch.tensor([ids]), clean_up_tokenization_spaces=False) == ["Ein Mann ."]


def test_audio_is_the_first_argument_or_a_keyword(processor: Speech2Text2Processor) -> None:
    audio = np.arange(5.0)
    first, keyword = processor(audio, sampling_rate=16000), processor(audio=audio, sampling_rate=16000)
    assert (first.input_values[0] == keyword.input_values[0]).all()
    assert list(first) == processor.model_input_names == ["input_values", "attention_mask"]


def test_the_processor_needs_something_to_process(processor: Speech2Text2Processor) -> None:
    with pytest.raises(UsageError, match="pass audio or text"):
        processor()


def test_as_target_processor_takes_text_and_warns(processor: Speech2Text2Processor) -> None:
    with pytest.warns(FutureWarning, match="pass text="), processor.as_target_processor():
        assert processor("Ein Mann").input_ids == processor.tokenizer.encode("Ein Mann")
    assert "input_values" in processor(np.zeros(5), sampling_rate=16000)


def test_a_saved_processor_is_the_same_when_loaded(processor: Speech2Text2Processor, tmp_path: Path) -> None:
    paths = processor.save_pretrained(tmp_path / "saved")
    assert sorted(Path(path).name for path in paths) == [
        "merges.txt", "preprocessor_config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.json",
    ]  # fmt: skip
    again = Speech2Text2Processor.from_pretrained(tmp_path / "saved")
    assert again.feature_extractor.to_dict() == processor.feature_extractor.to_dict()
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert repr(again) == repr(processor)


def test_a_processor_comes_from_the_hub_without_the_weights(
    processor: Speech2Text2Processor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = [Path(path) for path in processor.save_pretrained(tmp_path / "saved")]
    with HubServer() as hub:
        use_hub(monkeypatch, hub.endpoint, tmp_path)
        files = {path.name: path.read_bytes() for path in saved}
        hub.add("someone/model", {**files, "config.json": b"{}", "model.safetensors": b"large"})
        again = Speech2Text2Processor.from_pretrained("someone/model")
    assert repr(again) == repr(processor)
    assert not any("model.safetensors" in path for _, path in hub.requests)


def test_a_processor_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(PUBLISHED)
    with pytest.raises(TokenizerError, match=r"no vocab\.json"):
        Speech2Text2Processor.from_pretrained(tmp_path)


# What comes back


def test_a_batch_answers_as_dictionary_and_as_attributes() -> None:
    batch = BatchFeature(input_values=torch.zeros(1, 3), attention_mask=torch.ones(1, 3, dtype=torch.int32))
    assert batch["input_values"] is batch.input_values
    assert (lambda **inputs: set(inputs))(**batch) == {"input_values", "attention_mask"}
    with pytest.raises(AttributeError, match="no attribute 'labels'"):
        _ = batch.labels
    assert copy.deepcopy(batch).attention_mask.tolist() == [[1, 1, 1]]
    assert pickle.loads(pickle.dumps(batch)).keys() == batch.keys()


def test_a_batch_moves_between_devices_and_precisions() -> None:
    batch = BatchFeature(input_values=torch.zeros(1, 3), attention_mask=torch.ones(1, 3, dtype=torch.int32), note="x")
    assert batch.to("cpu", dtype=torch.float16) is batch
    assert batch.input_values.dtype == torch.float16
    assert batch.to(torch.bfloat16).input_values.dtype == torch.bfloat16
    assert batch.attention_mask.dtype == torch.int32
    assert batch.to("meta").attention_mask.device.type == "meta"
    assert batch.note == "x"
