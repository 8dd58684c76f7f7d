"""Results as a table: Parquet, a row a record.

Knows: the columns, and how JSON lines become rows a few at a time. Does not know: how results are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2t2_cli.errors import OutputError, UsageError
from s2t2_cli.formats import Format
from s2t2_cli.records import RECORD_KEYS, dump_json_line
from s2t2_cli.resuming import ResumableWriter
from s2t2_cli.whole_files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

FIELDS = "fields"
"""The column for what a manifest said besides, as one JSON object: the same columns for every manifest."""

_ROWS_AT_ONCE = 10_000


class ParquetWriter(ResumableWriter):
    """All results in one table, which is written when they are all there: Parquet can neither grow nor be cut off.

    Until then, and after it, they are JSON lines beside it (`x.parquet.jsonl`), which a later run can go on with.
    Raises UsageError where PyArrow is not installed, and what ResumableWriter does.
    """

    def __init__(self, path: Path, layout: Format, *, resume: bool = False, retry_errors: bool = False) -> None:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as problem:
            raise UsageError("--format parquet needs PyArrow: pip install 's2t2-cli[ray]'") from problem
        if path.exists() and not path.is_file():
            raise UsageError(f"--format parquet writes a table, and {path} is no file; name another --output")
        super().__init__(lines_beside(path), layout, resume=resume, retry_errors=retry_errors)
        self._table = path

    def finish(self) -> None:
        super().finish()
        write_parquet(self._path, self._table)


def lines_beside(table: Path) -> Path:
    """Where the same results are JSON lines."""
    return table.with_name(f"{table.name}.jsonl")


def write_parquet(lines: Path, output: Path) -> None:
    """Write the records in `lines` (JSON lines) as `output`, which appears whole or not at all. Raises OutputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    try:
        with (
            replacing(output) as passing,
            lines.open(encoding="utf-8") as file,
            pq.ParquetWriter(passing, schema) as writer,
        ):
            rows = map(_row, file)
            while some := list(islice(rows, _ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(some, schema))
    except OSError as problem:
        raise OutputError(f"cannot write {output} ({problem.strerror or problem})") from problem


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The records of such a file as they are in JSON lines."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            fields = json.loads(row.pop(FIELDS))
            yield {name: value for name, value in row.items() if value is not None} | fields


def _row(line: str) -> dict[str, Any]:
    record = json.loads(line)
    row = {name: _whole(record[name]) for name in RECORD_KEYS if name in record}
    row[FIELDS] = dump_json_line({name: value for name, value in record.items() if name not in RECORD_KEYS})
    return row


def _whole(value: Any) -> Any:
    """Names of files may hold bytes that are no UTF-8, which a table's text cannot: they are spelled as in JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    hypothesis = {"text": text, "raw_text": text, "score": number}
    tokens = pa.list_(pa.int32())
    columns = {
        "audio_filepath": text,
        "status": text,
        "lang": text,
        "model": text,
        "duration": number,
        "text": text,
        "raw_text": text,
        "score": number,
        "tokens": tokens,
        "alternatives": pa.list_(pa.struct(hypothesis | {"tokens": tokens})),
        "segments": pa.list_(pa.struct({"start": number, "end": number} | hypothesis)),
        "warnings": pa.list_(text),
        "error": pa.struct({"type": text, "message": text}),
        FIELDS: text,
    }
    return pa.schema(list(columns.items()))
