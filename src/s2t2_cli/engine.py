"""What translates: a model in this process, or on other machines; and how to make the same model anywhere.

Knows: what an engine is asked. Does not know: how a cluster is used (ray_engine), what recordings are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from s2t2_cli.checkpoint import Checkpoint, resolve_checkpoint
from s2t2_cli.inputs import Source
from s2t2_cli.records import TranslationResult

if TYPE_CHECKING:
    from s2t2_cli.assembling import OnSegment
    from s2t2_cli.translator import Translator

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class TranslatorSpec:
    """How to make a `Translator`, here or on another machine, and what to ask of it; picklable.

    `load` and `options` are keyword arguments of `Translator.from_pretrained` and `Translator.translate`.
    """

    checkpoint: Checkpoint
    lm: Checkpoint | None = None
    cache_dir: Path | None = None
    offline: bool = False
    load: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Translator:
        """The translator, of the same commit of the hub or the same folder wherever it is made. Raises ModelError."""
        from s2t2_cli.translator import Translator

        lm = None if self.lm is None else self._find(self.lm)
        return Translator.from_pretrained(self._find(self.checkpoint), lm=lm, **self.load)

    def portable(self) -> TranslatorSpec:
        """The same, with paths that mean the same in any current folder."""
        lm = None if self.lm is None else _with_absolute_paths(self.lm)
        cache_dir = None if self.cache_dir is None else self.cache_dir.absolute()
        return replace(self, checkpoint=_with_absolute_paths(self.checkpoint), lm=lm, cache_dir=cache_dir)

    def _find(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.revision is None or checkpoint.folder.is_dir():
            return checkpoint
        return resolve_checkpoint(
            checkpoint.name, revision=checkpoint.revision, cache_dir=self.cache_dir, local_files_only=self.offline
        )


class Engine(AbstractContextManager["Engine"], ABC):
    """Translates sources as long as its context lasts."""

    fusion_seconds: float | None = None
    """How long a language model took, where one took part and that is known."""

    @abstractmethod
    def translate(
        self, sources: Iterable[Source], *, ordered: bool = True, on_segment: OnSegment | None = None
    ) -> Iterator[TranslationResult]:
        """Results as they become ready, in the order of `sources` unless `ordered` is False.

        `on_segment` is told of segments while a recording is being translated, by engines that know of them.
        """


class LocalEngine(Engine):
    """A translator in this process, loaded at once. Raises ModelError."""

    def __init__(self, spec: TranslatorSpec) -> None:
        self._translator = spec.make()
        self._options = dict(spec.options)

    def translate(
        self, sources: Iterable[Source], *, ordered: bool = True, on_segment: OnSegment | None = None
    ) -> Iterator[TranslationResult]:
        results = self._translator.translate(sources, ordered=ordered, on_segment=on_segment, **self._options)
        fusion = self._translator.fusion
        for result in results:
            if fusion is not None:
                self.fusion_seconds = fusion.seconds
            yield result

    def __exit__(self, *_: object) -> None:
        """Nothing to give back."""


def make_engine(name: EngineName, spec: TranslatorSpec, *, ray_address: str | None = None) -> Engine:
    """The engine called `name`. Raises ModelError, UsageError for a cluster that does not answer."""
    if name == "ray":
        from s2t2_cli.ray_engine import RayEngine

        return RayEngine(spec, ray_address)
    return LocalEngine(spec)


def _with_absolute_paths(checkpoint: Checkpoint) -> Checkpoint:
    weights = tuple(path.absolute() for path in checkpoint.weights)
    return replace(checkpoint, folder=checkpoint.folder.absolute(), weights=weights)
