"""Where recordings are cut: every sample of speech in exactly one segment, none too long, whatever the blocks."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2t2_cli.audio import load_audio
from s2t2_cli.errors import UsageError
from s2t2_cli.segmentation.cutting import Cut, Cutter, CuttingRules
from s2t2_cli.segmentation.frames import FRAME_SAMPLES, SAMPLING_RATE, frames_in
from s2t2_cli.segmentation.settings import Segmentation
from s2t2_cli.segmentation.spans import Span
from s2t2_cli.segmentation.streaming import GivenSegmenter, Piece, Segmenter, SpeechSegmenter, cut
from s2t2_cli.segmentation.vad import SileroDetector, _network

Samples = NDArray[np.float32]

RULES = CuttingRules(frames_in(6.0))

# Stretches of frames: how likely speech, how loud, how many.
stretches = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 0.4, 0.6, 1.0]), st.sampled_from([0.0, 0.1, 1.0]), st.integers(1, 260)),
    max_size=12,
)


def cuts_of(frames: list[tuple[float, float]], rules: CuttingRules = RULES) -> list[Cut]:
    cutter = Cutter(rules)
    found = [cutter.push(likelihood, power) for likelihood, power in frames]
    return [one for one in [*found, cutter.flush()] if one is not None]


def segments_of(frames: list[tuple[float, float]]) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in cuts_of(frames)]


def unroll(runs: list[tuple[float, float, int]]) -> list[tuple[float, float]]:
    return [(likelihood, power) for likelihood, power, count in runs for _ in range(count)]


def runs_of_speech(frames: list[tuple[float, float]]) -> Iterator[range]:
    """From a frame of at least 0.5 to the last before one of less than 0.35."""
    start = None
    for index, (likelihood, _) in enumerate([*frames, (0.0, 0.0)]):
        if start is None and likelihood >= 0.5:
            start = index
        elif start is not None and likelihood < 0.35:
            yield range(start, index)
            start = None


@given(stretches)
def test_segments_are_in_order_apart_and_never_too_long(runs: list[tuple[float, float, int]]) -> None:
    frames = unroll(runs)
    segments = segments_of(frames)

    assert all(0 < end - start <= RULES.longest for start, end in segments)
    assert all(before[1] <= after[0] for before, after in pairwise(segments))
    assert segments == [] or (segments[0][0] >= 0 and segments[-1][1] <= len(frames))


@given(stretches)
def test_all_speech_that_is_no_click_is_in_exactly_one_segment(runs: list[tuple[float, float, int]]) -> None:
    frames = unroll(runs)
    times = np.zeros(len(frames), int)
    for start, end in segments_of(frames):
        times[start:end] += 1

    for run in runs_of_speech(frames):
        if len(run) >= RULES.shortest_speech:
            assert set(times[run.start : run.stop]) == {1}


@given(stretches)
def test_the_quiet_around_a_segment_is_heard_and_nobody_elses_speech(runs: list[tuple[float, float, int]]) -> None:
    frames = unroll(runs)
    cuts = cuts_of(frames)
    speech = {index for run in runs_of_speech(frames) if len(run) >= RULES.shortest_speech for index in run}

    for one in cuts:
        assert 0 <= one.heard_from <= one.start < one.end <= one.heard_to <= len(frames)
        assert one.heard_to - one.heard_from <= RULES.longest
        around = {*range(one.heard_from, one.start), *range(one.end, one.heard_to)}
        assert not around & speech
    for before, after in pairwise(cuts):
        assert before.end <= after.heard_from


@given(stretches)
def test_segments_hold_little_but_speech(runs: list[tuple[float, float, int]]) -> None:
    frames = unroll(runs)
    speech = {index for run in runs_of_speech(frames) for index in run}

    for start, end in segments_of(frames):
        pause = 0
        for index in range(start, end):
            pause = 0 if index in speech else pause + 1
            assert pause < RULES.pause_after_tiny + RULES.before


def test_pauses_between_sentences_cut_and_those_within_do_not() -> None:
    speech, short, long = (1.0, 1.0, 60), (0.0, 0.0, 15), (0.0, 0.0, 40)
    assert segments_of(unroll([long, speech, short, speech, long, speech, long])) == [(34, 178), (209, 278)]


def test_a_click_is_no_speech_and_a_word_alone_waits_for_its_sentence() -> None:
    quiet, click, word, sentence = (0.0, 0.0, 40), (1.0, 1.0, 5), (1.0, 1.0, 12), (1.0, 1.0, 90)
    assert segments_of(unroll([quiet, click, quiet])) == []
    assert segments_of(unroll([quiet, word, quiet])) == [(34, 55)]
    assert segments_of(unroll([quiet, word, (0.0, 0.0, 25), sentence, quiet])) == [(34, 170)]


def test_speech_without_end_is_cut_where_it_is_quietest() -> None:
    loud, quieter, quietest = (1.0, 1.0), (1.0, 0.5), (1.0, 0.1)
    frames = [loud] * 110 + [quietest] * 9 + [loud] * 20 + [quieter] * 9 + [loud] * 40
    assert segments_of(frames) == [(0, 114), (114, 188)]


@pytest.mark.parametrize("seconds", [0.1, 4.0])
def test_segments_too_short_to_be_cut_well_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="too short to be cut well"):
        CuttingRules(frames_in(seconds))


def blocks(samples: Samples, sizes: list[int]) -> Iterator[Samples]:
    while len(samples):
        for size in sizes:
            yield samples[:size]
            samples = samples[size:]


def fixed() -> Segmenter:
    return Segmentation("fixed", 5.0).segmenter()


@settings(max_examples=25)
@given(st.lists(st.integers(300, 40_000), min_size=1, max_size=4), st.integers(400, 300_000))
def test_fixed_segments_are_the_whole_recording_in_any_blocks(sizes: list[int], length: int) -> None:
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    pieces = list(cut(blocks(samples, sizes), fixed()))

    assert np.array_equal(np.concatenate([piece.samples for piece in pieces]), samples)
    assert [piece.start for piece in pieces] == [0, *np.cumsum([len(piece.samples) for piece in pieces])[:-1]]
    assert all(len(piece.samples) <= 5 * SAMPLING_RATE for piece in pieces)
    assert all(len(piece.samples) >= 0.8 * SAMPLING_RATE for piece in pieces[1:])


def test_memory_does_not_grow_with_the_recording() -> None:
    block = np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32)
    tracemalloc.start()
    count = sum(1 for _ in cut((block for _ in range(900)), Segmentation("fixed", 20.0).segmenter()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count >= 45
    assert peak < 10 * 2**20


@pytest.fixture(scope="module")
def speech(clip: Path) -> Samples:
    return load_audio(clip).samples


@pytest.fixture(scope="module")
def recording(speech: Samples) -> Samples:
    """Three sentences, at 1.0, 5.29 and 9.57 s, each 2.79 s long, with a quiet room around them."""
    room = np.random.default_rng(1).standard_normal(16_000 * 13).astype(np.float32) * np.float32(2e-4)
    for start in (1.0, 5.29, 9.57):
        first = round(start * SAMPLING_RATE)
        room[first : first + len(speech)] += speech
    return room


def listened(samples: Samples, sizes: list[int] | None = None) -> list[Piece]:
    return list(cut(blocks(samples, sizes or [SAMPLING_RATE]), Segmentation("vad").segmenter()))


def test_each_sentence_is_found_where_it_is(recording: Samples) -> None:
    pieces = listened(recording)
    assert [piece.span.start for piece in pieces] == pytest.approx([1.3, 5.6, 9.9], abs=0.3)
    assert [piece.span.end for piece in pieces] == pytest.approx([3.4, 7.7, 12.0], abs=0.3)
    for piece in pieces:
        assert np.array_equal(piece.samples, recording[piece.start : piece.end])
        assert piece.quiet_before == pytest.approx(0.1 * SAMPLING_RATE, abs=FRAME_SAMPLES)
        assert piece.quiet_after == pytest.approx(0.4 * SAMPLING_RATE, abs=FRAME_SAMPLES)


@pytest.mark.parametrize("sizes", [[1_700], [513, 7_000, 9_999], [16_000 * 60]])
def test_blocks_do_not_change_what_is_found(recording: Samples, sizes: list[int]) -> None:
    found, expected = listened(recording, sizes), listened(recording)
    assert [(piece.start, piece.end, piece.span) for piece in found] == [
        (piece.start, piece.end, piece.span) for piece in expected
    ]


def test_a_segment_is_there_before_the_next_is_read(recording: Samples) -> None:
    read = 0

    def counted() -> Iterator[Samples]:
        nonlocal read
        for block in blocks(recording, [1_600]):
            read += len(block)
            yield block

    first = next(cut(counted(), Segmentation("vad").segmenter()))
    assert read / SAMPLING_RATE <= first.span.end + 0.8


def test_noise_and_silence_hold_no_speech() -> None:
    noise = np.random.default_rng(2).standard_normal(16_000 * 5).astype(np.float32)
    assert listened(noise * np.float32(0.01)) == []
    assert listened(np.zeros(16_000 * 5, np.float32)) == []


@pytest.mark.parametrize("at_once", [1, 31, 10_000])
def test_likelihoods_are_those_of_the_package(speech: Samples, at_once: int) -> None:
    frames = speech[: len(speech) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import silero_vad

        reference = silero_vad.load_silero_vad()
    torch.set_num_threads(threads)  # what importing it undoes
    expected = [reference(torch.from_numpy(frame.copy()), SAMPLING_RATE).item() for frame in frames]

    detector = SileroDetector()
    found = [detector(frames[start : start + at_once]) for start in range(0, len(frames), at_once)]
    assert np.concatenate(found) == pytest.approx(np.array(expected), abs=1e-4)


def test_a_missing_or_strange_silero_vad_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2t2_cli.segmentation.vad.find_spec", lambda name: None)
    _network.cache_clear()
    with pytest.raises(UsageError, match="silero-vad is not installed; run: pip install"):
        SileroDetector()
    monkeypatch.setattr("s2t2_cli.segmentation.vad._weights_path", lambda: tmp_path / "silero_vad.jit")
    (tmp_path / "silero_vad.jit").write_bytes(b"something else")
    with pytest.raises(UsageError, match="is not the network of silero-vad 6; run: pip install --force-reinstall"):
        SileroDetector()


class TestGivenStretches:
    samples = np.arange(16_000 * 10, dtype=np.float32)

    def pieces(self, *spans: tuple[float, float], sizes: list[int] | None = None) -> list[tuple[int, int]]:
        segmenter = GivenSegmenter([Span(*one) for one in spans])
        pieces = list(cut(blocks(self.samples, sizes or [16_000]), segmenter))
        assert all(np.array_equal(piece.samples, self.samples[piece.start : piece.end]) for piece in pieces)
        return [(piece.start, piece.end) for piece in pieces]

    @pytest.mark.parametrize("sizes", [[333], [16_000], [1_000_000]])
    def test_come_as_they_are_named_overlapping_or_not(self, sizes: list[int]) -> None:
        found = self.pieces((4.0, 5.5), (1.0, 6.0), (2.0, 3.0), sizes=sizes)
        assert found == [(16_000, 96_000), (32_000, 48_000), (64_000, 88_000)]

    def test_end_with_the_recording(self) -> None:
        assert self.pieces((9.0, 11.0)) == [(144_000, 160_000)]

    def test_behind_its_end_are_counted(self) -> None:
        segmenter = GivenSegmenter([Span(0.0, 1.0), Span(10.0, 11.0), Span(20.0, 30.0)])
        assert len(list(cut([self.samples], segmenter))) == 1
        assert segmenter.missed == 2


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-0.1, 1.0), (math.nan, 1.0), (0.0, math.nan), (0.0, math.inf)]
)
def test_stretches_that_cannot_be_are_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="impossible"):
        Span(start, end)


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"method": "words"}, "there is no segmentation 'words'; choose vad, fixed or none"),
        ({"max_seconds": 2.0}, "segments of at most 2 seconds are not possible; from 5 to 600 are"),
        ({"max_seconds": math.nan}, "are not possible"),
        ({"method": "vad", "given": {None: [Span(0.0, 1.0)]}}, "the segments are given already"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wishes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Segmentation(**wishes)  # type: ignore[arg-type]


def test_a_detector_of_ones_own_can_be_used() -> None:
    """Whatever tells speech from the rest will do: here, loudness."""

    def loudness(frames: Samples) -> Samples:
        return (np.abs(frames).max(axis=1) > 0.1).astype(np.float32)

    samples = np.zeros(16_000 * 6, np.float32)
    samples[32_000:64_000] = 0.5
    (piece,) = cut([samples], SpeechSegmenter(loudness, CuttingRules(frames_in(20.0))))
    assert (piece.span.start, piece.span.end) == pytest.approx((1.8, 4.1), abs=0.04)
