"""Text to token ids and back, with the results of the reference.

Knows: the tokenizer files of a checkpoint, batches of ids, the English clean-up of decoded text.
Does not know: audio, models, natural punctuation (text).
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from s2t2_cli.batch_feature import (
    BatchFeature,
    as_columns,
    as_lists,
    padded_length,
    padding_strategy,
    tensor_type,
)
from s2t2_cli.bpe import CONTINUES, BytePairEncoding
from s2t2_cli.errors import TokenizerError, UsageError
from s2t2_cli.pretrained import pretrained_folder, write_texts
from s2t2_cli.text import clean_up_tokenization
from s2t2_cli.tokenizer_files import read_settings, read_vocab, settings_texts
from s2t2_cli.vocabulary import SPECIAL_NAMES, AddedToken, Vocabulary, token_pattern

VOCAB_NAME = "vocab.json"
MERGES_NAME = "merges.txt"

NO_LIMIT = int(1e30)
"""`model_max_length` where the checkpoint names none, as in the reference."""

# Settings and what they are in a checkpoint that does not name them.
_USUAL = {
    "do_lower_case": False,
    "model_max_length": NO_LIMIT,
    "padding_side": "right",
    "truncation_side": "right",
    "clean_up_tokenization_spaces": True,
}

logger = logging.getLogger(__name__)


class Speech2Text2Tokenizer(Vocabulary):
    """The tokenizer of the Speech2Text2 checkpoints: byte pairs, `@@` on a subword that the next one continues.

    Text is split at white space only: the checkpoints expect Moses-tokenised text, and write it. Encoding adds
    neither start nor end token. Without `merges.txt` the tokenizer decodes only.

    Two results differ from the reference on purpose: a single id decodes to its token ("hallo", where the reference
    gives "h a l l o"), and a word without an id is always `unk_token_id`, where the reference may give None.
    """

    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]

    def __init__(
        self,
        /,
        vocab_file: str | os.PathLike[str],
        bos_token: str = "<s>",
        pad_token: str = "<pad>",
        eos_token: str = "</s>",
        unk_token: str = "<unk>",
        do_lower_case: bool = False,
        merges_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Read the two files; other keywords are keys of `tokenizer_config.json`, and unknown ones are kept.

        Raises TokenizerError, naming the file or the key.
        """
        named = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            "unk_token": unk_token,
            "pad_token": pad_token,
        }
        super().__init__(read_vocab(Path(vocab_file)), {**kwargs, **named})
        self.bpe = None if merges_file is None else BytePairEncoding.from_file(Path(merges_file))

        self.do_lower_case = bool(do_lower_case)
        self.model_max_length: int = kwargs.get("model_max_length", NO_LIMIT)
        self.padding_side: str = kwargs.get("padding_side", "right")
        self.truncation_side: str = kwargs.get("truncation_side", "right")
        self.clean_up_tokenization_spaces = bool(kwargs.get("clean_up_tokenization_spaces", True))
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in ("left", "right"):
                raise TokenizerError(f"{name}={getattr(self, name)!r} should be 'left' or 'right'")
        limit: Any = self.model_max_length  # the published files have 1e30
        if not isinstance(limit, int | float) or not (limit >= NO_LIMIT or (limit >= 1 and limit == int(limit))):
            raise TokenizerError(f"model_max_length={limit!r} should be a number of tokens")
        if limit < NO_LIMIT:
            self.model_max_length = int(limit)
        self._extra = {
            name: value
            for name, value in kwargs.items()
            if name not in (*SPECIAL_NAMES, *_USUAL, "additional_special_tokens")
        }

        self._splitter = token_pattern(self.added_tokens_decoder.values())
        # Lower-casing spares these; any other token loses the spelling by which it would be found.
        spared = {one.content for one in self.added_tokens_decoder.values() if one.normalized and not one.special}
        self._spared = token_pattern(AddedToken(content) for content in spared.union(self.all_special_tokens))
        # Decoding joins subwords up to one of these and anew after it.
        self._apart = (self.added_tokens_encoder.keys() - self.all_special_tokens) | {
            token for token in self.additional_special_tokens if self.id_of(token) >= self.vocab_size
        }

    # Text to ids

    def tokenize(self, text: str) -> list[str]:
        """The subwords of a text, all but the last of a word ending in `@@`; special and added tokens stay whole.

        Raises TokenizerError where the checkpoint has no `merges.txt`.
        """
        if self.do_lower_case:
            # Letter by letter as the reference does it: a capital sigma never becomes the final one.
            parts = _parts(self._spared, text)
            text = "".join(part if found else "".join(map(str.lower, part)) for found, part in parts)
        tokens: list[str] = []
        for found, part in _parts(self._splitter, text):
            if found:
                tokens.append(part)
            else:
                tokens += [token for word in part.split() for token in self._subwords(word)]
        return tokens

    def _subwords(self, word: str) -> list[str]:
        if self.bpe is None:
            raise TokenizerError(
                f"this tokenizer has no {MERGES_NAME} and so decodes only; "
                "load a checkpoint that has the file, or pass merges_file"
            )
        return self.bpe.split(word)

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The id of one token (int), or those of several (list of int); `unk_token_id` for an unknown one."""
        return self.id_of(tokens) if isinstance(tokens, str) else [self.id_of(token) for token in tokens]

    def encode(self, text: str, **options: Any) -> Any:
        """The ids of one text as a list, or with `return_tensors` as a tensor (1, tokens).

        Options and errors as in `__call__`.
        """
        if not isinstance(text, str):
            raise UsageError(f"encode takes one text, not {type(text).__name__}; call the tokenizer for several")
        return self(text, **options)["input_ids"]

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        *,
        text_target: str | Sequence[str] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """The ids of one text or of several, with their mask.

        Args:
            text: what to encode.
            text_target: the same for targets; beside `text` its ids come as `labels`.
            add_special_tokens: without effect, as in the reference: the tokenizer adds none.
            padding: True or "longest", "max_length", False or "do_not_pad".
            truncation: True, False, or None, which cuts where `max_length` is given and `padding` is False.
            max_length: in tokens; where one is needed and none given, `model_max_length` of the checkpoint.
            pad_to_multiple_of: rounds the padded length up.
            return_attention_mask: None means True.
            return_tensors: "pt", "np", or None for lists.

        Returns:
            `input_ids` and `attention_mask`: int64 (batch, tokens) as tensors, else lists, flat for one text.

        Raises:
            TokenizerError: there is no `merges.txt`.
            UsageError: options that contradict each other, or rows of different lengths for a tensor.
        """
        cut = self._cut(truncation, max_length, padding)
        strategy = padding_strategy(padding)
        if strategy == "max_length" and max_length is None:
            max_length = self.model_max_length
            if max_length >= NO_LIMIT:
                logger.warning("padding='max_length' but no max_length is given, nor set by the model: not padded")
                strategy = "do_not_pad"
        if cut and strategy != "do_not_pad" and pad_to_multiple_of and cut % pad_to_multiple_of:
            raise UsageError(f"max_length={cut} is not a multiple of pad_to_multiple_of={pad_to_multiple_of}")

        def encoded(texts: str | Sequence[str]) -> BatchFeature:
            if not isinstance(texts, str | list | tuple):
                raise UsageError(f"text should be a string or a list of strings, not {type(texts).__name__}")
            rows = [self._ids(one, cut) for one in ([texts] if isinstance(texts, str) else texts)]
            flat = isinstance(texts, str) and return_tensors is None
            return self.pad(
                {"input_ids": rows[0] if flat else rows},
                strategy,
                max_length=max_length,
                pad_to_multiple_of=pad_to_multiple_of,
                return_attention_mask=return_attention_mask,
                return_tensors=return_tensors,
            )

        if text is None:
            if text_target is None:
                raise UsageError("there is nothing to encode; pass text or text_target")
            return encoded(text_target)
        batch = encoded(text)
        if text_target is not None:
            batch["labels"] = encoded(text_target)["input_ids"]
        return batch

    def _ids(self, text: str, cut: int | None) -> list[int]:
        if not isinstance(text, str):
            raise UsageError(f"a text should be a string, not {type(text).__name__}")
        ids = [self.id_of(token) for token in self.tokenize(text)]
        if not cut:
            return ids
        return ids[-cut:] if self.truncation_side == "left" else ids[:cut]

    def _cut(self, truncation: bool | str | None, max_length: int | None, padding: bool | str) -> int | None:
        """How many tokens of each text are kept; None for all."""
        if truncation is None:
            truncation = max_length is not None and padding is False
        if truncation not in (True, False, "longest_first", "only_first", "do_not_truncate"):
            raise UsageError(f"truncation={truncation!r} is not supported; choose True or False")
        if truncation in (False, "do_not_truncate"):
            return None
        limit = self.model_max_length if max_length is None else max_length
        return limit if limit < NO_LIMIT else None

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        *,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Pad rows of ids, as a data collator does.

        `encoded_inputs` is a dictionary with `input_ids` (one row or a batch), or a list of dictionaries with one
        row each. Their `attention_mask` is padded too, or made; other columns stay as they are. What came as
        tensors goes back as tensors. Raises UsageError.
        """
        columns = as_columns(encoded_inputs)
        if "input_ids" not in columns:
            raise UsageError(f"pad needs input_ids, and there is only: {', '.join(columns) or 'nothing'}")
        return_tensors = return_tensors or tensor_type(columns["input_ids"])
        rows = as_lists(columns["input_ids"])
        flat = not rows or not isinstance(rows[0], list)
        rows = [rows] if flat else rows
        masks = [[1] * len(row) for row in rows]
        if "attention_mask" in columns:
            masks = as_lists(columns["attention_mask"])
            masks = [masks] if flat else masks
        target = padded_length(map(len, rows), padding_strategy(padding), max_length, pad_to_multiple_of)
        if flat and not rows[0]:
            target = 0  # as in the reference: an empty row alone stays empty, in a batch it is padded
        columns["input_ids"] = [self._filled(row, target, self.pad_token_id) for row in rows]
        if return_attention_mask is not False:
            columns["attention_mask"] = [self._filled(mask, target, 0) for mask in masks]
        if flat:
            columns |= {name: columns[name][0] for name in self.model_input_names if name in columns}
        return BatchFeature(columns).convert_to_tensors(return_tensors)

    def _filled(self, row: list[int], length: int, value: int) -> list[int]:
        filling = [value] * (length - len(row))
        return filling + row if self.padding_side == "left" else row + filling

    # Ids to text

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of one id (str), or the tokens of a row of ids (list of str); `unk_token` for an unknown id."""
        numbers = as_lists(ids)
        try:
            if not isinstance(numbers, list):
                return self.token_of(int(numbers))
            skipped = self.all_special_ids if skip_special_tokens else ()
            return [self.token_of(number) for number in map(int, numbers) if number not in skipped]
        except (TypeError, ValueError):
            raise UsageError(f"ids should be whole numbers in one row, not {ids!r:.80}") from None

    def convert_tokens_to_string(self, tokens: Iterable[str]) -> str:
        """Subwords joined to words and words to a text; a last subword that goes on keeps its `@@`."""
        return " ".join(tokens).replace(f"{CONTINUES} ", "")

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
    ) -> str:
        """The text of one row of ids: a list, an array, a tensor, or a single id.

        Words stay apart as the model wrote them (Moses-tokenised), but for the reference's English clean-up, which
        joins some punctuation and contractions; None takes the setting of the checkpoint, on if it has none. What
        generation returns holds start and end token: pass `skip_special_tokens=True`. An id outside the vocabulary
        becomes `unk_token`, and that is not skipped. Raises UsageError for more than one row.
        """
        numbers = as_lists(token_ids)
        numbers = numbers if isinstance(numbers, list) else [numbers]
        runs: list[list[str]] = [[]]
        for token in self.convert_ids_to_tokens(numbers, skip_special_tokens):
            if token in self._apart:
                runs += [[token], []]
            else:
                runs[-1].append(token)
        texts = [self.convert_tokens_to_string(run) for run in runs if run]
        text = (" " if spaces_between_special_tokens else "").join(texts)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return clean_up_tokenization(text) if clean_up_tokenization_spaces else text

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """The texts of several rows of ids: (batch, tokens), or a list of rows. Options as in `decode`."""
        return [self.decode(row, skip_special_tokens, **options) for row in as_lists(sequences)]

    # Files

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Read the tokenizer files of a local folder or a hub id; `overrides` win over `tokenizer_config.json`.

        `merges.txt` may be missing, as it is in checkpoints before November 2021. Raises ModelNotFoundError,
        HubUnreachableError, TokenizerError.
        """
        folder = pretrained_folder(model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
        merges = folder / MERGES_NAME
        config = {"merges_file": merges if merges.is_file() else None, **read_settings(folder), **overrides}
        return cls(folder / VOCAB_NAME, **config)

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...] | None:
        """Write `vocab.json` and, where there is one, `merges.txt`, byte for byte as the reference does.

        A folder that does not exist is logged and None returned, as the reference does; `save_pretrained` makes
        it. Raises OutputError where it cannot be written.
        """
        if not Path(save_directory).is_dir():
            logger.error("the vocabulary was not saved: %s is not a folder", save_directory)
            return None
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        vocab = json.dumps(self.encoder, indent=2, sort_keys=True, ensure_ascii=False)
        texts = {prefix + VOCAB_NAME: vocab + "\n"}
        if self.bpe is not None:
            texts[prefix + MERGES_NAME] = self.bpe.to_text()
        return tuple(write_texts(save_directory, texts))

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write all tokenizer files in the layout of the published checkpoints; the folder is made.

        Raises OutputError.
        """
        special: dict[str, Any] = dict(self.special_tokens_map)
        if self.additional_special_tokens:
            special["additional_special_tokens"] = self.additional_special_tokens
        settings = self._extra | {
            name: getattr(self, name) for name, usual in _USUAL.items() if getattr(self, name) != usual
        }
        if "added_tokens_decoder" in settings or not self.plain:
            settings["added_tokens_decoder"] = {
                str(number): token.to_json() for number, token in self.added_tokens_decoder.items()
            }
        paths = write_texts(save_directory, settings_texts(special, settings))
        return (*paths, *(self.save_vocabulary(save_directory) or ()))

    def __repr__(self) -> str:
        kind = "encodes and decodes" if self.bpe is not None else f"decodes only, no {MERGES_NAME}"
        return f"{type(self).__name__}({len(self)} tokens, {kind}, special tokens: {self.special_tokens_map})"


def _parts(pattern: re.Pattern[str] | None, text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, each with whether it is one the pattern finds."""
    pieces = [text] if pattern is None else pattern.split(text)
    for position, piece in enumerate(pieces):
        yield position % 2 == 1, piece
