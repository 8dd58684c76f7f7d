"""Examples become batches: recordings decoded, normalised and padded, texts as label ids.

Knows: audio files, the feature extractor, the tokenizer. Does not know: where examples come from, the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s2t2_cli.audio import SAMPLING_RATE, load_audio
from s2t2_cli.errors import InputError
from s2t2_cli.feature_extraction import Samples, Wav2Vec2FeatureExtractor
from s2t2_cli.text import MosesTokenizer
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.batches import BatchPart, plan_epoch
from s2t2_cli.training.examples import Example
from s2t2_cli.training.objective import IGNORED

# What a recording may be longer than its row or its container states before it is left out.
_SLACK_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class SpeechBatch:
    """Recordings with their targets.

    `input_values` (batch, samples) float32, normalised; `attention_mask` (batch, samples) or None where the model
    takes none; `labels` (batch, tokens), -100 behind the end token; `units` the ids CTC is to find in each row,
    None for a row or a batch without; `seconds` of audio.
    """

    input_values: Tensor
    attention_mask: Tensor | None
    labels: Tensor
    seconds: float
    units: Sequence[Sequence[int] | None] | None = None


class LabelMaker:
    """Text as people write it to label ids: Moses-tokenised, sub-words, the end token."""

    def __init__(self, tokenizer: Speech2Text2Tokenizer, lang: str | None, *, end: int, longest: int) -> None:
        """`lang` None leaves out the Moses tokenisation; `end` is the id of the end token; `longest` bounds the ids."""
        self._tokenizer, self._end, self._longest = tokenizer, end, longest
        self._moses = None if lang is None else MosesTokenizer(lang)

    def __call__(self, text: str) -> list[int]:
        """The ids. Raises InputError for more of them than the model has positions."""
        ids = [*self._encode(text), self._end]
        if len(ids) > self._longest:
            raise InputError(f"its text has {len(ids)} sub-words, and the model {self._longest} positions")
        return ids

    def unknown_share(self, texts: Sequence[str]) -> float:
        """How many of the sub-words of `texts` the vocabulary lacks, from 0 to 1."""
        ids = [number for text in texts for number in self._encode(text)]
        return ids.count(self._tokenizer.unk_token_id) / max(1, len(ids))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text if self._moses is None else self._moses(text))
        return ids


class SpeechBatches:
    """Where the batches of speech translation come from (`training.tasks.Batches`)."""

    def __init__(
        self,
        examples: Sequence[Example],
        extractor: Wav2Vec2FeatureExtractor,
        labels_of: LabelMaker,
        *,
        batch_seconds: float,
        per_update: int,
        seed: int,
        weights: Sequence[float] | None = None,
        units: Mapping[str, int] | None = None,
        workers: int = 1,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`weights` say how often each example comes in an epoch, `units` are the ids of the CTC units by name,
        `workers` threads decode. A row that turns out to be unusable is named to `report`, once, and left out.
        """
        self._examples, self._extractor, self._labels_of = examples, extractor, labels_of
        self._lengths = np.array([one.duration for one in examples])
        self._weights, self._units = weights, units
        self._budget, self._per_update, self._seed = batch_seconds, per_update, seed
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="s2t2-decode") if workers > 1 else None
        self._report = report
        self._reported: set[int] = set()

    def plan(self, epoch: int) -> list[list[BatchPart]]:
        """See `plan_epoch`."""
        return plan_epoch(
            self._lengths, budget=self._budget, per_update=self._per_update, seed=self._seed, epoch=epoch,
            weights=self._weights,
        )  # fmt: skip

    def heaviest(self) -> BatchPart:
        """The batch of the first epoch with the most samples, padding included."""
        parts = [part for update in self.plan(0) for part in update]
        return max(parts, key=lambda part: len(part.rows) * self._lengths[list(part.rows)].max())

    def load(self, part: BatchPart) -> SpeechBatch | None:
        """The batch; None where none of its rows can be used."""
        load = map if self._pool is None else self._pool.map
        rows = zip(part.rows, load(self._load, part.rows), strict=True)
        loaded = [(row, one) for row, one in rows if one is not None]
        if not loaded:
            return None
        clips = [samples for _, (samples, _) in loaded]
        features = self._extractor(clips, sampling_rate=SAMPLING_RATE, padding=True, return_tensors="pt")
        units = None
        if self._units is not None:
            units = [self._unit_ids(self._examples[row]) for row, _ in loaded]
        return SpeechBatch(
            features["input_values"],
            features.get("attention_mask"),
            _padded([ids for _, (_, ids) in loaded]),
            sum(map(len, clips)) / SAMPLING_RATE,
            units,
        )

    def _load(self, row: int) -> tuple[Samples, list[int]] | None:
        example = self._examples[row]
        try:
            ids = self._labels_of(example.text)
            samples = load_audio(example.source.media, name=example.source.name).samples
            seconds = len(samples) / SAMPLING_RATE
            if seconds > 1.1 * example.duration + _SLACK_SECONDS:
                raise InputError(f"it lasts {seconds:.1f} s, not {example.duration:.1f} s as stated")
        except InputError as error:
            if row not in self._reported:
                self._reported.add(row)
                name = example.source.name
                self._report(str(error) if name in str(error) else f"{name}: {error}")
            return None
        return samples, ids

    def _unit_ids(self, example: Example) -> list[int] | None:
        if example.units is None or self._units is None:
            return None
        return [self._units[unit] for unit in example.units]


def unit_ids(examples: Sequence[Example]) -> dict[str, int]:
    """The CTC units of the examples by name, numbered from 1; 0 is the blank."""
    names = sorted({unit for example in examples for unit in example.units or ()})
    return {name: number for number, name in enumerate(names, 1)}


def _padded(rows: list[list[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [IGNORED] * (longest - len(row)) for row in rows])
