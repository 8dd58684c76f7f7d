"""Fill the marked part of docs/benchmarks.md, and draw the pictures, from docs/benchmarks/*/*.json (`make bench`).

    python scripts/make_benchmarks_page.py [--results docs/benchmarks] [--page docs/benchmarks.md] [--check]

With --check nothing is written: status 1 if the page does not say what the figures say.

Knows: the figures that scripts/bench_*.py write, a folder for each machine. Does not know: how they were measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarking import REFERENCE, RESULTS

PAGE = RESULTS.with_suffix(".md")
PICTURE = "benchmarks.png"
MARK = "<!-- made by scripts/make_benchmarks_page.py -->"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table: the first column is words, the others are figures."""
    names = list(head)
    lines = [names, ["---", *["--:"] * (len(names) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def source(figures: dict[str, Any]) -> str:
    """Where figures come from, in one line."""
    machine, checkpoint = figures["machine"], figures["checkpoint"]
    rounds = figures["rounds"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; torch {machine['torch']}, "
        f"{machine['reference']}; `{checkpoint['name']}` ({checkpoint['encoder_layers']} encoder layers of "
        f"{checkpoint['encoder_width']}, {checkpoint['weights_mb']:,.0f} MB of weights); "
        f"{rounds} round{'s' if rounds != 1 else ''}."
    )


def faster(one: dict[str, Any], name: str, key: str = "times_faster") -> str:
    return "1" if name == REFERENCE else f"{one[key]:.2f}"


def translate_part(figures: dict[str, Any]) -> Iterator[str]:
    """One warm clip, and the encoder against its limit."""
    yield f"### One clip of {figures['clip_seconds']:g} s, warm"
    yield source(figures)
    for title, found in figures["searches"].items():
        yield f"{title[0].upper()}{title[1:]}, {found['beams']} beams:"
        rows = [
            [name, *(f"{found[part][name]['seconds']:.3f}" for part in ("encoder", "search", "total")),
             f"{found['step_ms'][name]:.1f}", found["tokens"][name],
             *(faster(found[part][name], name) for part in ("encoder", "search", "total"))]
            for name in found["total"]
        ]  # fmt: skip
        head = ["", "encoder, s", "search, s", "total, s", "ms a step", "tokens"]
        yield table([*head, "encoder ×", "search ×", "total ×"], rows)
    long = figures["long"]
    yield (
        f"The encoder on {long['clip_seconds']:g} s of speech ({long['gflop']:,.0f} GFLOP), beside the best matrix "
        f"product of the same round, {long['peak_gflops']:.0f} GFLOP/s:"
    )
    rows = [
        [name, f"{one['seconds']:.3f}", one["gflops"], f"{one['share_of_peak']:.0%}", faster(one, name)]
        for name, one in long["encoder"].items()
    ]
    yield table(["", "s", "GFLOP/s", "share", "×"], rows)


def folder_part(figures: dict[str, Any]) -> Iterator[str]:
    """Folders of clips."""
    yield "### Folders of clips"
    limit = figures["max_new_tokens"]
    yield source(figures) + (f" Each clip gets exactly {limit} tokens." if limit else "")
    for name, found in figures["sets"].items():
        yield f"{name.capitalize()}: {found['clips']} clips, {found['audio_seconds']:g} s."
        rows = [
            [side, f"{one['seconds']:.1f}", f"{one['times_real_time']:.2f}", faster(one, side),
             f"{one['times_faster_than_best']:.2f}", "" if side == "faster-whisper" else one["same_clips"]]
            for side, one in found["sides"].items()
        ]  # fmt: skip
        yield table(["", "s", "times real time", "× one by one", f"× {found['best_reference']}", "same tokens"], rows)
        if "faster-whisper" in found["sides"]:
            yield "faster-whisper (whisper-base, int8) only transcribes, as many tokens as it takes."


def process_part(figures: dict[str, Any]) -> Iterator[str]:
    """The whole process."""
    yield f"### The whole process, one clip of {figures['clip_seconds']:g} s"
    yield source(figures)
    rows = [
        [name, f"{one['seconds']:.2f}", faster(one, name), f"{one['peak_mb']:,.0f}", f"{one['peak_to_weights']:.2f}",
         f"{one['peak_to_reference']:.2f}"]
        for name, one in figures["sides"].items()
    ]  # fmt: skip
    yield table(["", "s", "×", "peak, MB", "of the weights", "of the reference's"], rows)


def memory_part(figures: dict[str, Any]) -> Iterator[str]:
    """Thousands of clips."""
    yield f"### {figures['clips']:,} short clips in one process"
    yield source(figures)
    rows = [
        [f"`{one['checkpoint']['name']}`, {one['dtype']}", f"{one['first']['VmRSS'] / 1e6:.1f}",
         f"{one['last']['VmRSS'] / 1e6:.1f}", f"{one['growth']:+.1%}", one["peak_mb"]]
        for one in figures["runs"]
    ]  # fmt: skip
    first = figures["runs"][0]["first"]["line"]
    yield table(["", f"MB after {first}", "MB after the last", "growth", "peak, MB"], rows)


PARTS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "translate": translate_part,
    "folder": folder_part,
    "process": process_part,
    "memory": memory_part,
}


def draw(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Seconds as bars, a panel for each benchmark that was run; resident memory as a line."""
    from matplotlib.figure import Figure

    panels: list[tuple[str, dict[str, list[tuple[str, float]]]]] = []
    if "translate" in results:
        searches = results["translate"]["searches"]
        for title, found in searches.items():
            stacked = {part: [(name, one["seconds"]) for name, one in found[part].items()]
                       for part in ("encoder", "search")}  # fmt: skip
            panels.append((f"{results['translate']['clip_seconds']:g} s clip, {title}", stacked))
    for name, found in results.get("folder", {}).get("sets", {}).items():
        bars = [(side, one["seconds"]) for side, one in found["sides"].items()]
        panels.append((f"{name}: {found['clips']} clips, {found['audio_seconds']:g} s", {"": bars}))
    if "process" in results:
        bars = [(name, one["seconds"]) for name, one in results["process"]["sides"].items()]
        panels.append(("whole process, one clip", {"": bars}))
    runs = results.get("memory", {}).get("runs", [])
    count = len(panels) + bool(runs)
    columns = min(count, 3)
    figure = Figure(figsize=(5 * columns, 3.2 * -(-count // columns)), layout="constrained")
    grid = figure.subplots(-(-count // columns), columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes, (title, stacked) in zip(grid, panels, strict=False):
        left: dict[str, float] = {}
        for number, (part, bars) in enumerate(stacked.items()):
            names, seconds = [name for name, _ in bars], [value for _, value in bars]
            starts = [left.get(name, 0.0) for name in names]
            colours = [f"C{number}" if part else ("0.6" if name.startswith(REFERENCE) else "C0") for name in names]
            axes.barh(names, seconds, left=starts, label=part, color=colours)
            left = {name: start + value for name, start, value in zip(names, starts, seconds, strict=True)}
        for name, value in left.items():
            axes.annotate(f" {value:.3g}", (value, name), va="center", fontsize=8)
        axes.set(title=title, xlabel="seconds")
        axes.invert_yaxis()
        axes.margins(x=0.15)
        if len(stacked) > 1:
            axes.legend()
    if runs:
        axes = grid[count - 1]
        for run in runs:
            lines, megabytes = zip(*run["curve_mb"], strict=True)
            axes.plot(lines, megabytes, label=run["checkpoint"]["name"].rpartition("data/")[2])
        axes.set(title="resident memory", xlabel="results", ylabel="MB", ylim=(0, 1.1 * axes.get_ylim()[1]))
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=110)


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """What the benchmarks left in a folder, by name, in the page's order."""
    files = {name: folder / f"{name}.json" for name in PARTS}
    return {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.exists()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the page is out of date")
    options = parser.parse_args()
    folders = sorted(path for path in options.results.iterdir() if path.is_dir())
    machines = {folder: results for folder in folders if (results := read_results(folder))}
    parts: list[str] = []
    for folder, results in machines.items():
        parts.append(f"## {next(iter(results.values()))['machine']['cpu']}")
        parts.append(f"![Seconds and memory]({(folder / PICTURE).relative_to(options.page.parent)})")
        parts += [text for name, figures in results.items() for text in PARTS[name](figures)]
    page = options.page.read_text("utf-8")
    before, _, rest = page.partition(MARK)
    _, _, after = rest.partition(MARK)
    filled = f"{before}{MARK}\n\n" + "".join(f"{part}\n\n" for part in parts) + f"{MARK}{after}"
    if options.check:
        if page != filled:
            print(f"{options.page.name} is out of date; run: python scripts/make_benchmarks_page.py", file=sys.stderr)
        return int(page != filled)
    for folder, results in machines.items():
        draw(results, folder / PICTURE)
    options.page.write_text(filled, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
