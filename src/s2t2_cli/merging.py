"""Shards of a run, each a file of JSON lines, become one file, or it is said what they lack.

Knows: what makes shards complete, in which order their lines belong. Does not know: how results were made, the
terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from s2t2_cli.errors import IncompleteError, OutputError, UsageError
from s2t2_cli.manifests import PATH_FIELD, Manifest, Row
from s2t2_cli.record_lines import Finder, RecordLine, input_key, key_name, read_lines, start_of_last_line
from s2t2_cli.records import passed_on
from s2t2_cli.resuming import Begun, difference, read_side_file, side_file, write_side_file
from s2t2_cli.sharding import Shard, parse_shard
from s2t2_cli.whole_files import write_whole

_NAMED = 5  # so many inputs are named of those that are missing; the rest is counted
_SHARD = "shard"
_OTHER_FILES = 64  # what else is open: libraries, streams, the output


@dataclass
class Merged:
    """What became one file."""

    records: int = 0
    errors: int = 0


def merge(shards: Sequence[Path], output: Path, manifest: Manifest | None = None) -> Merged:
    """Write the records of all `shards` to `output`, which appears whole or not at all.

    With the `manifest` that the shards were made from, every row must have its record, no more and no less, and the
    records come in its order. Without it they come shard by shard, and whether they are whole is told from what lies
    beside them (`x.jsonl.resume`): every shard of the run, each finished; where nothing does, no input may be there
    twice. Texts are not held; shards that keep the manifest's order cost no memory, whatever their size.

    Raises IncompleteError with all that is missing or there twice, UsageError for a file that cannot be read or
    that ends within a line, OutputError.
    """
    begun = [_begun(path) for path in shards]
    _check_settings(shards, begun)
    merged = Merged()
    lines = _by_manifest(shards, manifest) if manifest is not None else _one_by_one(shards, begun)
    try:
        write_whole(output, _texts(shards, lines, merged))
        known = [one for one in begun if one is not None]
        if not output.is_file():
            return merged  # a pipe or a device, which nobody resumes
        if len(known) == len(shards):
            settings = {name: value for name, value in known[0].settings.items() if name != _SHARD}
            write_side_file(output, Begun(settings, True))
        else:
            side_file(output).unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot write {output} ({problem.strerror})") from problem
    return merged


def _begun(path: Path) -> Begun | None:
    try:
        with path.open("rb") as stream:
            is_torn = start_of_last_line(stream) != stream.seek(0, 2)
    except OSError as problem:
        raise UsageError(f"cannot read {path} ({problem.strerror})") from problem
    if is_torn:
        raise IncompleteError(f"{path} ends within a line; finish that shard first, with --resume")
    return read_side_file(path)


def _check_settings(shards: Sequence[Path], begun: Sequence[Begun | None]) -> None:
    """Raise IncompleteError if two shards were made with different models or options."""
    first: tuple[Path, Mapping[str, Any]] | None = None
    for path, one in zip(shards, begun, strict=True):
        if one is None:
            continue
        settings = {name: value for name, value in one.settings.items() if name != _SHARD}
        if first is None:
            first = path, settings
        elif (differing := difference(first[1], settings)) is not None:
            raise IncompleteError(
                f"{first[0]} was made with {differing[0]}, {path} with {differing[1]}; they are no shards of one run"
            )


def _by_manifest(shards: Sequence[Path], manifest: Manifest) -> Iterator[RecordLine]:
    """The lines in the order of the manifest; IncompleteError at their end if they are not just its rows."""
    _allow_open_files(len(shards))
    finder = Finder(shards, [None] * len(shards))
    missing: Counter[str] = Counter()
    lacking = 0
    for row in manifest.rows():
        line = finder.take(_key(manifest, row))
        if line is not None:
            yield line
            continue
        lacking += 1
        if len(missing) <= _NAMED:
            missing[manifest.name_of(row)] += 1
    surplus = Counter(line.key for line in finder.rest())
    known = {key for row in manifest.rows() if (key := _key(manifest, row)) in surplus} if surplus else set()
    problems = []
    if lacking:
        problems.append(f"{_number(lacking)} missing ({_some(missing)}), make them with --resume")
    if known:
        twice = [key for key in surplus if key in known]
        problems.append(f"{_number(sum(surplus[key] for key in twice))} there once too often ({_some(twice)})")
    if len(known) < len(surplus):
        strange = [key for key in surplus if key not in known]
        problems.append(f"{_number(sum(surplus[key] for key in strange))} of no row of it ({_some(strange)})")
    if problems:
        raise IncompleteError(f"the shards are not what {manifest.name} asks for: {'; '.join(problems)}")


def _one_by_one(shards: Sequence[Path], begun: Sequence[Begun | None]) -> Iterator[RecordLine]:
    """The lines shard by shard, by their numbers where they are known; IncompleteError if they are not all."""
    named = [None if one is None else one.settings.get(_SHARD) for one in begun]
    order: Sequence[int] = range(len(shards))
    is_whole = all(isinstance(one, str) for one in named)
    if is_whole:
        numbers = [parse_shard(str(one)) for one in named]
        _check_numbers(shards, numbers)
        order = sorted(order, key=lambda file: numbers[file].number)
    for path, one in zip(shards, begun, strict=True):
        if one is not None and not one.finished:
            raise IncompleteError(f"{path} is not finished; go on with it with --resume")
    seen: set[str] = set()
    twice: Counter[str] = Counter()
    for file in order:
        for line in read_lines(shards[file], file=file):
            if not is_whole:
                if line.key in seen:
                    twice[line.key] += 1
                seen.add(line.key)
            yield line
    if twice:
        raise IncompleteError(
            f"{_number(twice.total())} of inputs that have one already ({_some(twice)}); if these were named twice, "
            "give --manifest, which tells"
        )


def _allow_open_files(count: int) -> None:
    """All shards are read side by side: a job array may have more than a process may have files open, at first."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _check_numbers(shards: Sequence[Path], numbers: Sequence[Shard]) -> None:
    """Raise IncompleteError unless every shard of the run is there once."""
    first: dict[Shard, Path] = {}
    for path, shard in zip(shards, numbers, strict=True):
        if shard in first:
            raise IncompleteError(f"{first[shard]} and {path} are both shard {shard}; name one of them")
        first[shard] = path
    if len({shard.count for shard in numbers}) > 1:
        raise IncompleteError(f"shards of {', '.join(map(str, numbers[:_NAMED]))} do not make one whole")
    missing = [
        str(one) for number in range(1, numbers[0].count + 1) if (one := Shard(number, numbers[0].count)) not in first
    ]
    if missing:
        raise IncompleteError(f"{_counted(len(missing), 'shard')} missing ({_some(missing)}); name all of them")


def _texts(shards: Sequence[Path], lines: Iterable[RecordLine], merged: Merged) -> Iterator[bytes]:
    """What stands in each line, counted on the way."""
    for file, group in groupby(lines, key=lambda line: line.file):
        with shards[file].open("rb") as stream:
            for line in group:
                merged.records += 1
                merged.errors += line.is_error
                stream.seek(line.start)
                yield stream.read(line.length)


def _key(manifest: Manifest, row: Row) -> str:
    fields = {name: value for name, value in row.fields.items() if name != PATH_FIELD}
    return input_key(manifest.name_of(row), passed_on(fields), is_bad_row=row.error is not None)


def _number(count: int) -> str:
    return _counted(count, "record")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _some(names: Collection[str]) -> str:
    return ", ".join(map(key_name, islice(names, _NAMED))) + (" …" if len(names) > _NAMED else "")
