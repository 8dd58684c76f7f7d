"""Small well-meant files of every kind to begin from: writes tests/fuzz_corpus (`python -m fuzzing.seeds`).

Knows: what of each kind can be made here. Does not know: what is done with it. What a finding left there
(`finding-…`) stays.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests" / "fuzz_corpus"
MINIATURE = ROOT / "tests" / "data" / "miniature"
sys.path.insert(0, str(ROOT / "tests"))

from audio_fixtures import EXACT, LOSSY, encode, int16, speech, video, wav  # noqa: E402
from s2t2_cli.selftest import bundled_clip  # noqa: E402

# Container, codec and rate of what is in neither list of the tests.
_MORE = {
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "avi": ("avi", "pcm_s16le", 8_000),
    "flv": ("flv", "libmp3lame", 11_025),
    "mov": ("mov", "pcm_s16be", 8_000),
    "nut": ("nut", "pcm_s16le", 8_000),
    "voc": ("voc", "pcm_u8", 8_000),
    "mp2": ("mp2", "mp2", 16_000),
    "eac3": ("eac3", "eac3", 48_000),
    "ms-adpcm": ("wav", "adpcm_ms", 8_000),
}


def bundle(files: Mapping[str, bytes | str]) -> bytes:
    """Several files as one input (see targets.SECTION)."""
    parts = [(name, text.encode() if isinstance(text, str) else text) for name, text in files.items()]
    return b"\n".join(b"--- %b\n%b" % (name.encode(), content) for name, content in parts)


def audio() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, (container, codec, rate) in (EXACT | LOSSY | _MORE).items():
        samples = speech(bundled_clip(), rate)[int(0.9 * rate) : int(1.0 * rate)]
        found[name.replace(", ", "-").replace(" ", "-")] = encode(samples, rate, container, codec)
    samples = speech(bundled_clip())[16_000:17_600]
    found["film"] = video(samples)
    found["film-matroska"] = video(samples, "matroska")
    found["wav-by-hand"] = wav(int16(samples))
    found["wav-8-channels"] = wav(int16(samples), channels=8)
    tags = {"title": "x" * 40, "comment": "ü" * 20}
    found["mp3-tagged"] = encode(samples, 16_000, "mp3", "libmp3lame", tags=tags)
    found["playlist"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    found["concat"] = b"ffconcat version 1.0\nfile /etc/hostname\n"
    found["sdp"] = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    return found


def manifest() -> dict[str, bytes]:
    rows = [
        {"audio_filepath": "a.wav", "text": "Hallo", "n": 1.5, "list": [1, {"a": None}], "flag": True},
        {"audio_filepath": "http://127.0.0.1/x.wav", "ü": "\t\n\\"},
        {"no": "path"},
    ]
    return {
        "rows": "\n".join(json.dumps(row) for row in rows).encode() + b"\n",
        "table": "audio_filepath\ttext\nb.wav\tGuten\\tTag\nhttps://x.invalid/y\tü\n".encode(),
        "covost": b'path\tsentence\ttranslation\tclient_id\nc.mp3\t\\"Hi\\", he said\tHallo\tabc\n',
    }


def config() -> dict[str, bytes]:
    folder = MINIATURE
    names = ("config.json", "generation_config.json", "preprocessor_config.json")
    compact = {name: json.dumps(json.loads((folder / name).read_text())) for name in names}
    return {"all": bundle(compact)} | {name: bundle({name: text}) for name, text in compact.items()}


def tokenizer() -> dict[str, bytes]:
    folder = MINIATURE
    names = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
    files = {name: (folder / name).read_text() for name in names}
    added = {"added_tokens.json": '{"<x>": 40, "zwei Wörter": 41}'}
    decoder = {
        "0": {"content": "<s>", "special": True},
        "40": {"content": "neu", "single_word": True, "lstrip": True, "special": False},
    }
    modern = json.dumps({"added_tokens_decoder": decoder, "model_max_length": 10, "additional_special_tokens": ["neu"]})
    return {
        "published": bundle(files),
        "added": bundle(files | added),
        "modern": bundle(files | {"tokenizer_config.json": modern}),
    }


def safetensors() -> dict[str, bytes]:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}
    return {
        "two": save(tensors, metadata={"format": "pt"}),
        "types": save({"i": torch.arange(3), "e": torch.zeros(0, 5), "?": torch.tensor(True)}),
        "by-hand": struct.pack("<Q", 2) + b"{}",
    }  # fmt: skip


def pickled() -> dict[str, bytes]:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}
    found = {}
    for name, is_zip in (("zip", True), ("legacy", False)):
        out = io.BytesIO()
        torch.save(state, out, _use_new_zipfile_serialization=is_zip)
        found[name] = out.getvalue()
    return found


def index() -> dict[str, bytes]:
    shards = {"a.weight": "model-1.safetensors", "b.weight": "model-1.safetensors"}
    return {"one": json.dumps({"metadata": {"total_size": 24}, "weight_map": shards}).encode()}


def resume() -> dict[str, bytes]:
    lines = [
        '{"audio_filepath": "a.wav", "status": "ok", "lang": "de", "text": "Hallo"}\n',
        '{"audio_filepath": "b.wav", "status": "error", "error": {"type": "AudioDecodeError", "message": "x"}}\n',
    ]
    side = json.dumps({"settings": {"lang": "de"}, "finished": False})
    bad_row = lines[1].replace("b.wav", "m.jsonl:3").replace("AudioDecode", "Manifest")
    whole = {"results.jsonl": "".join(lines), "results.jsonl.resume": side}
    return {
        "whole": bundle(whole),
        "torn": bundle(whole | {"results.jsonl": "".join(lines) + '{"audio_filepath": "c.w'}),
        "no-end": bundle(whole | {"results.jsonl": "".join(lines).rstrip()}),
        "alone": bundle({"results.jsonl": lines[0]}),
        "bad-row": bundle(whole | {"results.jsonl": bad_row}),
    }  # fmt: skip


def segments() -> dict[str, bytes]:
    return {
        "rttm": b"SPEAKER talk 1 0.50 2.25 <NA> <NA> anna <NA> <NA>\nSPEAKER talk 1 3.0 1 <NA> <NA> b <NA> <NA>\n",
        "tsv": b"start\tend\ttext\n0.5\t2.75\tHallo\n3.0\t4\t\n",
        "tsv-ms": b"file\tstart_ms\tduration_ms\na.wav\t500\t1000\n",
        "bare": b"talk.wav\t0.5\t2\n",
        "srt": "1\n00:00:00,500 --> 00:00:02,000\nGrüße\n\n2\n00:00:03,000 --> 00:00:04,000\nTag\n".encode(),
        "vtt": b"WEBVTT\n\n00:00.500 --> 00:02.000 align:start\nHi\n",
    }


def main() -> None:
    makers = (audio, manifest, config, tokenizer, safetensors, pickled, index, resume, segments)
    for make in makers:
        folder = CORPUS / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in make().items():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
