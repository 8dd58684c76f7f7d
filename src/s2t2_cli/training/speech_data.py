"""What speech translation learns from and is validated on: manifests, their weights, and a digest of it all.

Knows: how several manifests are mixed. Does not know: samples, batches, the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s2t2_cli.errors import UsageError
from s2t2_cli.manifests import Manifest
from s2t2_cli.training.durations import Durations
from s2t2_cli.training.examples import Example, Examples, RowRules, counted, read_examples

# What rows may call their split, where they name one.
_TRAINING_SPLITS = frozenset({"train", "training"})
_VALIDATION_SPLITS = frozenset({"dev", "valid", "validation"})

Upsample = Sequence[float] | str
EQUAL = "equal"
"""Up-sample the smaller manifests until all have as much audio (arXiv 2104.06678, section 4.2)."""


@dataclass(frozen=True)
class SpeechData:
    """Examples to learn from, each with how often it comes in an epoch."""

    examples: list[Example]
    weights: list[float]

    def digest(self) -> str:
        """What tells it from other data: how many rows, and a checksum of them."""
        checksum = hashlib.sha256()
        for example, weight in zip(self.examples, self.weights, strict=True):
            line = f"{example.source.name}\t{example.duration}\t{example.text}\t{example.units}\t{weight:g}\n"
            checksum.update(line.encode("utf-8", "surrogateescape"))
        return f"{counted(len(self.examples), 'row')} ({checksum.hexdigest()[:12]})"


class ManifestReader:
    """Reads manifests, and says what it found."""

    def __init__(
        self,
        rules: RowRules,
        durations: Durations,
        *,
        audio_dir: Path | None,
        allow_private: bool = False,
        say: Callable[[str], None],
        show: Callable[[str], None],
    ) -> None:
        """`say` takes sentences that stay, `show` what goes on at the moment."""
        self._rules, self._durations = rules, durations
        self._audio_dir, self._allow_private = audio_dir, allow_private
        self._say, self._show = say, show

    def training_data(self, names: Sequence[str], upsample: Upsample | None) -> SpeechData:
        """The rows of all manifests. Raises UsageError where there are none, or weights do not fit the manifests."""
        if isinstance(upsample, Sequence) and not isinstance(upsample, str) and len(upsample) != len(names):
            given = counted(len(upsample), "number")
            raise UsageError(f"--upsample gives {given} for {counted(len(names), 'manifest')}: give one for each")
        parts = [self.read(name, _TRAINING_SPLITS) for name in names]
        factors = _factors(parts, upsample)
        for name, factor in zip(names, factors, strict=True):
            if factor != 1:
                self._say(f"{name} comes {factor:.3g} times an epoch")
        rows = [row for part in parts for row in part.rows]
        weights = [factor for part, factor in zip(parts, factors, strict=True) for _ in part.rows]
        if not rows:
            raise UsageError(f"there is nothing to learn from in {', '.join(names)}: no row can be used")
        return SpeechData(rows, weights)

    def validation_data(self, name: str) -> list[Example]:
        """The rows of a manifest to validate on. Raises UsageError where there are none."""
        rows = self.read(name, _VALIDATION_SPLITS).rows
        if not rows:
            raise UsageError(f"there is nothing to validate on in {name}: no row can be used")
        return rows

    def read(self, name: str, splits: frozenset[str]) -> Examples:
        """The rows of one manifest, other splits left out. Raises UsageError where it cannot be read."""
        found = read_examples(
            Manifest(name, audio_dir=self._audio_dir, allow_private=self._allow_private),
            replace(self._rules, splits=splits),
            self._durations,
            report=self._say,
            progress=lambda rows: self._show(f"{name}: {rows:,} rows read") if rows % 100 == 0 else None,
        )
        self._say(found.summary(name))
        return found


def _factors(parts: Sequence[Examples], upsample: Upsample | None) -> list[float]:
    if upsample is None:
        return [1.0] * len(parts)
    if isinstance(upsample, str):
        most = max(part.seconds for part in parts)
        return [most / part.seconds if part.rows else 1.0 for part in parts]
    return list(upsample)
