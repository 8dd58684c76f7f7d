"""The tokenizer against the reference (golden values in `golden/text`, made by `scripts/make_golden_text.py`)."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.bpe import BytePairEncoding
from s2t2_cli.errors import ModelError, OutputError, TokenizerError, UsageError
from s2t2_cli.tokenization import NO_LIMIT, Speech2Text2Tokenizer
from s2t2_cli.vocabulary import AddedToken

GOLDEN = json.loads((Path(__file__).parent / "golden" / "text" / "tokenizers.json").read_text(encoding="utf-8"))

PUBLISHED_CONFIG = (
    '{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", '
    '"tokenizer_class": "Speech2Text2Tokenizer"}'
)


PUBLISHED_MAP = '{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}'


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Text as it is, all else as JSON."""
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.fixture(params=GOLDEN, ids=[case["name"] for case in GOLDEN])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One checkpoint and what the reference makes of it."""
    found: dict[str, Any] = request.param
    return found


@pytest.fixture
def tokenizer(tmp_path: Path) -> Speech2Text2Tokenizer:
    """A tokenizer small enough to follow by eye."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "ha@@", "llo", "hallo", "w@@", "welt", ".", ",", "a", "'"]
    merges = "#version: 0.2\nh a 10\nl l\nll o</w> 5\nha llo</w> 3\nw e\nl t</w>\nwe lt</w>\n"
    files = {"vocab.json": {token: number for number, token in enumerate(tokens)}, "merges.txt": merges}
    return Speech2Text2Tokenizer.from_pretrained(write(tmp_path / "checkpoint", files))


# The reference


def test_attributes_equal_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(write(tmp_path, case["files"]))
    assert {name: getattr(tokenizer, name) for name in case["attributes"]} == case["attributes"]
    assert len(tokenizer) == case["length"]
    assert tokenizer.get_added_vocab() == case["added_vocab"]
    assert tokenizer.get_vocab() == {**case["files"]["vocab.json"], **case["added_vocab"]}


def test_encoding_equals_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(write(tmp_path, case["files"]))
    for one in case.get("encoded", ()):
        assert tokenizer.tokenize(one["text"]) == one["tokens"]
        assert tokenizer.encode(one["text"]) == one["ids"]
        assert tokenizer.convert_tokens_to_ids(one["tokens"]) == one["ids"]


def test_decoding_equals_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(write(tmp_path, case["files"]))
    for one in case["decoded"]:
        ids = one["ids"]
        assert tokenizer.convert_ids_to_tokens(ids) == one["tokens"]
        assert tokenizer.decode(ids) == one["text"]
        assert tokenizer.decode(np.array(ids, dtype=np.int64), skip_special_tokens=True) == one["skipped"]
        assert (
            tokenizer.decode(torch.tensor(ids, dtype=torch.long), clean_up_tokenization_spaces=False)
            == one["uncleaned"]
        )
    rows = [one["ids"] for one in case["decoded"]]
    assert tokenizer.batch_decode(rows, skip_special_tokens=True) == [one["skipped"] for one in case["decoded"]]


def test_calls_equal_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(write(tmp_path, case["files"]))
    texts = [one["text"] for one in case.get("encoded", ())]
    for one in case.get("called", ()):
        assert dict(tokenizer(texts[0], **one["options"])) == one["one"], one["options"]
        assert dict(tokenizer(texts[4:9], **one["options"])) == one["many"], one["options"]


def test_saved_vocabulary_equals_the_reference_to_the_byte(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(write(tmp_path / "checkpoint", case["files"]))
    (tmp_path / "saved").mkdir()
    paths = tokenizer.save_vocabulary(tmp_path / "saved")
    assert paths is not None
    assert {Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths} == case["saved"]


def test_a_saved_tokenizer_is_the_same_when_loaded(case: dict[str, Any], tmp_path: Path) -> None:
    first = Speech2Text2Tokenizer.from_pretrained(write(tmp_path / "checkpoint", case["files"]))
    first.save_pretrained(tmp_path / "saved")
    second = Speech2Text2Tokenizer.from_pretrained(tmp_path / "saved")
    assert second.added_tokens_decoder == first.added_tokens_decoder
    assert {name: getattr(second, name) for name in case["attributes"]} == case["attributes"]
    for one in case.get("encoded", ()):
        assert second.encode(one["text"]) == one["ids"]


# Encoding


def test_a_text_becomes_subwords_and_ids(tokenizer: Speech2Text2Tokenizer) -> None:
    assert tokenizer.tokenize("hallo welt ha") == ["hallo", "welt", "h@@", "a"]
    assert tokenizer.encode("hallo welt ha") == [6, 8, 3, 11]


def test_no_start_and_no_end_token_is_added(tokenizer: Speech2Text2Tokenizer) -> None:
    assert tokenizer.encode("hallo", add_special_tokens=True) == [6]
    assert tokenizer.encode("hallo</s>") == [6, 2]


def test_a_word_without_an_id_is_unknown_even_where_the_vocabulary_lacks_that_token(tmp_path: Path) -> None:
    folder = write(tmp_path, {"vocab.json": {"a": 0, "b": 1}, "merges.txt": "\n"})
    tokenizer = Speech2Text2Tokenizer.from_pretrained(folder)
    assert tokenizer.encode("a zz <pad>") == [0, 4, 4, 5]
    assert tokenizer.decode([0, 4, 99]) == "a <unk> <unk>"


def test_without_merges_it_decodes_only_and_says_what_is_missing(tmp_path: Path) -> None:
    tokenizer = Speech2Text2Tokenizer.from_pretrained(write(tmp_path, {"vocab.json": {"hallo": 0}}))
    assert tokenizer.decode([0]) == "hallo"
    assert tokenizer.encode("</s>") == [tokenizer.eos_token_id]
    with pytest.raises(TokenizerError, match=r"no merges\.txt and so decodes only") as caught:
        tokenizer.encode("hallo")
    assert isinstance(caught.value, ValueError)  # what the reference raises


def test_one_text_or_many_become_tensors(tokenizer: Speech2Text2Tokenizer) -> None:
    one = tokenizer("hallo welt", return_tensors="pt")
    assert one.input_ids.tolist() == [[6, 8]]
    assert one.input_ids.dtype == torch.int64
    many = tokenizer(["hallo welt", "a"], padding=True, return_tensors="np")
    assert many["input_ids"].tolist() == [[6, 8], [11, 1]]
    assert many["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert tokenizer.encode("a", return_tensors="pt").tolist() == [[11]]
    assert tokenizer("", return_tensors="pt").input_ids.shape == (1, 0)


def test_targets_come_as_labels(tokenizer: Speech2Text2Tokenizer) -> None:
    assert dict(tokenizer("hallo", text_target="a")) == {"input_ids": [6], "attention_mask": [1], "labels": [11]}
    assert tokenizer(text_target=["a"])["input_ids"] == [[11]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t(), "nothing to encode"),
        (lambda t: t(5), "not int"),
        (lambda t: t(["a", 5]), "not int"),
        (lambda t: t.encode(["a"]), "one text"),
        (lambda t: t("a", padding="wide"), "padding='wide'"),
        (lambda t: t("a", truncation="only_second"), "truncation='only_second'"),
        (lambda t: t("a", return_tensors="tf"), "return_tensors='tf'"),
        (lambda t: t(["a a", "a"], return_tensors="pt"), "rows of input_ids differ in length"),
        (lambda t: t("a", padding=True, truncation=True, max_length=3, pad_to_multiple_of=2), "not a multiple"),
        (lambda t: t.pad({"labels": [1]}), "only: labels"),
        (lambda t: t.pad([]), "needs a dictionary"),
        (lambda t: t.pad([{"input_ids": [1]}, {"labels": [1]}]), "same keys"),
        (lambda t: t.pad({"input_ids": [1]}, "max_length"), "needs max_length"),
        (lambda t: t.decode([[1, 2]]), "one row"),
        (lambda t: t.decode(None), "whole numbers"),
    ],
)
def test_a_call_that_cannot_be_honoured_says_why(tokenizer: Speech2Text2Tokenizer, call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(tokenizer)


def test_padding_to_no_known_length_is_logged(
    tokenizer: Speech2Text2Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert tokenizer("a", padding="max_length")["input_ids"] == [11]
    assert "no max_length is given" in caplog.text


def test_more_words_than_are_remembered_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2t2_cli.bpe._REMEMBERED_WORDS", 2)
    merges = BytePairEncoding({("a", "b</w>"): 0})
    assert [merges.split(word) for word in ("ab", "xab", "ab", "b", "ab")] == [
        ["ab"], ["x@@", "ab"], ["ab"], ["b"], ["ab"],
    ]  # fmt: skip


# Padding


def test_pad_fills_rows_as_a_collator_does(tokenizer: Speech2Text2Tokenizer) -> None:
    rows = [{"input_ids": [6, 8, 11], "labels": [0]}, {"input_ids": [6], "labels": [1]}]
    padded = tokenizer.pad(rows, return_tensors="pt")
    assert padded.input_ids.tolist() == [[6, 8, 11], [6, 1, 1]]
    assert padded.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert padded.labels.tolist() == [[0], [1]]


def test_pad_keeps_masks_and_gives_tensors_for_tensors(tokenizer: Speech2Text2Tokenizer) -> None:
    rows = [{"input_ids": torch.tensor([6, 8]), "attention_mask": torch.tensor([1, 0])}]
    padded = tokenizer.pad(rows, pad_to_multiple_of=4)
    assert padded.input_ids.tolist() == [[6, 8, 1, 1]]
    assert padded.attention_mask.tolist() == [[1, 0, 0, 0]]
    assert isinstance(tokenizer.pad({"input_ids": np.array([[6, 8]])}).input_ids, np.ndarray)
    assert dict(tokenizer.pad({"input_ids": [6], "attention_mask": [1]}, "max_length", max_length=2)) == {
        "input_ids": [6, 1],
        "attention_mask": [1, 0],
    }


# Decoding


def test_decoding_joins_subwords_and_cleans_up(tokenizer: Speech2Text2Tokenizer) -> None:
    ids = [2, 4, 5, 10, 8, 9, 2]
    assert tokenizer.decode(ids) == "</s> hallo, welt. </s>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "hallo, welt."
    assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == "hallo , welt ."


def test_a_last_subword_that_goes_on_keeps_its_mark(tokenizer: Speech2Text2Tokenizer) -> None:
    assert tokenizer.decode([6, 4]) == "hallo ha@@"
    assert tokenizer.decode([4, 2]) == "ha</s>"


def test_ids_outside_the_vocabulary_are_not_skipped(tokenizer: Speech2Text2Tokenizer) -> None:
    assert tokenizer.decode([3, 999, -1], skip_special_tokens=True) == "<unk> <unk>"


@pytest.mark.parametrize("one", [6, np.int64(6), torch.tensor(6)])
def test_a_single_id_is_its_token(tokenizer: Speech2Text2Tokenizer, one: Any) -> None:
    assert tokenizer.decode(one) == "hallo"
    assert tokenizer.convert_ids_to_tokens(one) == "hallo"
    assert tokenizer.batch_decode([one, one]) == ["hallo", "hallo"]


def test_tokens_become_a_string(tokenizer: Speech2Text2Tokenizer) -> None:
    assert tokenizer.convert_tokens_to_string(["ha@@", "llo", "w@@"]) == "hallo w@@"
    assert tokenizer.convert_tokens_to_ids("hallo") == 6


@given(st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=1))
def test_the_subwords_of_any_word_spell_it(word: str) -> None:
    merges = BytePairEncoding({("a", "b"): 0, ("e", "r</w>"): 1, ("@", "@"): 2, ("ab", "er</w>"): 3})
    subwords = merges.split(word)
    assert all(one.endswith("@@") for one in subwords[:-1])
    spelled = "".join(one[:-2] for one in subwords[:-1]) + subwords[-1]
    assert spelled == word


# Files


def test_a_published_folder_is_written_back_to_the_byte(tmp_path: Path) -> None:
    published = write(tmp_path / "published", {
        "vocab.json": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "für": 4},
        "merges.txt": "f ü\nfü r</w>\n",
        "tokenizer_config.json": PUBLISHED_CONFIG,
        "special_tokens_map.json": PUBLISHED_MAP,
    })  # fmt: skip
    paths = Speech2Text2Tokenizer.from_pretrained(published).save_pretrained(tmp_path / "new" / "folder")
    assert [Path(path).name for path in paths] == [
        "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
    ]  # fmt: skip
    for name in ("tokenizer_config.json", "special_tokens_map.json", "merges.txt"):
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (published / name).read_bytes()
    assert (len(PUBLISHED_CONFIG), len(PUBLISHED_MAP)) == (129, 85)  # the sizes on the hub


def test_unknown_keys_survive_and_the_machine_does_not(tmp_path: Path) -> None:
    config = json.loads(PUBLISHED_CONFIG) | {
        "note": {"any": ["thing"]},
        "name_or_path": "/home/someone",
        "do_lower_case": True,
    }
    folder = write(tmp_path / "old", {"vocab.json": {"a": 0}, "tokenizer_config.json": config})
    Speech2Text2Tokenizer.from_pretrained(folder, model_max_length=64).save_pretrained(tmp_path / "new")
    saved = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())
    assert saved["note"] == {"any": ["thing"]}
    assert saved["do_lower_case"] is True
    assert saved["model_max_length"] == 64
    assert "name_or_path" not in saved
    assert not (tmp_path / "new" / "merges.txt").exists()


def test_files_can_be_named_one_by_one(tmp_path: Path) -> None:
    folder = write(tmp_path, {"words": {"hi": 0}, "pairs": "h i</w>\n"})
    tokenizer = Speech2Text2Tokenizer(folder / "words", bos_token="[BOS]", merges_file=folder / "pairs")
    assert tokenizer.encode("hi[BOS]") == [0, 1]
    assert tokenizer.model_max_length == NO_LIMIT
    assert "encodes and decodes" in repr(tokenizer)


def test_vocabulary_files_can_have_a_prefix(tokenizer: Speech2Text2Tokenizer, tmp_path: Path) -> None:
    paths = tokenizer.save_vocabulary(tmp_path, filename_prefix="de")
    assert paths == (str(tmp_path / "de-vocab.json"), str(tmp_path / "de-merges.txt"))


def test_a_missing_folder_is_logged_by_save_vocabulary(
    tokenizer: Speech2Text2Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert tokenizer.save_vocabulary(tmp_path / "nowhere") is None
    assert "nowhere is not a folder" in caplog.text


def test_a_folder_that_cannot_be_made_is_one_error(tokenizer: Speech2Text2Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        tokenizer.save_pretrained(tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"there is no vocab\.json"),
        ({"vocab.json": "{"}, r"vocab\.json is not valid JSON"),
        ({"vocab.json": ["a"]}, r"vocab\.json holds a JSON list"),
        ({"vocab.json": {"a": "0"}}, r"vocab\.json: the id of 'a' is '0'"),
        ({"tokenizer_config.json": "nonsense"}, r"tokenizer_config\.json is not valid JSON"),
        ({"tokenizer_config.json": {"pad_token": None}}, "pad_token is not set"),
        ({"tokenizer_config.json": {"pad_token": 5}}, "a token should be a string"),
        ({"tokenizer_config.json": {"padding_side": "up"}}, "padding_side='up'"),
        ({"tokenizer_config.json": {"model_max_length": "long"}}, "model_max_length='long'"),
        ({"tokenizer_config.json": {"added_tokens_decoder": {"x": "y"}}}, "should map ids to tokens"),
        ({"tokenizer_config.json": {"added_tokens_decoder": {"1": {"special": True}}}}, "a token should be a string"),
        ({"merges.txt": "\ud800".encode("utf-16", "surrogatepass")}, r"merges\.txt is not UTF-8 text"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"vocab.json": {"a": 0}} if files else {}
    for name, value in (good | files).items():
        if isinstance(value, bytes):
            (tmp_path / name).write_bytes(value)
        else:
            write(tmp_path, {name: value})
    with pytest.raises(TokenizerError, match=message) as caught:
        Speech2Text2Tokenizer.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").mkdir()
    with pytest.raises(TokenizerError, match=r"cannot read .*vocab\.json"):
        Speech2Text2Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(TokenizerError, match=r"cannot read .*pairs"):
        BytePairEncoding.from_file(tmp_path / "pairs")


def test_an_id_given_twice_is_found(tmp_path: Path) -> None:
    vocab = {"<s>": 0, "</s>": 1, "a": 2, "<pad>": 4}  # four entries, so 4 is thought to be free for <unk>
    with pytest.raises(TokenizerError, match="belongs to another token"):
        Speech2Text2Tokenizer.from_pretrained(write(tmp_path, {"vocab.json": vocab}))


def test_a_folder_that_is_not_there_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError):
        Speech2Text2Tokenizer.from_pretrained(tmp_path / "nowhere")


def test_a_tokenizer_travels_to_another_process(tokenizer: Speech2Text2Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("hallo welt") == [6, 8]
    batch = pickle.loads(pickle.dumps(tokenizer("hallo", return_tensors="pt")))
    assert batch.input_ids.tolist() == [[6]]


def test_an_added_token_can_be_given_as_an_object(tmp_path: Path) -> None:
    folder = write(tmp_path, {"vocab.json": {"a": 0}, "merges.txt": "\n"})
    single = AddedToken("<x>", single_word=True)
    tokenizer = Speech2Text2Tokenizer.from_pretrained(folder, additional_special_tokens=[single, "<y>"])
    assert tokenizer.additional_special_tokens == ["<x>", "<y>"]
    assert tokenizer.tokenize("a<x> <x> a<y>a") == ["a@@", "<@@", "x@@", ">", "<x>", "a", "<y>", "a"]
    assert tokenizer.decode(tokenizer.encode("a <x> a <y>"), skip_special_tokens=True) == "a a"
