"""Which rows of a manifest are learned from, and what is said of the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from s2t2_cli.errors import InputError, UsageError
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.formats import Format, JsonlFormat, TsvFormat
from s2t2_cli.inputs import Source
from s2t2_cli.manifests import Manifest
from s2t2_cli.records import Alternative, TranslationResult
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.batches import BatchPart
from s2t2_cli.training.collation import LabelMaker, SpeechBatches, unit_ids
from s2t2_cli.training.durations import Durations
from s2t2_cli.training.examples import Example, Examples, RowRules, read_examples
from s2t2_cli.training.objective import IGNORED
from s2t2_cli.training.speech_data import ManifestReader


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    """Holds `clip.wav` of 2.8 s, and the manifests that tests write."""
    shutil.copy(clip, tmp_path / "clip.wav")
    return tmp_path


def manifest(folder: Path, *rows: dict[str, Any] | str, name: str = "train.jsonl") -> Manifest:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("".join(line + "\n" for line in lines))
    return Manifest(str(folder / name))


def read(source: Manifest, rules: RowRules | None = None) -> tuple[Examples, list[str]]:
    said: list[str] = []
    return read_examples(source, rules or RowRules(), Durations(None), report=said.append), said


GOOD = {"audio_filepath": "clip.wav", "text": "Guten  Morgen\n"}


def test_a_row_becomes_an_example(folder: Path) -> None:
    examples, said = read(manifest(folder, GOOD))
    (row,) = examples.rows
    assert (row.text, row.units) == ("Guten Morgen", None)
    assert row.duration == pytest.approx(2.786, abs=0.01)
    assert said == []
    assert examples.summary("train.jsonl") == "train.jsonl: 1 row, 2.8 s"


def test_the_manifests_duration_saves_opening_the_file(folder: Path) -> None:
    (folder / "unopened.wav").write_bytes(b"not looked at")
    examples, _ = read(manifest(folder, {**GOOD, "audio_filepath": "unopened.wav", "duration": 1.5}))
    assert examples.rows[0].duration == 1.5


def test_every_bad_row_is_named_once_with_its_reason(folder: Path) -> None:
    (folder / "noise.wav").write_bytes(b"not audio at all" * 100)
    examples, said = read(
        manifest(
            folder,
            {**GOOD, "audio_filepath": "nowhere.wav"},
            {**GOOD, "text": " "},
            {"audio_filepath": "clip.wav"},
            "{broken",
            {**GOOD, "audio_filepath": "noise.wav"},
            {**GOOD, "duration": 0.001},
            GOOD,
        )
    )
    assert len(examples.rows) == 1
    assert [sentence.replace(f"{folder}/", "") for sentence in said] == [
        "there is no file nowhere.wav, named in line 1 of train.jsonl",
        "clip.wav has no text to learn from",
        "clip.wav has no text to learn from",
        "line 4 of train.jsonl is not valid JSON (Expecting property name enclosed in double quotes at column 2)",
        "noise.wav is not audio, or not in a format that can be read here",
        "clip.wav lasts 0.001 s, too short to learn from",
    ]
    assert examples.summary("train.jsonl") == (
        "train.jsonl: 1 row, 2.8 s; left out: "
        "2 without text, 1 missing, 1 not valid, 1 not readable as audio, 1 too short"
    )


def test_long_recordings_are_only_counted(folder: Path) -> None:
    examples, said = read(manifest(folder, GOOD, {**GOOD, "duration": 20.1}, {**GOOD, "duration": 99}))
    assert len(examples.rows) == 1
    assert examples.left_out == {"longer than 20 s": 2}
    assert said == []


def test_pseudo_labels_are_what_translate_wrote(folder: Path) -> None:
    record = {"audio_filepath": "clip.wav", "status": "ok", "lang": "de", "duration": 2.8, "raw_text": "…"}
    examples, said = read(
        manifest(
            folder,
            {**record, "text": "Guten Morgen!", "score": -0.3},
            {"audio_filepath": "x.mp3", "status": "error", "error": {"type": "AudioDecodeError", "message": "…"}},
            {**record, "text": "", "warnings": ["no_speech"]},
            {**record, "text": "ja ja ja ja", "score": -0.2, "warnings": ["length_limit"]},
            {**record, "text": "Unsinn", "score": -2.5},
            {**record, "text": "viel zu viel Text für so wenig Ton " * 9, "score": -0.3},
        ),
        RowRules(min_score=-1.0, length_ratio=(2, 30)),
    )
    assert [row.text for row in examples.rows] == ["Guten Morgen!"]
    assert examples.left_out == {
        "whose translation failed": 1,
        "without text": 1,
        "whose translation was cut off": 1,
        "with a score below -1": 1,
        "with less than 2 or more than 30 characters a second": 1,
    }
    assert len(said) == 1


@pytest.mark.parametrize("layout", [JsonlFormat(), TsvFormat(n_best=True)], ids=["jsonl", "tsv"])
def test_pseudo_labels_mean_the_same_in_every_format(folder: Path, layout: Format) -> None:
    def result(text: str, score: float | None, *warnings: str) -> TranslationResult:
        hypotheses = (Alternative(text, text, score or 0.0), Alternative("Was?", "Was?", -0.9))
        return TranslationResult(
            "clip.wav", lang="de", duration=2.8, text=text, raw_text=text, score=score, warnings=warnings,
            alternatives=hypotheses if score else (),
        )  # fmt: skip

    results = [
        result("Guten Morgen!", -0.3),
        result("ja ja ja ja", -0.2, "ends_early", "length_limit"),
        result("Unsinn", -2.5),
        result("viel zu viel Text für so wenig Ton " * 9, -0.3),
        result("", None, "no_speech"),
        TranslationResult("clip.wav", status="error", error=InputError("broken")),
    ]
    (folder / f"pseudo{layout.ending}").write_text(layout.header + "".join(map(layout.render, results)))
    examples, _ = read(Manifest(str(folder / f"pseudo{layout.ending}")), RowRules(min_score=-1.0, length_ratio=(2, 30)))
    assert [row.text for row in examples.rows] == ["Guten Morgen!"]
    del examples.left_out["of further hypotheses"]
    assert examples.left_out == {
        "whose translation was cut off": 1,
        "with a score below -1": 1,
        "with less than 2 or more than 30 characters a second": 1,
        "without text": 1,
        "whose translation failed": 1,
    }


def test_a_rank_of_the_users_own_is_left_alone(folder: Path) -> None:
    examples, _ = read(manifest(folder, {**GOOD, "rank": 7}))
    assert len(examples.rows) == 1


def test_filters_leave_rows_without_a_score_alone(folder: Path) -> None:
    examples, _ = read(manifest(folder, GOOD), RowRules(min_score=0.0, length_ratio=(100, 200)))
    assert len(examples.rows) == 1


def test_paths_that_translate_wrote_start_in_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "labels").mkdir()
    monkeypatch.chdir(folder)
    examples, said = read(manifest(folder / "labels", GOOD))
    assert len(examples.rows) == 1
    assert said == []


def test_other_splits_of_one_tsv_are_left_out(folder: Path) -> None:
    (folder / "clips").mkdir()
    shutil.copy(folder / "clip.wav", folder / "clips" / "a.wav")
    rows = ["path\ttranslation\tsplit", "a.wav\tGuten Tag\ttrain", "a.wav\tGuten Abend\tdev", "a.wav\tDanke\ttest"]
    manifest(folder, *rows, name="covost_v2.en_de.tsv")
    reader = ManifestReader(RowRules(), Durations(None), audio_dir=None, say=print, show=print)
    data = reader.training_data([str(folder / "covost_v2.en_de.tsv")], None)
    assert [row.text for row in data.examples] == ["Guten Tag"]
    assert [row.text for row in reader.validation_data(str(folder / "covost_v2.en_de.tsv"))] == ["Guten Abend"]


def test_ctc_units_are_characters_or_what_a_list_says(folder: Path) -> None:
    examples, _ = read(
        manifest(
            folder,
            {**GOOD, "transcript": "Good  Day"},
            {**GOOD, "transcript": ["HH", "AY"]},
            {**GOOD, "transcript": ""},
            {**GOOD, "transcript": 3},
        ),
        RowRules(units_field="transcript"),
    )
    assert [row.units for row in examples.rows] == [tuple("good day"), ("HH", "AY"), None, None]
    assert unit_ids(examples.rows) == {name: n for n, name in enumerate([" ", "AY", "HH", "a", "d", "g", "o", "y"], 1)}


def test_lengths_that_took_opening_files_are_remembered(folder: Path) -> None:
    durations = Durations(folder / "training")
    read_examples(manifest(folder, GOOD), RowRules(), durations, report=print)
    durations.save()
    path = folder / "training" / "durations.json"
    remembered = json.loads(path.read_text())
    assert list(remembered.values()) == [pytest.approx(2.786, abs=0.01)]
    path.write_text(json.dumps(dict.fromkeys(remembered, 1.25)))
    again = read_examples(manifest(folder, GOOD), RowRules(), Durations(folder / "training"), report=print)
    assert again.rows[0].duration == 1.25


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "b"}', "\x00"])
def test_a_broken_memory_counts_for_nothing(folder: Path, content: str) -> None:
    (folder / "durations.json").write_text(content)
    examples = read_examples(manifest(folder, GOOD), RowRules(), Durations(folder), report=print)
    assert len(examples.rows) == 1


# Several manifests


@pytest.fixture
def names(folder: Path) -> list[str]:
    manifest(folder, {**GOOD, "duration": 2.0}, name="few.jsonl")
    manifest(folder, *[{**GOOD, "duration": 3.0}] * 4, name="many.jsonl")
    return [str(folder / "few.jsonl"), str(folder / "many.jsonl")]


def reader(said: list[str]) -> ManifestReader:
    return ManifestReader(RowRules(), Durations(None), audio_dir=None, say=said.append, show=lambda words: None)


def test_upsampling_by_number(names: list[str]) -> None:
    said: list[str] = []
    assert reader(said).training_data(names, [4, 1]).weights == [4, 1, 1, 1, 1]
    assert said[-1].endswith("few.jsonl comes 4 times an epoch")


def test_upsampling_to_equal_shares_of_audio(names: list[str]) -> None:
    assert reader([]).training_data(names, "equal").weights == [6, 1, 1, 1, 1]


def test_upsampling_needs_a_number_for_each_manifest(names: list[str]) -> None:
    with pytest.raises(UsageError, match="--upsample gives 1 number for 2 manifests"):
        reader([]).training_data(names, [4])


def test_nothing_to_learn_from(folder: Path) -> None:
    manifest(folder, {**GOOD, "text": ""})
    with pytest.raises(UsageError, match=r"nothing to learn from in .*train\.jsonl: no row can be used"):
        reader([]).training_data([str(folder / "train.jsonl")], None)


def test_the_digest_knows_rows_and_weights(names: list[str]) -> None:
    digests = [reader([]).training_data(names, upsample).digest() for upsample in (None, [1, 1], [2, 1])]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0].startswith("5 rows (")


# Batches


@pytest.fixture
def labels_of(tiny_checkpoint: Path) -> LabelMaker:
    return LabelMaker(Speech2Text2Tokenizer.from_pretrained(tiny_checkpoint), "de", end=2, longest=12)


def test_labels_are_moses_tokenised_and_end_in_the_end_token(tiny_checkpoint: Path, labels_of: LabelMaker) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(tiny_checkpoint)
    assert labels_of("Guten Morgen!") == [*tokenizer.encode("Guten Morgen !"), 2]
    plain = LabelMaker(tokenizer, None, end=2, longest=12)
    assert plain("Guten Morgen !") == labels_of("Guten Morgen!")


def test_more_sub_words_than_positions(labels_of: LabelMaker) -> None:
    with pytest.raises(InputError, match="its text has 14 sub-words, and the model 12 positions"):
        labels_of("Guten " * 13)


def test_the_share_of_unknown_sub_words(labels_of: LabelMaker) -> None:
    assert labels_of.unknown_share(["Guten Morgen"]) == 0
    assert labels_of.unknown_share(["Guten", "日"]) == 0.5


def batches_of(examples: list[Example], tiny_checkpoint: Path, labels_of: LabelMaker, **settings: Any) -> SpeechBatches:
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(tiny_checkpoint)
    return SpeechBatches(examples, extractor, labels_of, batch_seconds=10, per_update=1, seed=0, **settings)


def example(path: Path, text: str = "Guten Tag", **fields: Any) -> Example:
    return Example(Source(path.name, path), text, **{"duration": 2.8, **fields})


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch(clip: Path, tiny_checkpoint: Path, labels_of: LabelMaker, workers: int) -> None:
    examples = [example(clip, units=("a", "b")), example(clip, "Guten"), example(clip)]
    batches = batches_of(examples, tiny_checkpoint, labels_of, units={"a": 1, "b": 2}, workers=workers)
    batch = batches.load(BatchPart(0, 0, (1, 0)))
    assert batch is not None
    assert batch.input_values.shape[0] == 2
    assert batch.attention_mask is not None
    assert batch.labels.tolist() == [[labels_of("Guten")[0], 2, IGNORED], labels_of("Guten Tag")]
    assert batch.units == [None, [1, 2]]
    assert batch.seconds == pytest.approx(2 * 2.786, abs=0.01)


def test_rows_that_turn_out_bad_are_named_once(
    folder: Path, clip: Path, tiny_checkpoint: Path, labels_of: LabelMaker
) -> None:
    (folder / "noise.wav").write_bytes(b"not audio at all" * 100)
    bad = [example(folder / "noise.wav"), example(clip, "Guten " * 13), example(clip, duration=0.5)]
    said: list[str] = []
    batches = batches_of([*bad, example(clip)], tiny_checkpoint, labels_of, report=said.append)
    for _ in range(2):
        batch = batches.load(BatchPart(0, 0, (0, 1, 2, 3)))
        assert batch is not None
        assert len(batch.labels) == 1
    assert said == [
        "noise.wav is not audio, or not in a format that can be read here",
        "goforward.wav: its text has 14 sub-words, and the model 12 positions",
        "goforward.wav: it lasts 2.8 s, not 0.5 s as stated",
    ]
    assert batches.load(BatchPart(0, 0, (0, 1))) is None
