"""What hostile bytes are handed to: each place where a file of someone else enters the program.

Knows: the package's entries, which errors they may raise. Does not know: where the bytes come from, what a crash is.

A target takes bytes and returns a word or two on what became of them; inputs that become something new are kept to
breed from. Whatever it raises is a finding, and so is an error whose message is not one sentence.
"""

from __future__ import annotations

import atexit
import io
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from s2t2_cli.errors import InputError, ModelError, S2T2Error, UsageError

MINIATURE = Path(__file__).resolve().parents[2] / "tests" / "data" / "miniature"

SECTION = re.compile(rb"(?:\A|\n)--- (\S+)\n")
"""Where one file ends and the next begins in an input that stands for several."""

MOST_SECONDS = 1_200
LONGEST_MESSAGE = 2_000


@cache
def workplace() -> Path:
    """A folder of this process."""
    folder = tempfile.mkdtemp(prefix="s2t2-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def sections(data: bytes) -> dict[str, bytes]:
    """The files that an input stands for; names are not taken from it further than their last part."""
    parts = SECTION.split(data)
    names = (Path(name[:100].decode("ascii", "ignore").replace("\0", "")).name for name in parts[1::2])
    return {name: content for name, content in zip(names, parts[2::2], strict=True) if name}


def refused(error: S2T2Error) -> str:
    """The error without what differs from input to input. The name of an input may hold line breaks of its own."""
    sentence = str(error)
    assert "\n" not in sentence or isinstance(error, InputError), f"the message has several lines: {sentence[:200]!r}"
    assert sentence, "the message is empty"
    assert len(sentence) <= LONGEST_MESSAGE, f"the message has {len(sentence)} characters: {sentence[:200]!r} …"
    return f"{type(error).__name__} {re.sub(r'[^a-z ]+|(?<=.)/.*', '', sentence)[:60]}"


def audio(data: bytes) -> str:
    """A recording from a file or a pipe, which of them the checksum says; then its length without decoding."""
    from s2t2_cli.audio import SAMPLING_RATE, audio_seconds, stream_audio

    chance = zlib.crc32(data)
    source = io.BytesIO(data) if chance & 1 else OneWay(data)
    stream = stream_audio(source, name="talk")
    samples = 0
    try:
        for block in stream:
            samples += len(block)
            if samples > MOST_SECONDS * SAMPLING_RATE:
                break
        stream.close()
        outcome = f"{samples.bit_length()} {' '.join(stream.warnings)}"
    except InputError as error:
        outcome = refused(error)
    if chance & 2:
        try:
            seconds = audio_seconds(data, name="talk")
        except InputError as error:
            refused(error)
        else:
            assert 0 <= seconds < 1e9, seconds
    return outcome


class OneWay(io.RawIOBase):
    """A stream that cannot seek and gives little at a time, as a pipe does."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._content.read(min(4_096, len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def manifest(data: bytes) -> str:
    """The rows of a manifest, each written as every format writes it."""
    from s2t2_cli.formats import JsonlFormat, TsvFormat
    from s2t2_cli.manifests import Manifest
    from s2t2_cli.records import TranslationResult

    found: set[str] = set()
    for name in ("rows.jsonl", "rows.tsv", "rows.txt"):
        path = workplace() / name
        path.write_bytes(data)
        try:
            for source in Manifest(str(path)):
                error = source.error
                found.add("ok" if error is None else refused(error))
                status = "ok" if error is None else "error"
                result = TranslationResult(source.name, status, error=error, fields=source.fields)
                for layout in (JsonlFormat(), TsvFormat(fields=True)):
                    assert layout.render(result).count("\n") == 1, layout.render(result)[:200]
        except UsageError as error:
            found.add(refused(error))
    return " ".join(sorted(found))[:100]


def config(data: bytes) -> str:
    """A checkpoint whose configurations are hostile, loaded and put to work."""
    from s2t2_cli.selftest import bundled_clip
    from s2t2_cli.translator import Translator

    folder = workplace() / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(MINIATURE, folder)
    for name, content in sections(data).items():
        (folder / name).write_bytes(content)
    try:
        translator = Translator.from_pretrained(folder, lang="de", threads=1)
        (result,) = translator.translate(quarter_second(str(bundled_clip())), sampling_rate=16_000)
    except (ModelError, UsageError) as error:
        return refused(error)
    return result.status if result.error is None else refused(result.error)


@cache
def quarter_second(path: str) -> object:
    from s2t2_cli.audio import load_audio

    return load_audio(path).samples[16_000:20_000]


def safetensors(data: bytes) -> str:
    """The header and the tensors of a safetensors file."""
    from s2t2_cli.checkpoint.safetensor_files import read_header, read_safetensors

    path = workplace() / "model.safetensors"
    path.write_bytes(data)
    try:
        header = read_header(path)
        tensors = read_safetensors(path)
    except ModelError as error:
        return refused(error)
    assert {name: shape for name, (_, shape) in header.items()} == {n: tuple(t.shape) for n, t in tensors.items()}
    return f"{len(header)} {sum(float(one.float().nan_to_num().sum()) != 0 for one in tensors.values())}"


def pickled(data: bytes) -> str:
    """A `pytorch_model.bin`."""
    from s2t2_cli.checkpoint.pickled import read_pickled

    path = workplace() / "pytorch_model.bin"
    path.write_bytes(data)
    try:
        tensors = read_pickled(path)
    except ModelError as error:
        return refused(error)
    return f"{len(tensors)} {sum(one.numel() for one in tensors.values()).bit_length()}"


def tokenizer(data: bytes) -> str:
    """A tokenizer made of hostile files decodes and encodes."""
    from s2t2_cli.tokenization import Speech2Text2Tokenizer

    folder = workplace() / "tokenizer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in sections(data).items():
        (folder / name).write_bytes(content)
    try:
        made = Speech2Text2Tokenizer.from_pretrained(folder)
        text = made.decode(list(range(24)), skip_special_tokens=bool(len(data) & 1))
        ids = made("guten tag </s> @@ ünd a b", truncation=True)["input_ids"]
        made.save_vocabulary(str(folder))
    except (ModelError, UsageError) as error:
        return refused(error)
    return f"{len(text).bit_length()} {len(ids)}"


def index(data: bytes) -> str:
    """The index of a checkpoint in shards: whatever it names, nothing outside its folder is a shard."""
    from s2t2_cli.checkpoint.layout import weight_files

    folder = workplace() / "index"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors.index.json").write_bytes(data)
    (folder / "model-1.safetensors").touch()
    try:
        files = weight_files(folder)
    except ModelError as error:
        return refused(error)
    assert all(path.resolve().parent == folder.resolve() for path in files), files
    return f"{len(files)} shards"


def resume(data: bytes) -> str:
    """A file of results and what lies beside it are gone on with; no whole record may be lost."""
    from s2t2_cli.formats import JsonlFormat
    from s2t2_cli.inputs import Source
    from s2t2_cli.resuming import ResumableWriter

    path = workplace() / "results.jsonl"
    files = sections(data)
    path.write_bytes(files.get("results.jsonl", b""))
    side = path.with_name("results.jsonl.resume")
    side.unlink(missing_ok=True)
    if "results.jsonl.resume" in files:
        side.write_bytes(files["results.jsonl.resume"])
    before = path.read_bytes()
    try:
        with ResumableWriter(path, JsonlFormat(), resume=True) as writer:
            held = writer.check({"lang": "de"})
            left = list(writer.remaining(Source(name, Path(name)) for name in ("a.wav", "b.wav", "b.wav", "c.wav")))
            writer.begin()
            writer.finish()
    except UsageError as error:
        assert path.read_bytes() == before, "a file that was refused was changed"
        return refused(error)
    lines = path.read_bytes().split(b"\n")  # a lone CR is white space to JSON, and ends no line
    assert path.read_bytes().startswith(before[: held.end]), "a record was lost"
    for line in filter(bytes.strip, lines):
        json.loads(line)
    return f"{held.records} held, {held.errors} errors, {len(left)} left"


def segments(data: bytes) -> str:
    """A file of given segments."""
    from s2t2_cli.segment_files import read_segments

    path = workplace() / "given"
    path.write_bytes(data)
    try:
        found = read_segments(path)
    except UsageError as error:
        return refused(error)
    spans = [span for each in found.values() for span in each]
    assert spans
    assert all(0 <= span.start < span.end < float("inf") for span in spans)
    return f"{len(found)} {len(spans).bit_length()}"


TARGETS: Mapping[str, Callable[[bytes], str]] = {
    "audio": audio,
    "manifest": manifest,
    "config": config,
    "safetensors": safetensors,
    "pickled": pickled,
    "tokenizer": tokenizer,
    "index": index,
    "resume": resume,
    "segments": segments,
}

PURE_PYTHON = ("manifest", "config", "tokenizer", "index", "resume", "segments")
"""Targets in which a coverage-guided search sees where it gets to; in the others it would look at wrappers."""
