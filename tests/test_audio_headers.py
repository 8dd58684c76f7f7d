"""What is read off the first and last bytes of a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.audio.headers import is_playlist, leaves_length_open, mp3_states_length, needs_seeking, ogg_is_complete


def page(body: bytes, flags: int = 0) -> bytes:
    """An Ogg page (RFC 3533) with `body` in as many segments as it takes."""
    sizes = [255] * (len(body) // 255) + [len(body) % 255]
    return b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(sizes), *sizes]) + body


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_an_ogg_ends_with_a_whole_page_that_says_so(before: bytes, body: bytes) -> None:
    assert ogg_is_complete(before + page(body, flags=4))
    assert not ogg_is_complete(before + page(body.replace(b"OggS", b""), flags=1))
    assert not ogg_is_complete((before + page(body.replace(b"OggS", b""), flags=4))[:-1])


@pytest.mark.parametrize(
    ("size", "is_open"), [(0, True), (36, True), (37, False), (2**20, False), (0x7FFF_F024, True), (2**32 - 1, True)]
)
def test_a_wav_from_a_pipe_states_no_length(size: int, is_open: bool) -> None:
    assert leaves_length_open(b"RIFF" + size.to_bytes(4, "little") + b"WAVE") is is_open
    assert leaves_length_open(b"RIFX" + size.to_bytes(4, "big") + b"WAVE") is is_open
    assert not leaves_length_open(b"FORM" + size.to_bytes(4, "little") + b"AIFF")


@given(st.lists(st.binary(max_size=300), max_size=3), st.sampled_from([b"Xing", b"Info", b"VBRI", b"LAME"]))
def test_an_mp3_states_its_length_behind_its_tags(tags: list[bytes], mark: bytes) -> None:
    sizes = [bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0)) for tag in tags]
    content = b"".join(b"ID3\x04\0\0" + size + tag for size, tag in zip(sizes, tags, strict=True))
    content += b"\xff\xfb\x90\x64" + bytes(32) + mark
    assert mp3_states_length(lambda offset, size: content[offset : offset + size]) is (mark != b"LAME")


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(content: bytes) -> None:
    for question in (is_playlist, leaves_length_open, needs_seeking, ogg_is_complete):
        assert question(content) in (True, False)
    assert mp3_states_length(lambda offset, size: content[offset : offset + size]) in (True, False)
