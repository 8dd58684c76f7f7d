"""The batches of a run, one after the other without end, prepared ahead by a thread.

Knows: epochs, updates, which process takes which batch. Does not know: what a batch is for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic

from s2t2_cli.batching import read_ahead
from s2t2_cli.errors import UsageError
from s2t2_cli.training.tasks import Batch, Batches, Part
from s2t2_cli.training.world import World


@dataclass(frozen=True)
class Item(Generic[Batch]):
    """A batch in its place: number `number` of all processes' batches of update `step` of `epoch`, all from 0."""

    epoch: int
    step: int
    steps: int
    """Updates in this epoch."""
    number: int
    is_last: bool
    """Whether it is this process's last of the update."""
    batch: Batch | None


def stream_batches(
    batches: Batches[Part, Batch], *, epoch: int, step: int, world: World, prefetch: int
) -> Generator[Item[Batch], None, None]:
    """This process's share from a place on, every `world.size`-th batch of each update; at least one item an update.

    At most `prefetch` batches are prepared ahead. Raises UsageError for an epoch without updates.
    """
    items = _items(batches, epoch, step, world)
    return read_ahead(items, lambda item: 1.0, prefetch) if prefetch else items


def _items(batches: Batches[Part, Batch], epoch: int, step: int, world: World) -> Generator[Item[Batch], None, None]:
    while True:
        plan = batches.plan(epoch)
        if not plan:
            raise UsageError("there is nothing to train on")
        for place in range(step, len(plan)):
            mine = list(enumerate(plan[place]))[world.rank :: world.size]
            yield from _update_items(batches, mine, epoch, place, len(plan))
        epoch, step = epoch + 1, 0


def _update_items(
    batches: Batches[Part, Batch], mine: list[tuple[int, Part]], epoch: int, step: int, steps: int
) -> Iterator[Item[Batch]]:
    if not mine:
        yield Item(epoch, step, steps, 0, True, None)
    for number, part in mine:
        yield Item(epoch, step, steps, number, number == mine[-1][0], batches.load(part))
