"""What lies beside `vocab.json`: the settings and special tokens of a tokenizer, read and written.

Knows: `tokenizer_config.json`, the older `special_tokens_map.json` and `added_tokens.json`, which wins over which.
Does not know: what a tokenizer does with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2t2_cli.configuration import read_json_object
from s2t2_cli.errors import ConfigurationError, ModelNotFoundError, TokenizerError
from s2t2_cli.vocabulary import SPECIAL_NAMES, AddedToken

TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
SPECIAL_TOKENS_MAP_NAME = "special_tokens_map.json"
ADDED_TOKENS_NAME = "added_tokens.json"

# Which class this is, what the reference remembers about the machine it ran on, and files: a checkpoint does not say
# which files of this machine are read.
_NOT_SETTINGS = (
    "tokenizer_class", "name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "merges_file",
)  # fmt: skip

_LARGEST_ID = 2**31 - 1


def read_vocab(path: Path) -> dict[str, int]:
    """Token to id, from `vocab.json`. Raises TokenizerError, naming the file."""
    vocab = _read(path)
    if vocab is None:
        raise TokenizerError(f"there is no {path.name} in {path.parent}, and without it ids are not words")
    for token, number in vocab.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _LARGEST_ID:
            raise TokenizerError(f"{path}: the id of {token!r} is {number!r}, not a whole number from 0")
    return vocab


def read_settings(folder: Path) -> dict[str, Any]:
    """The keywords for a tokenizer, from the files of `folder`; all of them may be missing.

    As in the reference the two older files count only where `tokenizer_config.json` has no
    `added_tokens_decoder`, and then they win over it. Raises TokenizerError, naming the file.
    """
    settings = _read(folder / TOKENIZER_CONFIG_NAME) or {}
    if "added_tokens_decoder" not in settings:
        special = _read(folder / SPECIAL_TOKENS_MAP_NAME) or {}
        more = [*_tokens(settings), *(one for one in _tokens(special) if one not in _tokens(settings))]
        settings |= special
        if more:
            settings["additional_special_tokens"] = more
        added = _read(folder / ADDED_TOKENS_NAME)
        if added:
            settings["added_tokens_decoder"] = _added_tokens_decoder(added, settings)
    return {name: value for name, value in settings.items() if name not in _NOT_SETTINGS}


def settings_texts(special: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """File names and contents, laid out as in the published checkpoints: one line each, the class last."""
    config = {**special, **settings, "tokenizer_class": "Speech2Text2Tokenizer"}
    return {
        TOKENIZER_CONFIG_NAME: json.dumps(config, ensure_ascii=False),
        SPECIAL_TOKENS_MAP_NAME: json.dumps(special, ensure_ascii=False),
    }


def _tokens(settings: Mapping[str, Any]) -> list[Any]:
    tokens = settings.get("additional_special_tokens") or ()
    if not isinstance(tokens, list | tuple):
        raise TokenizerError(f"additional_special_tokens should be a list of tokens, not {tokens!r}")
    return list(tokens)


def _added_tokens_decoder(added: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`added_tokens.json` maps text to id; what else is known of a token is said where it is special."""
    special = [settings[name] for name in SPECIAL_NAMES if settings.get(name) is not None]
    tokens = [AddedToken.from_json(value, special=True) for value in (*special, *_tokens(settings))]
    known = {token.content: token for token in tokens}
    return {str(number): known.get(content, AddedToken(content)).to_json() for content, number in added.items()}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json_object(path)
    except ModelNotFoundError as error:
        if path.exists():  # and cannot be read
            raise TokenizerError(str(error)) from error
        return None
    except ConfigurationError as error:
        raise TokenizerError(str(error)) from error
