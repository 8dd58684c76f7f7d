"""Samples to what the encoder takes: one float32 row for each utterance, normalised, padded, with its mask.

Knows: numpy, `preprocessor_config.json`. Does not know: how audio is decoded or resampled (audio), the model.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from s2t2_cli.batch_feature import (
    BatchFeature,
    as_columns,
    as_lists,
    padded_length,
    padding_strategy,
    round_up,
    tensor_type,
)
from s2t2_cli.configuration import read_json_object
from s2t2_cli.errors import ConfigurationError, InvalidAudioError, UsageError
from s2t2_cli.pretrained import pretrained_folder, write_texts

PREPROCESSOR_CONFIG_NAME = "preprocessor_config.json"

# Added to the variance, as in the reference. fairseq normalises with 1e-5, which differs for very quiet audio.
VARIANCE_FLOOR = 1e-7

Samples = npt.NDArray[np.float32]
Mask = npt.NDArray[np.int32]

logger = logging.getLogger(__name__)


class Wav2Vec2FeatureExtractor:
    """Normalises and pads mono recordings, to the same bits as the reference.

    Each utterance is brought to zero mean and unit variance. Padding that comes without a mask takes part in the
    statistics, as in the reference: models that take no mask were trained on that.
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        /,
        feature_size: int = 1,
        sampling_rate: int = 16_000,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        do_normalize: bool = True,
        padding_side: str = "right",
        **extra: Any,
    ) -> None:
        """The fields of `preprocessor_config.json`; keys not known here are kept and written back.

        Raises ConfigurationError for values that the encoder could not work with.
        """
        if feature_size != 1:
            raise ConfigurationError(f"feature_size={feature_size!r}: the encoder reads one sample a step")
        if padding_side != "right":
            raise ConfigurationError(
                f"padding_side={padding_side!r} is not supported: the encoder counts valid samples from the start"
            )
        if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, int) or sampling_rate < 1:
            raise ConfigurationError(f"sampling_rate={sampling_rate!r} should be a number of samples a second")
        if isinstance(padding_value, bool) or not isinstance(padding_value, int | float):
            raise ConfigurationError(f"padding_value={padding_value!r} should be a number")
        self.feature_size = feature_size
        self.sampling_rate = sampling_rate
        self.padding_value = padding_value
        self.return_attention_mask = return_attention_mask
        self.do_normalize = do_normalize
        self.padding_side = padding_side
        self.extra = extra

    def __call__(
        self,
        raw_speech: Any,
        *,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
    ) -> BatchFeature:
        """One recording or a batch of them as `input_values` and, where wanted, `attention_mask`.

        Args:
            raw_speech: mono samples: a 1-D array or tensor or a list of numbers. Or a batch: a list of those, or a
                2-D array or tensor with one recording in each row.
            padding: True or "longest", "max_length", False or "do_not_pad".
            max_length: in samples; what "max_length" pads to and `truncation` cuts to.
            truncation: cut longer recordings.
            pad_to_multiple_of: rounds the padded and the cut length up.
            return_attention_mask: None takes the setting of the checkpoint.
            return_tensors: "pt", "np", or None for lists of arrays.
            sampling_rate: the rate of `raw_speech` in hertz. It is checked and nothing is resampled; left out, it
                is taken to be right and a warning logged.

        Returns:
            `input_values` float32 (batch, samples); `attention_mask` int32 (batch, samples), 0 on padding, else 1.

        Raises:
            InvalidAudioError: the declared rate is not the model's, or these are not mono samples.
            UsageError: options that contradict each other, or rows of different lengths for a tensor.
        """
        self._check_rate(sampling_rate)
        masked = self.return_attention_mask if return_attention_mask is None else return_attention_mask
        strategy = padding_strategy(padding)
        rows = _truncated(_utterances(raw_speech), max_length, truncation, pad_to_multiple_of)
        target = padded_length(map(len, rows), strategy, max_length, pad_to_multiple_of)

        # With its mask an utterance is normalised alone; without, the padding is a part of it.
        alone = masked or strategy == "do_not_pad"
        if self.do_normalize and alone:
            rows = [normalize(row) for row in rows]
        batch = BatchFeature(input_values=[_filled(row, target, self.padding_value) for row in rows])
        if self.do_normalize and not alone:
            batch["input_values"] = [normalize(row) for row in batch["input_values"]]
        if masked:
            batch["attention_mask"] = [_filled(mask, target, 0) for mask in _masks(rows)]
        return batch.convert_to_tensors(return_tensors)

    def pad(
        self,
        processed_features: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        *,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Pad rows that were normalised before, as a data collator does.

        `processed_features` is a dictionary with a batch of `input_values`, or a list of dictionaries with one row
        each. Their `attention_mask` is padded too, or made where wanted; other columns stay as they are. Options
        and errors as in `__call__`; what came as arrays or tensors goes back as such.
        """
        columns = as_columns(processed_features)
        if "input_values" not in columns:
            raise UsageError(f"pad needs input_values, and there is only: {', '.join(columns) or 'nothing'}")
        return_tensors = return_tensors or tensor_type(columns["input_values"])
        masked = self.return_attention_mask if return_attention_mask is None else return_attention_mask
        rows = _truncated(_utterances(columns["input_values"]), max_length, truncation, pad_to_multiple_of)
        target = padded_length(map(len, rows), padding_strategy(padding), max_length, pad_to_multiple_of)

        masks = _masks(rows)
        if "attention_mask" in columns:
            given = as_lists(columns["attention_mask"])
            masks = [np.asarray(mask, dtype=np.int32)[: len(row)] for mask, row in zip(given, rows, strict=True)]
        columns["input_values"] = [_filled(row, target, self.padding_value) for row in rows]
        if masked or "attention_mask" in columns:
            columns["attention_mask"] = [_filled(mask, target, 0) for mask in masks]
        return BatchFeature(columns).convert_to_tensors(return_tensors)

    def _check_rate(self, sampling_rate: int | None) -> None:
        if sampling_rate is None:
            logger.warning(
                "no sampling_rate given: the samples are taken to be at %d Hz, and if they are not the words are wrong",
                self.sampling_rate,
            )
        elif sampling_rate != self.sampling_rate:
            raise InvalidAudioError(
                f"the model needs audio at {self.sampling_rate} Hz and this is declared as {sampling_rate} Hz; "
                "resample it first, for example with s2t2_cli.audio.load_audio"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from the JSON object; `overrides` win over it. Raises ConfigurationError."""
        given = {**values, **overrides}
        kind = given.pop("feature_extractor_type", cls.__name__)
        if kind != cls.__name__:
            raise ConfigurationError(f"feature_extractor_type={kind!r} is not supported, only {cls.__name__}")
        return cls(**given)

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
        """Read `preprocessor_config.json` of a local folder or a hub id; `overrides` win over it.

        Raises ModelNotFoundError, HubUnreachableError, ConfigurationError.
        """
        folder = pretrained_folder(model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
        return cls.from_dict(read_json_object(folder / PREPROCESSOR_CONFIG_NAME), **overrides)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, left-over keys included."""
        return {
            **self.extra,
            "do_normalize": self.do_normalize,
            "feature_extractor_type": type(self).__name__,
            "feature_size": self.feature_size,
            "padding_side": self.padding_side,
            "padding_value": self.padding_value,
            "return_attention_mask": self.return_attention_mask,
            "sampling_rate": self.sampling_rate,
        }

    def to_json_string(self) -> str:
        """The contents of `preprocessor_config.json`, to the byte as published."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> list[str]:
        """Write `preprocessor_config.json` and return its path; the folder is made. Raises OutputError."""
        return write_texts(save_directory, {PREPROCESSOR_CONFIG_NAME: self.to_json_string()})

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def normalize(samples: Samples) -> Samples:
    """Zero mean and unit (population) variance, in float32; silence stays silence."""
    if not samples.size:
        return samples
    scaled: Samples = (samples - samples.mean()) / np.sqrt(samples.var() + VARIANCE_FLOOR)
    return scaled


def _utterances(raw_speech: Any) -> list[Samples]:
    """The float32 rows (samples,) in whatever was given. Raises InvalidAudioError."""
    if isinstance(raw_speech, list | tuple):
        if not raw_speech:
            raise InvalidAudioError("there are no samples: the list is empty")
        batched = isinstance(raw_speech[0], list | tuple) or getattr(raw_speech[0], "ndim", 0) > 0
        return [_mono(row) for row in raw_speech] if batched else [_mono(raw_speech)]
    if getattr(raw_speech, "ndim", 0) == 2:
        return [_mono(row) for row in raw_speech]
    return [_mono(raw_speech)]


def _mono(row: Any) -> Samples:
    if hasattr(row, "detach"):  # a torch tensor, wherever it lies
        row = row.detach().float().cpu().numpy()
    try:
        samples = np.asarray(row)
    except ValueError:  # rows of different lengths within one
        samples = np.asarray(None)
    if samples.dtype.kind not in "fiu":
        raise InvalidAudioError("audio should be an array, a tensor or a list of numbers, or a batch of those")
    if samples.ndim != 1:
        raise InvalidAudioError(
            f"audio should be mono, with one row of samples, and this has the shape {samples.shape}; "
            "mix the channels down first, for example with s2t2_cli.audio.load_audio"
        )
    return samples.astype(np.float32, copy=False)


def _truncated(rows: list[Samples], max_length: int | None, truncation: bool, multiple: int | None) -> list[Samples]:
    if not truncation:
        return rows
    if max_length is None:
        raise UsageError("truncation=True needs max_length, in samples")
    return [row[: round_up(max_length, multiple)] for row in rows]


def _masks(rows: list[Samples]) -> list[Mask]:
    return [np.ones(len(row), dtype=np.int32) for row in rows]


def _filled(row: npt.NDArray[Any], length: int, value: float) -> npt.NDArray[Any]:
    missing = length - len(row)
    return np.pad(row, (0, missing), constant_values=value) if missing > 0 else row
