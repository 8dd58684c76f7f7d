"""Translating on a Ray cluster: recordings are decoded by tasks and translated by a pool of actors on its nodes.

Knows: Ray Data, what of a cluster is taken. Does not know: what happens on the other machines (ray_worker), where
results are written.

Each actor loads the model once. Sources go out in blocks, as far as memory allows (Ray's back-pressure); results come
back to the one process that writes them, as from any other engine, so that they can be resumed. What a machine that
goes away was working on is done again elsewhere. Every machine must have this package, and see the recordings and the
checkpoint under the same paths, or have them from the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from s2t2_cli.engine import Engine, TranslatorSpec
from s2t2_cli.errors import EngineError, InputReadError, UsageError
from s2t2_cli.inputs import Source
from s2t2_cli.ray_session import connected, last_line
from s2t2_cli.ray_worker import Attempts, Item, RemoteAttempts, Worker, decode, from_table, to_table
from s2t2_cli.records import TranslationResult

if TYPE_CHECKING:
    from s2t2_cli.assembling import OnSegment

# One block, which is what an actor gets at a time, and what is done again where it is lost: so many sources, or fewer
# if their files are large (64 MiB are an hour, give or take).
_BLOCK_SOURCES = 32
_BLOCK_BYTES = 2**26

# Sources that are handed to Ray in one go. A manifest may have millions, and Ray plans all it is given; between two
# goes the actors start anew, which is little beside the hours that so many recordings take.
_RUN_SOURCES = 50_000

_CPU_PER_ACTOR = 4

# Ray takes half an hour without a result for a fault; long recordings take longer.
_NO_LIMIT = -1


class RayEngine(Engine):
    """Translates with `spec` on the cluster at `address` (None: the one RAY_ADDRESS names, else this machine).

    A context manager that is connected in between. Raises UsageError where Ray is not installed or nothing answers at
    the address.
    """

    def __init__(self, spec: TranslatorSpec, address: str | None = None) -> None:
        try:
            import ray.data  # noqa: F401
        except ImportError as problem:
            raise UsageError("--engine ray needs Ray: pip install 's2t2-cli[ray]'") from problem
        self._spec = spec.portable()
        self._address = address

    def __enter__(self) -> Self:
        self._session = connected(self._address)
        self._session.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__(None, None, None)

    def translate(
        self, sources: Iterable[Source], *, ordered: bool = True, on_segment: OnSegment | None = None
    ) -> Iterator[TranslationResult]:
        """As every engine does it; of segments nothing is told before their recording is done.

        Raises EngineError if the cluster fails.
        """
        rest = iter(sources)
        while run := list(islice(rest, _RUN_SOURCES)):
            yield from self._run(run, ordered)

    def _run(self, sources: list[Source], ordered: bool) -> Iterator[TranslationResult]:
        import ray
        import ray.data
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = ordered
        context.execution_no_progress_timeout_s = _NO_LIMIT
        blocks = [to_table(block) for block in _blocks(sources)]
        share = _Share.of_cluster(self._spec)
        # On the machine that the work is led from: as long as that is there, so is what is known of the others.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        attempts = RemoteAttempts(ray.remote(num_cpus=0, scheduling_strategy=here)(Attempts).remote())
        with ray.data.DataContext.current(context):
            decoded = ray.data.from_blocks(blocks).map_batches(
                decode,
                fn_kwargs={"spec": self._spec, "attempts": attempts},
                batch_size=None,
                batch_format="pyarrow",
                # No CPU is set aside: were they all taken by actors, those would wait for what is decoded, for ever.
                num_cpus=0,
                compute=ray.data.TaskPoolStrategy(size=share.decoders),
            )
            # Actors and their tasks are started anew as often as it takes: to set a limit would be to give up soon
            # after a machine went away, since a call that cannot reach it counts as a failure at once.
            results = decoded.map_batches(
                Worker,
                fn_constructor_args=(self._spec, attempts),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=share.actors),
            )
            done = 0
            try:
                for table in results.iter_batches(batch_size=None, batch_format="pyarrow"):
                    done += len(table)
                    yield from from_table(table)
            except Exception as problem:  # whatever Ray raises, and an actor's own error behind several of Ray's
                raise EngineError(
                    f"the Ray cluster gave up ({last_line(problem)}); what was written stays, and can be resumed"
                ) from problem
        if done != len(sources):
            raise EngineError(f"of {len(sources)} recordings Ray gave back {done}; go on with --resume")


@dataclass(frozen=True)
class _Share:
    """What of the cluster an actor takes, and how many there may be."""

    cpus: float
    gpus: float
    actors: int
    decoders: int

    @classmethod
    def of_cluster(cls, spec: TranslatorSpec) -> _Share:
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = sum(node.get("CPU", 0.0) for node in nodes)
        gpus = sum(node.get("GPU", 0.0) for node in nodes)
        device = str(spec.load.get("device", "auto"))
        if gpus >= 1 and device != "cpu":
            return cls(1, 1, int(gpus), max(1, int(cpus)))
        # A model an actor: many small actors would fill the memory with copies of it.
        wanted = spec.load.get("threads") or min([_CPU_PER_ACTOR, *(node["CPU"] for node in nodes if node.get("CPU"))])
        per_actor = max(1, int(wanted))
        actors = sum(int(node.get("CPU", 0)) // per_actor for node in nodes)
        # Decoding is little beside translating without a GPU; every machine can do some at any time.
        return cls(per_actor, 0, max(1, actors), max(len(nodes), int(cpus) // 2))


def _blocks(sources: Iterable[Source]) -> Iterator[list[Item]]:
    """The sources as they go to the cluster, so many at a time."""
    block: list[Item] = []
    size = 0
    for number, source in enumerate(sources):
        if block and (len(block) == _BLOCK_SOURCES or size + (source.size or 0) > _BLOCK_BYTES):
            yield block
            block, size = [], 0
        block.append(Item(number, _portable(source)))
        size += source.size or 0
    if block:
        yield block


def _portable(source: Source) -> Source:
    """The same source for another machine."""
    if isinstance(source.media, Path):
        return replace(source, media=source.media.absolute())
    if not isinstance(source.media, str):
        error = InputReadError("standard input cannot be read on other machines; name a file that they see")
        return replace(source, media="", error=error)
    return source
