"""What runs on the machines of a cluster: decoding, translating, and what to do when it takes the process down.

Knows: the form in which sources and results travel. Does not know: how work is handed out (ray_engine).

A recording that makes a library crash ends the process it is decoded or translated in, and Ray does the same again
elsewhere, for ever. So it is noted outside of these processes what was begun: a block that was begun before is done one
recording at a time, and a recording that ended its process too often becomes an error like any other.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from s2t2_cli.engine import TranslatorSpec
from s2t2_cli.errors import InputError, TranslationError
from s2t2_cli.inputs import Source
from s2t2_cli.records import TranslationResult

if TYPE_CHECKING:
    import pyarrow as pa

# What is longer is decoded by the translator itself, block by block, and never lies in memory as a whole.
_LONGEST_DECODED = 120.0

_MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Item:
    """A source on its way; once it is decoded its media are its samples."""

    number: int
    source: Source
    warnings: tuple[str, ...] = ()
    """What was to be said about the file that the samples come from."""

    def complete(self, result: TranslationResult) -> TranslationResult:
        """`result` as if it had been made from the file."""
        missing = tuple(one for one in self.warnings if one not in result.warnings)
        return replace(result, warnings=missing + result.warnings) if missing and result.error is None else result


class Attempts:
    """How often each piece of work was begun and not ended."""

    def __init__(self) -> None:
        self._begun: Counter[Hashable] = Counter()

    def begin(self, piece: Hashable) -> int:
        """Note that `piece` is begun; how often it was, this time included."""
        self._begun[piece] += 1
        return self._begun[piece]

    def end(self, piece: Hashable) -> None:
        """Note that `piece` did no harm."""
        del self._begun[piece]


class RemoteAttempts(Attempts):
    """The same, kept by an actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begin(self, piece: Hashable) -> int:
        import ray

        return int(ray.get(self._actor.begin.remote(piece)))

    def end(self, piece: Hashable) -> None:
        import ray

        ray.get(self._actor.end.remote(piece))


class Worker:
    """Lives on a node with a translator of its own."""

    def __init__(self, spec: TranslatorSpec, attempts: Attempts) -> None:
        self._translator = spec.make()
        self._options = dict(spec.options)
        self._attempts = attempts

    def __call__(self, table: pa.Table) -> pa.Table:
        items: list[Item] = list(from_table(table))
        block = ("block", items[0].number)
        if self._attempts.begin(block) == 1:
            results = self._translate(items)
            self._attempts.end(block)
        else:
            results = [result for item in items for result in self._translate_alone(item)]
        return to_table(results)

    def _translate(self, items: list[Item]) -> list[TranslationResult]:
        results = self._translator.translate((item.source for item in items), **self._options)
        return [item.complete(result) for item, result in zip(items, results, strict=True)]

    def _translate_alone(self, item: Item) -> list[TranslationResult]:
        source = item.source
        if self._attempts.begin(item.number) > _MOST_ATTEMPTS:
            error = TranslationError(f"{source.name} ended the process that translated it {_MOST_ATTEMPTS} times")
            return [TranslationResult(source.name, "error", error=error, fields=source.fields)]
        results = self._translate([item])
        self._attempts.end(item.number)
        return results


def decode(table: pa.Table, *, spec: TranslatorSpec, attempts: Attempts) -> Iterator[pa.Table]:
    """The same items with samples for media; as they are where that ended the process before."""
    items: list[Item] = list(from_table(table))
    block = ("decode", items[0].number)
    is_safe = attempts.begin(block) < _MOST_ATTEMPTS
    for item in items:
        yield to_table([_decoded(item, spec) if is_safe else item])
    attempts.end(block)


def _decoded(item: Item, spec: TranslatorSpec) -> Item:
    import numpy as np

    from s2t2_cli.audio import SAMPLING_RATE, stream_audio

    source = item.source
    if source.error is not None or spec.options.get("pcm_rate") is not None:
        return item
    blocks = []
    samples = 0
    try:
        stream = stream_audio(source.media, backend=spec.load.get("audio_backend", "av"), name=source.name)
        for block in stream:
            blocks.append(block)
            samples += len(block)
            if samples > _LONGEST_DECODED * SAMPLING_RATE:
                return item
    except InputError as error:
        return replace(item, source=replace(source, error=error))
    except MemoryError:  # the translator has its own answer to that
        return item
    media: Any = {"array": np.concatenate(blocks), "sampling_rate": SAMPLING_RATE}
    warnings = tuple(one for one in stream.warnings if one != "silent")  # the samples say that themselves
    return replace(item, source=replace(source, media=media), warnings=warnings)


def to_table(items: Iterable[Any]) -> pa.Table:
    """Anything that pickles, a row each: what goes between our own processes."""
    import pyarrow as pa

    return pa.table({"item": pa.array([pickle.dumps(item) for item in items], pa.large_binary())})


def from_table(table: pa.Table) -> Iterator[Any]:
    """What `to_table` was given."""
    return (pickle.loads(item.as_buffer()) for item in table["item"])
