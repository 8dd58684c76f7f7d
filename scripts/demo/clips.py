"""What the demo models are trained on: clips of several stores, mixed in given shares, perturbed anew each time.

Knows: which clips make up which update, a pure function of seed and epoch; how a clip becomes the rows of a batch.
Does not know: the model, its losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
import torch
from labels import Labels, joined_labels
from perturbation import perturbed
from speech_store import SAMPLING_RATE, Clip, ClipStore
from torch import Tensor

# A clip's store, and its number there; what is heard as one utterance; a part of an update: a seed, its utterances.
Place = tuple[int, int]
Utterance = tuple[Place, ...]
Part = tuple[int, tuple[Utterance, ...]]
# Clips that are sorted by length together: enough for batches of like length, few enough for variety.
POOL = 800


@dataclass(frozen=True)
class SpokenBatch:
    """`waveforms` (batch, samples) normalised, `mask` (batch, samples); `labels` a row.

    Utterances that are heard several times are all there once, then all once more in the same order.
    """

    waveforms: Tensor
    mask: Tensor
    labels: tuple[Labels, ...]
    seconds: float


@dataclass(frozen=True)
class Share:
    """A store, and how much of an epoch its clips make up."""

    store: ClipStore
    weight: float


class ClipBatches:
    """Updates of `seconds` of audio each, in `parts` batches; an epoch has `epoch_clips` clips, `views` times each."""

    def __init__(
        self,
        shares: Sequence[Share],
        labels: dict[str, Labels],
        *,
        seconds: float,
        parts: int,
        epoch_clips: int,
        seed: int,
        joined: float = 0.0,
        views: int = 1,
        longest: float = 9.0,
    ) -> None:
        self._shares, self._labels = shares, labels
        self._budget, self._parts, self._views = seconds / parts / views, parts, views
        self._epoch_clips, self._seed = epoch_clips, seed
        self._joined, self._longest = joined, longest
        self._usable = [
            [index for index, clip in enumerate(share.store.clips) if clip.row in labels and clip.seconds <= longest]
            for share in shares
        ]
        self._samples = [share.store.samples() for share in shares]

    def plan(self, epoch: int) -> Sequence[Sequence[Part]]:
        """The updates of an epoch."""
        random = Random(f"{self._seed}/{epoch}")
        chosen = list(self._chosen(epoch))
        random.shuffle(chosen)
        utterances = list(self._paired(chosen, random))
        batches: list[tuple[Utterance, ...]] = []
        for first in range(0, len(utterances), POOL):
            batches += self._cut(sorted(utterances[first : first + POOL], key=self._seconds))
        random.shuffle(batches)
        numbered = [(epoch * 1_000_000 + number, batch) for number, batch in enumerate(batches)]
        return [
            numbered[first : first + self._parts] for first in range(0, len(numbered) - self._parts + 1, self._parts)
        ]

    def load(self, part: Part) -> SpokenBatch:
        """The clips of one part, perturbed; clips that are joined are perturbed as one recording."""
        seed, utterances = part
        random = np.random.default_rng((self._seed, seed))
        waveforms = [np.concatenate([self._audio(place) for place in utterance]) for utterance in utterances]
        waveforms = [
            normalised(perturbed(waveform, random, lambda: self._any(random))) for waveform in waveforms * self._views
        ]
        labels = [[self._labels[self._clip(place).row] for place in utterance] for utterance in utterances]
        return spoken_batch(waveforms, tuple(map(joined_labels, labels)) * self._views)

    def _chosen(self, epoch: int) -> Iterator[Place]:
        """Each store gives its share; its clips all come before one comes again."""
        total = sum(share.weight for share in self._shares)
        for store, (share, usable) in enumerate(zip(self._shares, self._usable, strict=True)):
            wanted = round(self._epoch_clips * share.weight / total)
            for number in range(epoch * wanted, (epoch + 1) * wanted):
                around, place = divmod(number, len(usable))
                yield store, usable[_shuffled(len(usable), f"{self._seed}/{store}/{around}")[place]]

    def _paired(self, places: Sequence[Place], random: Random) -> Iterator[Utterance]:
        """Each clip as an utterance, some with the next one behind it: sentences in an order that was never read."""
        remaining = iter(places)
        for place in remaining:
            following = next(remaining, None) if random.random() < self._joined else None
            if following is None:
                yield (place,)
            elif self._seconds((place, following)) <= self._longest:
                yield (place, following)
            else:
                yield from ((place,), (following,))

    def _cut(self, utterances: Sequence[Utterance]) -> Iterator[tuple[Utterance, ...]]:
        """Neighbours in length together until the padded batch reaches the budget."""
        batch: list[Utterance] = []
        for utterance in utterances:
            if batch and (len(batch) + 1) * self._seconds(utterance) > self._budget:
                yield tuple(batch)
                batch = []
            batch.append(utterance)
        if batch:
            yield tuple(batch)

    def _seconds(self, utterance: Utterance) -> float:
        return sum(self._clip(place).seconds for place in utterance)

    def _clip(self, place: Place) -> Clip:
        return self._shares[place[0]].store.clips[place[1]]

    def _audio(self, place: Place) -> npt.NDArray[np.float32]:
        return audio_of(self._samples[place[0]], self._clip(place))

    def _any(self, random: np.random.Generator) -> npt.NDArray[np.float32]:
        store = int(random.integers(len(self._shares)))
        return self._audio((store, self._usable[store][int(random.integers(len(self._usable[store])))]))


_ORDERS: dict[str, list[int]] = {}


def _shuffled(size: int, seed: str) -> list[int]:
    if seed not in _ORDERS:
        _ORDERS[seed] = Random(seed).sample(range(size), size)
    return _ORDERS[seed]


def audio_of(samples: npt.NDArray[np.int16], clip: Clip) -> npt.NDArray[np.float32]:
    """A clip's samples as floats in -1…1."""
    return samples[clip.start : clip.start + clip.length].astype(np.float32) / 32768


def normalised(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean 0 and variance 1, as the feature extractor of the published layout does it."""
    result: npt.NDArray[np.float32] = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return result


def spoken_batch(clips: Sequence[npt.NDArray[np.float32]], labels: tuple[Labels, ...]) -> SpokenBatch:
    """Pad normalised clips with zeros."""
    longest = max(len(clip) for clip in clips)
    waveforms = torch.zeros(len(clips), longest)
    mask = torch.zeros(len(clips), longest, dtype=torch.bool)
    for row, clip in enumerate(clips):
        waveforms[row, : len(clip)] = torch.from_numpy(clip)
        mask[row, : len(clip)] = True
    return SpokenBatch(waveforms, mask, labels, sum(map(len, clips)) / SAMPLING_RATE)
