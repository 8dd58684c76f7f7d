"""Tokens and ids: the vocabulary of a checkpoint, its special tokens, and tokens added on top.

Knows: single tokens. Does not know: files, text, subwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from s2t2_cli.errors import TokenizerError

# In the order the reference lists them, gives them ids, and reports them in.
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
REQUIRED_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is found in the text before words are; the fields are those of the tokenizer files.

    `lstrip` and `rstrip` are kept for the files' sake: words are split at white space, so they do nothing.
    """

    content: str
    lstrip: bool = False
    normalized: bool = True
    rstrip: bool = False
    single_word: bool = False
    special: bool = False

    @classmethod
    def from_json(cls, value: Any, *, special: bool) -> AddedToken:
        """From a string, or from an object that may leave `special` out. Raises TokenizerError."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(value, special=special, normalized=not special)
        if not isinstance(value, Mapping) or not isinstance(value.get("content"), str):
            raise TokenizerError(f"a token should be a string or an object with its content, not {value!r}")
        return cls(**{"special": special, **{name: value[name] for name in cls.__slots__ if name in value}})

    def to_json(self) -> dict[str, Any]:
        """The object in `added_tokens_decoder`."""
        return {name: getattr(self, name) for name in self.__slots__}


class Vocabulary:
    """Which token has which id, and which tokens are special.

    Attributes:
        encoder: `vocab.json`, token to id.
        added_tokens_decoder: id to token, for special and added tokens.
        special_tokens_map: name (`bos_token`) to token, without `additional_special_tokens`.
        all_special_tokens, all_special_ids: what `skip_special_tokens` skips, in the order of the reference.
    """

    def __init__(self, encoder: Mapping[str, int], special: Mapping[str, Any]) -> None:
        """Give every special and added token its id: of its file, of the vocabulary, or the next free one.

        `special` holds the keys of `tokenizer_config.json`; those that name no tokens are passed over.
        Raises TokenizerError.
        """
        self.encoder = dict(encoder)
        self.decoder = {number: token for token, number in self.encoder.items()}
        named = {
            name: AddedToken.from_json(special[name], special=True)
            for name in SPECIAL_NAMES
            if special.get(name) is not None
        }
        for name in REQUIRED_NAMES:
            if name not in named:
                raise TokenizerError(f"{name} is not set, and the model cannot be used without it")
        more = [AddedToken.from_json(one, special=True) for one in special.get("additional_special_tokens") or ()]

        added = _added_tokens(special.get("added_tokens_decoder") or {})
        known = {token.content for token in added.values()}
        free = len(known | self.encoder.keys())
        for token in (*named.values(), *more):
            if token.content not in known:
                known.add(token.content)
                added[self.encoder.get(token.content, free)] = token
                free += token.content not in self.encoder

        self.added_tokens_decoder = dict(sorted(added.items()))
        self.added_tokens_encoder = {token.content: number for number, token in added.items()}
        self.special_tokens_map = {name: token.content for name, token in named.items()}
        self.additional_special_tokens = [token.content for token in more]
        unk_token_id = self.added_tokens_encoder.get(self.unk_token, self.encoder.get(self.unk_token))
        if unk_token_id is None:
            raise TokenizerError(f"the id given to {self.unk_token!r} belongs to another token too")
        self.unk_token_id: int = unk_token_id
        every = [*self.special_tokens_map.values(), *self.additional_special_tokens]
        self.all_special_tokens = list(dict.fromkeys(every))
        self.all_special_ids = [self.id_of(token) for token in self.all_special_tokens]

    @property
    def vocab_size(self) -> int:
        """Entries of `vocab.json`; what was added is not counted."""
        return len(self.encoder)

    def __len__(self) -> int:
        """Entries of `vocab.json` and what was added to them."""
        return len(self.encoder.keys() | self.added_tokens_encoder.keys())

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included."""
        return {**self.encoder, **self.added_tokens_encoder}

    def get_added_vocab(self) -> dict[str, int]:
        """Token to id, for special and added tokens only."""
        return dict(self.added_tokens_encoder)

    def id_of(self, token: str) -> int:
        """The id of a token; `unk_token_id` for a token without one."""
        return self.added_tokens_encoder.get(token, self.encoder.get(token, self.unk_token_id))

    def token_of(self, number: int) -> str:
        """The token of an id; `unk_token` for an id without one."""
        added = self.added_tokens_decoder.get(number)
        return added.content if added is not None else self.decoder.get(number, self.unk_token)

    @property
    def bos_token(self) -> str:
        return self.special_tokens_map["bos_token"]

    @property
    def eos_token(self) -> str:
        return self.special_tokens_map["eos_token"]

    @property
    def unk_token(self) -> str:
        return self.special_tokens_map["unk_token"]

    @property
    def pad_token(self) -> str:
        return self.special_tokens_map["pad_token"]

    @property
    def bos_token_id(self) -> int:
        return self.id_of(self.bos_token)

    @property
    def eos_token_id(self) -> int:
        return self.id_of(self.eos_token)

    @property
    def pad_token_id(self) -> int:
        return self.id_of(self.pad_token)

    @property
    def plain(self) -> bool:
        """True where all special tokens lie in `vocab.json` and nothing is known of them but their names."""
        return all(
            token == AddedToken(token.content, special=True, normalized=False)
            and token.content in self.encoder
            and token.content in self.all_special_tokens
            for token in self.added_tokens_decoder.values()
        )


def token_pattern(tokens: Iterable[AddedToken]) -> re.Pattern[str] | None:
    """Finds the tokens in a text, the longest where several start; None when there are none."""
    longest_first = sorted((token for token in tokens if token.content), key=lambda token: -len(token.content))
    spellings = [
        rf"(?<![^ ]){re.escape(token.content)}(?![^ ])" if token.single_word else re.escape(token.content)
        for token in longest_first
    ]
    return re.compile(f"({'|'.join(spellings)})") if spellings else None


def _added_tokens(values: Any) -> dict[int, AddedToken]:
    """`added_tokens_decoder`, whose ids JSON holds as strings."""
    try:
        return {int(number): AddedToken.from_json(token, special=False) for number, token in values.items()}
    except (AttributeError, ValueError) as error:
        if isinstance(error, TokenizerError):
            raise
        raise TokenizerError("added_tokens_decoder should map ids to tokens") from None
