"""Samples to what the encoder takes: one row of float32 for each utterance, normalised, padded, with its mask.

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
    padded_length,
    padding_strategy,
    round_up,
    tensor_type,
)
from s2t2_cli.configuration import read_json_object
from s2t2_cli.errors import ConfigurationError, InvalidAudioError, UsageError
from s2t2_cli.pretrained import pretrained_folder, write_texts

PREPROCESSOR_CONFIG_NAME = "preprocessor_config.json"

# Added to the variance, as the reference does. fairseq normalises with 1e-5, which differs for very quiet audio.
VARIANCE_FLOOR = 1e-7

Samples = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


class Wav2Vec2FeatureExtractor:
    """Normalises and pads mono recordings; results equal the reference's bit for bit.

    Each utterance is brought to zero mean and unit variance over its own samples. Padding asked for without a mask
    takes part in the statistics, as it does in the reference, because models without a mask were trained so.
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16_000,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        do_normalize: bool = True,
        padding_side: str = "right",
        **extra: Any,
    ) -> None:
        """The fields of `preprocessor_config.json`; keys not known here are kept and written back.

        Raises ConfigurationError for what the encoder could not work with.
        """
        if feature_size != 1:
            raise ConfigurationError(
                f"feature_size={feature_size!r}: the encoder reads raw samples, one value a step"
            )
        if padding_side != "right":
            raise ConfigurationError(
                f"padding_side={padding_side!r} is not supported: the encoder counts valid samples from the start"
            )
        if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, int) or sampling_rate < 1:
            raise ConfigurationError(
                f"sampling_rate={sampling_rate!r} should be a number of samples a second"
            )
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
            raw_speech: mono samples, a 1-D array, tensor or list of numbers; or a batch, as a list of those or a
                2-D array or tensor with one row each.
            padding: True or "longest", "max_length", False or "do_not_pad".
            max_length: in samples; what "max_length" pads to and `truncation` cuts to.
            pad_to_multiple_of: rounds the padded and the cut length up.
            return_attention_mask: None takes the setting of the checkpoint.
            return_tensors: "pt", "np", or None for lists of arrays.
            sampling_rate: the rate of `raw_speech` in hertz; nothing is resampled, it is only checked.

        Returns:
            `input_values` float32 (batch, samples); `attention_mask` int32 (batch, samples), 1 on samples that
            were given and 0 on padding.

        Raises:
            InvalidAudioError: the declared rate is not the model's, or the samples are not mono.
            UsageError: options that contradict each other, or rows of different lengths for a tensor.
        """
        self._check_rate(sampling_rate)
        strategy = padding_strategy(padding)
        masked = self.return_attention_mask if return_attention_mask is None else return_attention_mask
        rows = _truncated(_utterances(raw_speech), max_length, truncation, pad_to_multiple_of)

        # Samples are normalised alone when their mask is kept; otherwise the padding is part of the utterance.
        alone = masked or strategy == "do_not_pad"
        if self.do_normalize and alone:
            rows = [normalize(row) for row in rows]
        columns = self._padded(rows, strategy, max_length, pad_to_multiple_of, masked)
        if self.do_normalize and not alone:
            columns["input_values"] = [normalize(row) for row in columns["input_values"]]
        return BatchFeature(columns).convert_to_tensors(return_tensors)

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
        """Pad rows that this object has made before, as a data collator does; nothing is normalised again.

        `processed_features` is a dictionary with a batch of `input_values`, or a list of dictionaries with one row
        each. Other options, results and errors as in `__call__`; what came as tensors goes back as tensors.
        """
        columns = as_columns(processed_features)
        if "input_values" not in columns:
            raise UsageError(f"pad needs input_values, found only: {', '.join(columns) or 'nothing'}")
        given = tensor_type(columns["input_values"])
        rows = _truncated(_utterances(columns["input_values"]), max_length, truncation, pad_to_multiple_of)
        masked = self.return_attention_mask if return_attention_mask is None else return_attention_mask
        columns |= self._padded(rows, padding_strategy(padding), max_length, pad_to_multiple_of, masked)
        return BatchFeature(columns).convert_to_tensors(return_tensors or given)

    def _check_rate(self, sampling_rate: int | None) -> None:
        if sampling_rate is None:
            logger.warning(
                "no sampling_rate given: the samples are taken to be at %d Hz, and a wrong rate gives wrong words",
                self.sampling_rate,
            )
        elif sampling_rate != self.sampling_rate:
            raise InvalidAudioError(
                f"the model hears audio at {self.sampling_rate} Hz and this is declared as {sampling_rate} Hz; "
                "resample it first (s2t2_cli.audio.load_audio does)"
            )

    def _padded(
        self, rows: list[Samples], strategy: str, max_length: int | None, multiple: int | None, masked: bool
    ) -> dict[str, Any]:
        if strategy == "max_length" and max_length is None:
            raise UsageError("padding='max_length' needs max_length, in samples")
        target = padded_length(map(len, rows), strategy, max_length, multiple)
        missing = [max(0, target - len(row)) for row in rows]
        filled = [
            np.pad(row, (0, count), constant_values=self.padding_value) if count else row
            for row, count in zip(rows, missing, strict=True)
        ]
        if not masked:
            return {"input_values": filled}
        valid = np.array([1, 0], dtype=np.int32)
        masks = [np.repeat(valid, [len(row), count]) for row, count in zip(rows, missing, strict=True)]
        return {"input_values": filled, "attention_mask": masks}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from the JSON object; `overrides` win over it. Raises ConfigurationError."""
        given = {**values, **overrides}
        given.pop("feature_extractor_type", None)
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
        folder = pretrained_folder(
            model, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only
        )
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

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> list[str]:
        """Write `preprocessor_config.json`, byte for byte as published; the folder is made. Raises OutputError."""
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"
        return write_texts(save_directory, {PREPROCESSOR_CONFIG_NAME: text})

    def __repr__(self) -> str:
        return f"{type(self).__name__} {json.dumps(self.to_dict(), indent=2, sort_keys=True)}"


def normalize(samples: Samples) -> Samples:
    """Zero mean and unit (population) variance over one utterance, in float32; silence stays silence."""
    if not samples.size:
        return samples
    scaled: Samples = (samples - samples.mean()) / np.sqrt(samples.var() + VARIANCE_FLOOR)
    return scaled


def _utterances(raw_speech: Any) -> list[Samples]:
    """The 1-D float32 rows in whatever was given. Raises InvalidAudioError."""
    if hasattr(raw_speech, "detach"):  # a torch tensor, on any device
        raw_speech = raw_speech.detach().cpu().numpy()
    if isinstance(raw_speech, np.ndarray):
        rows = list(raw_speech) if raw_speech.ndim == 2 else [raw_speech]
    elif isinstance(raw_speech, list | tuple):
        batched = bool(raw_speech) and np.ndim(raw_speech[0]) > 0
        rows = list(raw_speech) if batched else [raw_speech]
    else:
        raise InvalidAudioError(
            f"samples should be an array, a tensor or a list, not {type(raw_speech).__name__}"
        )
    if not rows:
        raise InvalidAudioError("there is no recording in the batch")
    return [_mono(row) for row in rows]


def _mono(row: Any) -> Samples:
    if hasattr(row, "detach"):
        row = row.detach().cpu().numpy()
    try:
        samples = np.asarray(row, dtype=np.float32)
    except (TypeError, ValueError):
        raise InvalidAudioError("samples should be numbers, in one row for each recording") from None
    if samples.ndim != 1:
        raise InvalidAudioError(
            f"only mono audio can be translated, and these samples have the shape {samples.shape}; "
            "mix the channels down first (s2t2_cli.audio.load_audio does)"
        )
    return samples


def _truncated(
    rows: list[Samples], max_length: int | None, truncation: bool, multiple: int | None
) -> list[Samples]:
    if not truncation:
        return rows
    if max_length is None:
        raise UsageError("truncation=True needs max_length, in samples")
    return [row[: round_up(max_length, multiple)] for row in rows]
