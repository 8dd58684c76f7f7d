"""One warm clip against the reference: encoder, search, milliseconds a beam step; the encoder against its limit.

    python scripts/bench_translate.py [--checkpoint FOLDER] [--clip FILE] [--rounds 5] [--threads 2] [--tokens 30]

All sides load the same checkpoint and translate the same clip (5 s of real speech, joined of the repository's clips),
in processes of their own that stay warm and take turns. Float32's tokens must be the reference's. Two searches: one
that makes exactly --tokens tokens, and one with the checkpoint's own settings.

Then the encoder on 15 s of speech, beside the best matrix product of the same round: its limit. The operations are
counted from the configuration, matrix products and convolutions alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarking import (
    RATE,
    REFERENCE,
    Search,
    Side,
    add_dtypes,
    clip_files,
    joined_clips,
    make_parser,
    our,
    say,
    seconds_of,
    started,
    summary,
    take_turns,
    write_figures,
)
from s2t2_cli.configuration import SpeechEncoderDecoderConfig

PARTS = ("encoder", "search", "total")
PEAK_SIZES = (1024, 2048, 4096)


def encoder_operations(config: SpeechEncoderDecoderConfig, samples: int) -> int:
    """Floating-point operations, two for each multiplication and addition, that one clip takes to the bridge's end."""
    encoder = config.encoder
    width, channels, positions, operations = encoder.hidden_size, 1, samples, 0
    for out, kernel, stride in zip(encoder.conv_dim, encoder.conv_kernel, encoder.conv_stride, strict=True):
        positions = (positions - kernel) // stride + 1
        operations += 2 * positions * kernel * channels * out
        channels = out
    frames = positions
    operations += 2 * frames * channels * width
    group = width // encoder.num_conv_pos_embedding_groups
    operations += 2 * frames * encoder.num_conv_pos_embeddings * group * width
    linear = 4 * width * width + 2 * width * encoder.intermediate_size
    attention = 2 * frames * width  # scores, and what they weigh
    operations += encoder.num_hidden_layers * 2 * frames * (linear + attention)
    if config.has_bridge:
        operations += 2 * frames * width * config.decoder.d_model
    return operations


def measure_search(sides: dict[str, Side], clip: Path, search: Search, rounds: int) -> dict[str, Any]:
    """Medians of the parts, ratios, milliseconds a step; the turn that warms up also checks the tokens."""

    def turn(name: str) -> dict[str, Any]:
        return sides[name].ask("clip", file=clip, search=search.settings())

    first = {name: turn(name) for name in sides}
    exact = our("float32")
    if exact in first and first[exact]["ids"] != first[REFERENCE]["ids"]:
        sys.exit("bench: float32 gives other tokens than the reference")
    answers = take_turns(list(sides), rounds, turn)
    for records in answers.values():
        for one in records:
            one["total"] = one["encoder"] + one["search"]
    steps = {name: len(first[name]["ids"]) - 1 for name in sides}
    figures: dict[str, Any] = {"beams": search.beams, "tokens": steps}
    for part in PARTS:
        figures[part] = summary({name: [one[part] for one in answers[name]] for name in sides})
    figures["step_ms"] = {
        name: round(1000 * one["seconds"] / max(1, steps[name]), 3) for name, one in figures["search"].items()
    }
    return figures


def measure_encoder(
    sides: dict[str, Side], clip: Path, config: SpeechEncoderDecoderConfig, rounds: int
) -> dict[str, Any]:
    """GFLOP/s in the encoder, and their share of the best matrix product measured just before in the same round."""
    operations = encoder_operations(config, round(seconds_of(clip) * RATE))
    ours = next(iter(sides))

    def turn(name: str) -> dict[str, Any]:
        if name == "peak":
            return sides[ours].ask("peak", sizes=PEAK_SIZES)
        return sides[name].ask("encode", file=clip)

    for name in sides:
        turn(name)
    answers = take_turns(["peak", *sides], rounds, turn)
    peaks = [one["best"] for one in answers.pop("peak")]
    seconds = {name: [one["seconds"] for one in records] for name, records in answers.items()}
    figures: dict[str, Any] = {
        "gflop": round(operations / 1e9, 2),
        "peak_gflops": round(statistics.median(peaks), 1),
        "peak_rounds": peaks,
        "encoder": summary(seconds),
    }
    for name, values in seconds.items():
        speeds = [operations / value / 1e9 for value in values]
        shares = [speed / peak for speed, peak in zip(speeds, peaks, strict=True)]
        figures["encoder"][name]["gflops"] = round(statistics.median(speeds), 1)
        figures["encoder"][name]["share_of_peak"] = round(statistics.median(shares), 3)
    return figures


def main() -> None:
    """Take turns, print, write."""
    parser = make_parser(__doc__, rounds=5)
    add_dtypes(parser)
    parser.add_argument("--clip", type=Path, help="recording to translate; by default 5 s of joined speech")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=30)
    parser.add_argument("--encoder-seconds", type=float, default=15.0)
    options: argparse.Namespace = parser.parse_args()
    config = SpeechEncoderDecoderConfig.from_pretrained(options.checkpoint)
    searches = {
        f"{options.tokens} tokens": Search(options.beams, options.tokens),
        "the checkpoint's limit": Search(options.beams, None),
    }
    with tempfile.TemporaryDirectory() as scratch, started(options) as sides:
        short, long = joined_clips(clip_files(), (5.0, options.encoder_seconds), Path(scratch))
        clip = options.clip or short
        figures: dict[str, Any] = {"clip_seconds": round(seconds_of(clip), 2), "searches": {}}
        for title, search in searches.items():
            found = figures["searches"][title] = measure_search(sides, clip, search, options.rounds)
            for part in PARTS:
                steps = {name: f"{one:.2f} ms a step" for name, one in found["step_ms"].items()}
                say(f"{title}, {part}", found[part], steps if part == "search" else None)
        found = measure_encoder(sides, long, config, options.rounds)
        figures["long"] = {"clip_seconds": options.encoder_seconds, **found}
        shares = {name: f"{one['share_of_peak']:.1%} of the peak" for name, one in found["encoder"].items()}
        say(f"encoder, {options.encoder_seconds:g} s", found["encoder"], shares)
        print(f"best matrix product {found['peak_gflops']} GFLOP/s; the clip takes {found['gflop']} GFLOP", flush=True)
    write_figures("translate", options, options.checkpoint, figures)


if __name__ == "__main__":
    main()
