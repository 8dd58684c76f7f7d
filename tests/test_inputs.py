"""What the user names becomes an ordered stream of sources."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2t2_cli.errors import DownloadError, InputNotFoundError, InputReadError, UsageError
from s2t2_cli.inputs import Source, check_named, file_source, may_be_several, named_sources, url_source


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `recordings` in the current folder: files, folders, and what must not be picked up."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "b.WAV", "a.mp3", "talk.mkv", "notes.txt", "no_ending", ".hidden.wav", "typescript.ts",
        "day2/x.flac", "day10/x.flac", "day1/deep/er/y.opus", ".git/z.wav", "day1/._mac.wav",
    ):  # fmt: skip
        path = tmp_path / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path / "recordings"


def names(sources: Iterator[Source]) -> list[str]:
    return [source.name for source in sources]


def only(*named: str) -> Source:
    (source,) = named_sources(named)
    return source


def test_a_folder_is_walked_in_sorted_order_and_hidden_files_are_skipped(recordings: Path) -> None:
    assert names(named_sources(["recordings"])) == [
        "recordings/a.mp3",
        "recordings/b.WAV",
        "recordings/day1/deep/er/y.opus",
        "recordings/day10/x.flac",
        "recordings/day2/x.flac",
        "recordings/talk.mkv",
    ]


def test_the_order_is_that_of_sorted_paths(recordings: Path) -> None:
    found = [Path(name) for name in names(named_sources(["recordings"]))]
    assert found == sorted(found)


def test_no_recursive_stays_in_the_folder(recordings: Path) -> None:
    shallow = names(named_sources(["recordings"], recursive=False))
    assert shallow == ["recordings/a.mp3", "recordings/b.WAV", "recordings/talk.mkv"]


@pytest.mark.parametrize(
    ("typed", "first"),
    [("recordings/", "recordings/a.mp3"), ("./recordings", "./recordings/a.mp3"), (".", "./recordings/a.mp3")],
)
def test_names_begin_as_the_user_typed_them(recordings: Path, typed: str, first: str) -> None:
    assert names(named_sources([typed]))[0] == first


def test_inputs_keep_the_order_typed_and_may_come_twice(recordings: Path) -> None:
    typed = ["recordings/b.WAV", "recordings/day2", "recordings/b.WAV"]
    assert names(named_sources(typed)) == ["recordings/b.WAV", "recordings/day2/x.flac", "recordings/b.WAV"]


def test_a_file_that_is_named_is_taken_whatever_its_ending(recordings: Path) -> None:
    source = only("recordings/notes.txt")
    assert (source.error, source.size, source.media) == (None, 5, Path("recordings/notes.txt"))


def test_links_in_a_circle_end(recordings: Path) -> None:
    (recordings / "day1" / "up").symlink_to(recordings)
    (recordings / "day2" / "beside").symlink_to(recordings / "day10")
    found = names(named_sources(["recordings"]))
    assert len(found) == 6, "each file once"


def test_a_linked_folder_outside_is_followed(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.wav").touch()
    (recordings / "linked").symlink_to(tmp_path / "elsewhere")
    assert "recordings/linked/far.wav" in names(named_sources(["recordings"]))


def test_a_tree_deeper_than_the_recursion_limit_is_walked(tmp_path: Path) -> None:
    deep = Path(*["d"] * 300)
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "x.wav").touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        assert len(names(named_sources([str(tmp_path)]))) == 1
    finally:
        sys.setrecursionlimit(limit)


def test_pipes_and_sockets_in_a_folder_are_no_recordings(recordings: Path) -> None:
    os.mkfifo(recordings / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(recordings / "socket.wav"))
        assert len(names(named_sources(["recordings"]))) == 6


def test_an_empty_folder_yields_nothing_and_is_noted(tmp_path: Path) -> None:
    noted: list[str] = []
    assert list(named_sources([str(tmp_path)], note_empty=noted.append)) == []
    assert noted == [str(tmp_path)]


def test_a_folder_that_cannot_be_listed_is_an_error_and_the_rest_goes_on(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "day1":  # permissions do not stop root, under whom tests may run
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    sources = list(named_sources(["recordings"]))
    assert [source.name for source in sources if source.error] == ["recordings/day1"]
    assert str(sources[2].error) == "cannot list the folder recordings/day1 (Permission denied)"
    assert len(sources) == 6


def test_a_missing_file_is_an_error_of_its_own(recordings: Path) -> None:
    good, bad = named_sources(["recordings/a.mp3", "recordings/missing.wav"])
    assert good.error is None
    assert isinstance(bad.error, InputNotFoundError)
    assert str(bad.error) == "there is no file recordings/missing.wav"


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("broken.wav", InputNotFoundError, "broken.wav is a broken link to nowhere.wav"),
        ("", InputNotFoundError, "an input is named by the empty string; perhaps a shell variable is not set"),
        ("a.mp3/b.wav", InputNotFoundError, "there is no file a.mp3/b.wav"),
        ("loop.wav", InputReadError, "cannot read loop.wav (Too many levels of symbolic links)"),
        ("n\0l.wav", InputNotFoundError, "no file can be called n\0l.wav (embedded null byte)"),
        ("x" * 300, InputReadError, f"cannot read {'x' * 300} (File name too long)"),
        ("/dev/null", InputReadError, "/dev/null is a device, not a recording"),
        ("plug", InputReadError, "plug is a socket, not a recording"),
        ("file:///a.wav", InputNotFoundError, "cannot be fetched; only files and http:// or https:// addresses can"),
        ("s3://bucket/a.wav", InputNotFoundError, "cannot be fetched; only files and http:// or https://"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Exception], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp3").touch()
    Path("broken.wav").symlink_to("nowhere.wav")
    Path("loop.wav").symlink_to("loop.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("plug")
        source = only(name)
    assert type(source.error) is kind
    assert sentence in str(source.error)


def test_no_permission_is_known_before_anything_is_opened(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert str(only("recordings/a.mp3").error) == "no permission to read recordings/a.mp3"


def test_a_named_pipe_is_welcome_where_it_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    source = only(str(tmp_path / "pipe"))
    assert (source.error, source.size) == (None, None)


def test_addresses_are_passed_on(tmp_path: Path) -> None:
    source = only("HTTPS://example.org/talk.mp3")
    assert (source.media, source.error, source.size) == ("HTTPS://example.org/talk.mp3", None, None)


@pytest.mark.parametrize("url", ["http:///talk.mp3", "https://[broken/talk.mp3"])
def test_an_address_without_a_host_is_an_error(url: str) -> None:
    assert isinstance(url_source(url).error, DownloadError)


class Stdin:
    """Stands in for `sys.stdin`."""

    closed = False

    def __init__(self, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(b"audio")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = Stdin()
    monkeypatch.setattr(sys, "stdin", stdin)
    check_named(["-"])
    source = only("-")
    assert (source.name, source.media, source.size) == ("-", stdin.buffer, None)


def test_a_redirected_file_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(b"123")
    with (tmp_path / "a.wav").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert only("-").size == 3


@pytest.mark.parametrize(
    ("named", "stdin", "sentence"),
    [
        (["-", "-"], Stdin(), "only once"),
        (["-"], Stdin(terminal=True), "is a terminal"),
        (["-"], None, "is closed"),
    ],
)
def test_a_dash_that_can_only_be_a_mistake_is_refused(
    monkeypatch: pytest.MonkeyPatch, named: list[str], stdin: Stdin | None, sentence: str
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(UsageError, match=sentence):
        check_named(named)


def test_a_dash_beside_a_manifest_on_standard_input_is_refused() -> None:
    with pytest.raises(UsageError, match="only once"):
        check_named(["-"], stdin_is_taken=True)


def test_a_file_called_dash_has_a_way_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").touch()
    assert only("./-").media == Path("-")


def test_several_is_what_grep_means_by_it(recordings: Path) -> None:
    assert may_be_several(["a", "b"])
    assert may_be_several(["recordings"])
    assert not may_be_several(["recordings/a.mp3"])
    assert not may_be_several(["https://example.org"])


@pytest.mark.parametrize(
    ("named", "places"),
    [
        (["recordings"], ["a.mp3", "b.WAV", "day1/deep/er/y.opus", "day10/x.flac", "day2/x.flac", "talk.mkv"]),
        (["recordings/day2", "recordings/day10"], ["day2/x.flac", "day10/x.flac"]),
        (["recordings/a.mp3", "recordings/day2/x.flac"], ["a.mp3", "x.flac"]),
        (["recordings/day2/x.flac", "recordings/day10/x.flac"], ["day2/x.flac", "day10/x.flac"]),
        (["recordings/a.mp3", "./recordings/a.mp3"], ["a.mp3", "a.mp3"]),
        (["../talk.mp3", "/data/other.mp3"], ["talk.mp3", "other.mp3"]),
        (["https://example.org/1/talk.mp3?x=a/b#t=3"], ["talk.mp3?x=a_b"]),
        (
            ["https://example.org/1/talk.mp3", "https://example.org/2/talk.mp3"],
            ["1/talk.mp3", "2/talk.mp3"],
        ),
        (["https://example.org"], ["example.org"]),
        (["https://user:secret@example.org/@/talk", "https://example.org/talk"], ["@/talk", "talk"]),
    ],
)
def test_where_results_belong(recordings: Path, named: list[str], places: list[str]) -> None:
    assert [source.place for source in named_sources(named)] == places


def test_bytes_of_a_name_that_are_not_utf8_survive(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(path, "wb"):  # noqa: PTH123 - a path of bytes
        pass
    (source,) = named_sources([str(tmp_path)])
    assert os.fsencode(source.name) == path
    assert source.error is None


def test_fields_of_a_manifest_travel_with_the_source(tmp_path: Path) -> None:
    source = file_source("a", tmp_path / "a", place="a", fields={"id": 7})
    assert source.fields == {"id": 7}
