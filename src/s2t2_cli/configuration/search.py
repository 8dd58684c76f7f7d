"""The settings of the search, with the reference's names, defaults and meanings.

Knows: what may be asked of the search, what is refused. Does not know: how the search goes.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from s2t2_cli.configuration.base import JsonConfig, read_json_object, write_json_object
from s2t2_cli.configuration.networks import SpeechEncoderDecoderConfig
from s2t2_cli.errors import ConfigurationError

GENERATION_CONFIG_NAME = "generation_config.json"

MAX_BEAMS = 1_000
"""Memory and time grow with each; beyond ten hardly any text changes."""

MAX_TOKENS = 4_096
"""Of one output; the models were trained on a hundred. A checkpoint that never ends one is stopped here."""

MAX_PENALTY = 50
"""The exponent of a length; from about 85 on, a power of a length is no longer a number."""

# What the reference could do and this package does not: refused unless it has its neutral value.
_NOT_SUPPORTED: dict[str, Any] = {
    "do_sample": False,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "penalty_alpha": None,
    "force_words_ids": None,
    "constraints": None,
    "sequence_bias": None,
    "guidance_scale": None,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "exponential_decay_length_penalty": None,
    "max_time": None,
    "forced_decoder_ids": None,
    "assistant_model": None,
}


@dataclass(kw_only=True)
class GenerationConfig(JsonConfig):
    """How to search; the names, defaults and meanings are the reference's `GenerationConfig`."""

    max_length: int = 20
    """Longest output in tokens, start token included. `max_new_tokens`, which excludes it, wins over it."""
    max_new_tokens: int | None = None
    min_length: int = 0
    """Shortest output in tokens, start token included, before an end token may come. `min_new_tokens` wins over it."""
    min_new_tokens: int | None = None
    num_beams: int = 1
    early_stopping: bool | str = False
    """True: stop at `num_beams` finished hypotheses. False: when no running one is likely to beat them, judged by
    the present length. "never": judged by the best length the penalty allows."""
    length_penalty: float = 1.0
    """Scores are divided by length to this power: above 0 favours longer output."""
    num_return_sequences: int = 1
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    bad_words_ids: tuple[tuple[int, ...], ...] | None = None
    suppress_tokens: tuple[int, ...] | None = None
    begin_suppress_tokens: tuple[int, ...] | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | tuple[int, ...] | None = None
    remove_invalid_values: bool = False
    renormalize_logits: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        self.require_positive("num_beams", "num_return_sequences", "max_length")
        if self.max_new_tokens is not None:
            self.require_positive("max_new_tokens")
        self.require_at_most(MAX_BEAMS, "num_beams")
        self.require_at_most(MAX_TOKENS, "max_length", "max_new_tokens")
        for name in ("min_length", "no_repeat_ngram_size"):
            if getattr(self, name) < 0:
                raise self.refuse(name, "must not be negative")
        if self.early_stopping not in (True, False, "never"):
            raise self.refuse("early_stopping", "must be true, false or 'never'")
        if self.repetition_penalty <= 0:
            raise self.refuse("repetition_penalty", "must be above 0")
        if not math.isfinite(self.length_penalty):
            raise self.refuse("length_penalty", "must be a finite number")
        if abs(self.length_penalty) > MAX_PENALTY:
            raise self.refuse("length_penalty", f"must lie between -{MAX_PENALTY} and {MAX_PENALTY}")
        if not all(self.bad_words_ids or [[0]]):
            raise self.refuse("bad_words_ids", "holds a word without ids")
        if self.num_return_sequences > self.num_beams:
            raise self.refuse(
                "num_return_sequences",
                f"is more than num_beams={self.num_beams}: a beam keeps one hypothesis each",
            )
        for name, neutral in _NOT_SUPPORTED.items():
            value = self.extra.get(name, neutral)
            if value is not None and value != neutral:
                raise ConfigurationError(f"GenerationConfig: {name}={value!r} is not supported")

    @classmethod
    def from_model_config(cls, config: SpeechEncoderDecoderConfig) -> Self:
        """The settings that old checkpoints keep in `config.json` itself.

        Top-level values first; what is at its default there is taken from the decoder (reference behaviour).
        """
        names = {one.name for one in dataclasses.fields(cls)} - {"extra"}
        defaults = cls()
        top = {name: value for name, value in config.to_dict().items() if name in names}
        decoder = {name: value for name, value in config.decoder.to_dict().items() if name in names}
        for name, value in decoder.items():
            if top.get(name, getattr(defaults, name)) == getattr(defaults, name):
                top[name] = value
        return cls.from_dict({name: value for name, value in top.items() if value is not None})

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Read `generation_config.json` of a local folder. Raises ModelNotFoundError, ConfigurationError."""
        return cls.from_dict(read_json_object(Path(folder) / GENERATION_CONFIG_NAME))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `generation_config.json` into `folder`: what differs from the defaults, as the reference does."""
        defaults = GenerationConfig().to_dict()
        values = {
            name: value for name, value in self.to_dict().items() if name not in defaults or value != defaults[name]
        }
        write_json_object(Path(folder) / GENERATION_CONFIG_NAME, values)

    def replace(self, **overrides: Any) -> GenerationConfig:
        """A copy with some values changed; None leaves a value. Raises ConfigurationError for unknown names."""
        known = {one.name for one in dataclasses.fields(self)} - {"extra"}
        for name, value in overrides.items():
            if name not in known and not (name in _NOT_SUPPORTED and value in (None, _NOT_SUPPORTED[name])):
                raise ConfigurationError(f"GenerationConfig: {name!r} is not a setting of the search")
        given = {name: value for name, value in overrides.items() if value is not None and name in known}
        return GenerationConfig.from_dict(self.to_dict(), **given)

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """The tokens that end a hypothesis; the first of them closes the output."""
        return as_ids(self.eos_token_id)

    @property
    def output_limit(self) -> int:
        """Longest output in tokens, start token included."""
        return self.max_length if self.max_new_tokens is None else self.max_new_tokens + 1


def as_ids(value: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """One id, several or none, as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)
