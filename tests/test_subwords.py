"""Learning sub-words: what is learned is what the tokenizer reads, and nothing of the text is unknown to it."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli import Speech2Text2Tokenizer
from s2t2_cli.errors import OutputError, UsageError
from s2t2_cli.subwords import Subwords, learn

TEXT = """\
Wie spät ist es ?
Es ist halb acht .
Stell den Wecker auf sieben Uhr dreißig .
Wie komme ich zum Bahnhof ?
Der Zug nach Köln fährt um 7 Uhr 30 .
Ich hätte gern zwei Fahrkarten nach München , bitte .
Wie viel kostet die Fahrkarte nach Köln ?
Wie wird das Wetter morgen ?
Morgen wird es regnen , und übermorgen scheint die Sonne .
Er sagte : " Guten Morgen ! "
""".splitlines()


def tokenizer(subwords: Subwords, folder: Path) -> Speech2Text2Tokenizer:
    subwords.save_pretrained(folder)
    return Speech2Text2Tokenizer.from_pretrained(folder)


def test_the_text_comes_back_without_unknowns(tmp_path: Path) -> None:
    learned = tokenizer(learn(TEXT, vocab_size=120), tmp_path / "new")
    for sentence in TEXT:
        ids = learned.encode(sentence)
        assert learned.unk_token_id not in ids
        assert learned.decode(ids, clean_up_tokenization_spaces=False) == sentence
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    ]


def test_special_tokens_come_first_then_what_is_frequent(tmp_path: Path) -> None:
    learned = learn(TEXT, vocab_size=120)
    assert learned.vocabulary[:4] == ("<s>", "<pad>", "</s>", "<unk>")
    reads = tokenizer(learned, tmp_path)
    counts = Counter(token for sentence in TEXT for token in reads.tokenize(sentence))
    frequencies = [counts[token] for token in learned.vocabulary[4:]]
    assert frequencies == sorted(frequencies, reverse=True)
    assert learned.pieces == counts.total()
    assert learned.words == sum(len(sentence.split()) for sentence in TEXT)
    assert learned.sentences == len(TEXT)
    assert (reads.bos_token_id, reads.pad_token_id, reads.eos_token_id, reads.unk_token_id) == (0, 1, 2, 3)


@pytest.mark.parametrize("size", [98, 99, 118, 135])
def test_the_vocabulary_has_the_size_asked_for(size: int) -> None:
    learned = learn(TEXT, vocab_size=size)
    assert len(learned.vocabulary) == len(set(learned.vocabulary)) == size


def test_merges_can_be_counted_instead() -> None:
    learned = learn(TEXT, symbols=12)
    assert len(learned.merges) == 12
    assert learned.merges == learn(TEXT, symbols=40).merges[:12]
    assert learn(TEXT, symbols=0).merges == ()


def test_words_never_seen_encode_if_their_characters_are_known(tmp_path: Path) -> None:
    learned = tokenizer(learn(TEXT, vocab_size=120), tmp_path)
    for word in ("Kölnisch", "zzz", "?!", "ßßß", "7030", "w", "Fahrkartenfahrkarte"):
        ids = learned.encode(word)
        known = set("".join(TEXT))
        assert (learned.unk_token_id in ids) == (not known.issuperset(word))
        if known.issuperset(word):
            assert learned.decode(ids, clean_up_tokenization_spaces=False) == word


def test_words_are_split_as_subword_nmt_itself_splits_them(tmp_path: Path) -> None:
    from subword_nmt.apply_bpe import BPE

    reads = tokenizer(learn(TEXT, symbols=60), tmp_path)
    theirs = BPE(io.StringIO((tmp_path / "merges.txt").read_text(encoding="utf-8")))
    for sentence in [*TEXT, "Münchner Sonnenwetter um halb dreißig"]:
        assert " ".join(reads.tokenize(sentence)) == theirs.segment(sentence)


def test_the_order_of_the_text_decides_nothing() -> None:
    assert learn(reversed(TEXT), vocab_size=120) == learn(TEXT, vocab_size=120)


def test_rare_characters_can_be_left_out(tmp_path: Path) -> None:
    text = [*TEXT, "Tokio heißt 東京 .", "Sapporo heißt 札幌 ."]
    everything, frequent = learn(text, symbols=50), learn(text, symbols=50, min_character_count=2)
    assert {"東", "東@@"} < set(everything.vocabulary)
    assert not set("東京札幌") & set("".join(frequent.vocabulary))
    reads = tokenizer(frequent, tmp_path)
    assert reads.decode(reads.encode("es heißt 東京"), clean_up_tokenization_spaces=False) == "es heißt <unk> <unk>"


def test_learning_ends_where_no_pair_comes_twice() -> None:
    learned = learn(["ab ab cd"], vocab_size=1000)
    assert learned.merges == (("a", "b</w>"),)
    assert len(learned.vocabulary) == 4 + 2 * 4 + 1
    assert learn(["a b c a b c"], vocab_size=1000).merges == ()


def test_what_the_tokenizer_takes_apart_is_not_learned_from() -> None:
    """Special tokens in a text are found before words are, and `@@` and `</w>` mean something else."""
    learned = learn(["x<unk>x x<unk>x </s></s> aa@@ aa@@ b</w>b b</w>b ok ok"], symbols=50)
    assert learned.merges == (("o", "k</w>"),)
    assert len(learned.vocabulary) == len(set(learned.vocabulary))


def test_sizes_that_cannot_be_had_are_said() -> None:
    with pytest.raises(UsageError, match=r"10 entries are too few: the 47 different characters .* alone take 98"):
        learn(TEXT, vocab_size=10)
    with pytest.raises(UsageError, match="one of the two"):
        learn(TEXT)
    with pytest.raises(UsageError, match="one of the two"):
        learn(TEXT, vocab_size=100, symbols=10)
    for nothing in ([], ["", "  "]):
        with pytest.raises(UsageError, match="no text to learn"):
            learn(nothing, symbols=10)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "subword_nmt.learn_bpe", None)
    with pytest.raises(UsageError, match=r"needs the package subword-nmt; run: pip install 's2t2-cli\[train\]'"):
        learn(TEXT, symbols=10)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        learn(TEXT, symbols=1).save_pretrained(tmp_path / "file")


def test_progress_counts_merges() -> None:
    seen: list[int] = []
    learn(TEXT, symbols=7, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6, 7]


LETTERS = st.sampled_from("aabbbcßЖ.@<>/w\\#1:ة") | st.characters(codec="utf-8", exclude_categories=("Z", "C"))
SENTENCES = st.lists(
    st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=6).map(" ".join), min_size=1
)


@given(SENTENCES, st.integers(0, 30))
def test_any_text_comes_back(sentences: list[str], symbols: int) -> None:
    reserved = ("<s>", "<pad>", "</s>", "<unk>", "</w>")
    sentences = [sentence for sentence in sentences if not any(one in sentence for one in reserved)]
    if not any("@@" not in word for sentence in sentences for word in sentence.split()):
        return  # nothing that sub-words are learned from
    learned = learn(sentences, symbols=symbols, min_character_count=1)
    assert len(set(learned.vocabulary)) == len(learned.vocabulary)
    known = set("".join(word for sentence in sentences for word in sentence.split() if "@@" not in word))
    with TemporaryDirectory() as folder:
        reads = tokenizer(learned, Path(folder))
    for sentence in sentences:
        if known.issuperset(sentence.replace(" ", "")):
            ids = reads.encode(sentence)
            assert reads.unk_token_id not in ids
            assert reads.decode(ids, clean_up_tokenization_spaces=False) == sentence
