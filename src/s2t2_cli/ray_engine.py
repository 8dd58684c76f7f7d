"""Translating on a Ray cluster: recordings are decoded by tasks and translated by a pool of actors on its nodes.

Knows: Ray Data, what travels between machines. Does not know: how recordings are decoded and translated (audio,
translator), where results are written.

Each actor loads the model once. Sources go out in blocks, as far as memory allows (Ray's back-pressure); results come
back to the one process that writes them, as from any other engine, so that they can be resumed. What a machine that
goes away was working on is done again elsewhere. Every machine must have this package, and see the recordings and the
checkpoint under the same paths, or have them from the network.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from s2t2_cli.engine import Engine, TranslatorSpec
from s2t2_cli.errors import EngineError, InputError, InputReadError, UsageError
from s2t2_cli.inputs import Source
from s2t2_cli.ray_session import connected, last_line
from s2t2_cli.records import TranslationResult

if TYPE_CHECKING:
    import pyarrow as pa

    from s2t2_cli.assembling import OnSegment

# One block, which is what an actor gets at a time, and what is done again where it is lost: so many sources, or fewer
# if their files are large (64 MiB are an hour, give or take).
_BLOCK_SOURCES = 32
_BLOCK_BYTES = 2**26

# Sources that are handed to Ray in one go. A manifest may have millions, and Ray plans all it is given; between two
# goes the actors start anew, which is little beside the hours that so many recordings take.
_RUN_SOURCES = 50_000

# What is longer is decoded by the actor itself, block by block, and never lies in memory as a whole.
_LONGEST_DECODED = 120.0

# After so many losses of the machine it is on, a block is taken to be what brings machines down.
_RETRIES = 3

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

        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = ordered
        context.execution_no_progress_timeout_s = _NO_LIMIT
        blocks = [_table(map(_portable, block)) for block in _blocks(sources)]
        share = _Share.of_cluster(self._spec)
        with ray.data.DataContext.current(context):
            decoded = ray.data.from_blocks(blocks).map_batches(
                _decode,
                fn_kwargs={"spec": self._spec},
                batch_size=None,
                batch_format="pyarrow",
                # No CPU is set aside: were they all taken by actors, those would wait for what is decoded, for ever.
                num_cpus=0,
                compute=ray.data.TaskPoolStrategy(size=share.decoders),
            )
            with warnings.catch_warnings():
                # Ray means to rename these until 2.64, before which the extra stops.
                warnings.simplefilter("ignore", DeprecationWarning)
                results = decoded.map_batches(
                    _Actor,
                    fn_constructor_args=(self._spec,),
                    batch_size=None,
                    batch_format="pyarrow",
                    num_cpus=share.cpus,
                    num_gpus=share.gpus,
                    compute=ray.data.ActorPoolStrategy(min_size=1, max_size=share.actors),
                    ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": _RETRIES},
                )
            done = 0
            try:
                for table in results.iter_batches(batch_size=None, batch_format="pyarrow"):
                    done += len(table)
                    yield from _untable(table)
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
        return cls(per_actor, 0, max(1, actors), max(1, int(cpus) // 4))


class _Actor:
    """Lives on a node with a translator of its own."""

    def __init__(self, spec: TranslatorSpec) -> None:
        self._translator = spec.make()
        self._options = dict(spec.options)

    def __call__(self, table: pa.Table) -> pa.Table:
        items: list[_Decoded] = list(_untable(table))
        results = self._translator.translate((item.source for item in items), **self._options)
        return _table([item.complete(result) for item, result in zip(items, results, strict=True)])


@dataclass(frozen=True)
class _Decoded:
    """A source whose media are its samples, and what was to be said about the file they come from."""

    source: Source
    warnings: tuple[str, ...] = ()

    def complete(self, result: TranslationResult) -> TranslationResult:
        """`result` as if it had been made from the file."""
        missing = tuple(one for one in self.warnings if one not in result.warnings)
        return replace(result, warnings=missing + result.warnings) if missing and result.error is None else result


def _decode(table: pa.Table, *, spec: TranslatorSpec) -> Iterator[pa.Table]:
    for source in _untable(table):
        yield _table([_decoded(source, spec)])


def _decoded(source: Source, spec: TranslatorSpec) -> _Decoded:
    import numpy as np

    from s2t2_cli.audio import SAMPLING_RATE, stream_audio

    if source.error is not None or spec.options.get("pcm_rate") is not None:
        return _Decoded(source)
    backend = spec.load.get("audio_backend", "av")
    blocks = []
    samples = 0
    try:
        stream = stream_audio(source.media, backend=backend, name=source.name)
        for block in stream:
            blocks.append(block)
            samples += len(block)
            if samples > _LONGEST_DECODED * SAMPLING_RATE:
                return _Decoded(source)
    except InputError as error:
        return _Decoded(replace(source, error=error))
    media: Any = {"array": np.concatenate(blocks), "sampling_rate": SAMPLING_RATE}
    warnings = tuple(one for one in stream.warnings if one != "silent")  # the samples say that themselves
    return _Decoded(replace(source, media=media), warnings)


def _blocks(sources: Iterable[Source]) -> Iterator[list[Source]]:
    block: list[Source] = []
    size = 0
    for source in sources:
        if block and (len(block) == _BLOCK_SOURCES or size + (source.size or 0) > _BLOCK_BYTES):
            yield block
            block, size = [], 0
        block.append(source)
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


def _table(items: Iterable[Any]) -> pa.Table:
    """Anything that pickles, a row each: what goes between our own processes."""
    import pyarrow as pa

    return pa.table({"item": pa.array([pickle.dumps(item) for item in items], pa.large_binary())})


def _untable(table: pa.Table) -> Iterator[Any]:
    return (pickle.loads(item.as_buffer()) for item in table["item"])
