"""Recordings behind http addresses, from servers good and bad."""

from __future__ import annotations

import base64
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio_fixtures import encode, speech
from audio_server import AudioServer, serving
from s2t2_cli import __version__
from s2t2_cli.audio import fetching, limits, load_audio
from s2t2_cli.errors import AudioDecodeError, DownloadError, InputReadError, UsageError


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[AudioServer]:
    clip: Path = request.getfixturevalue("clip")
    with serving(clip.read_bytes()) as server:
        yield server


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def failure(url: str) -> str:
    """The sentence with which fetching `url` fails."""
    with pytest.raises(DownloadError) as caught:
        load_audio(url)
    return str(caught.value)


def test_an_address_gives_what_the_file_gives(server: AudioServer, clip: Path) -> None:
    assert np.array_equal(load_audio(server.url()).samples, load_audio(clip).samples)
    path, headers = server.requests[-1]
    assert path == "/talk.wav"
    assert headers["user-agent"] == f"s2t2-cli/{__version__}"


def test_an_mp4_with_its_index_at_the_end(clip: Path) -> None:
    content = encode(speech(clip), 16_000, "ipod", "aac")
    with serving(content) as server:
        assert np.array_equal(load_audio(server.url()).samples, load_audio(content).samples)


def test_a_large_body_goes_through_a_temporary_file(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SPOOL_BYTES", 1_000)
    with serving(clip.read_bytes()) as server, fetching.fetch(server.url()) as body:
        assert isinstance(body, tempfile.SpooledTemporaryFile)
        assert body.fileno() > 2
        assert body.read() == clip.read_bytes()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: AudioServer, code: int) -> None:
    assert load_audio(server.url(f"/redirect/{code}/redirect/302/talk.wav")).duration > 2


def test_the_body_of_a_redirection_is_not_waited_for(server: AudioServer) -> None:
    assert load_audio(server.url("/endless")).duration > 2


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/status/404", "cannot be fetched: the server answers 404 Not Found"),
        ("/status/403", "cannot be fetched: the server answers 403 Forbidden"),
        ("/status/500", "cannot be fetched: the server answers 500 Internal Server Error"),
        ("/status/599", "cannot be fetched: the server answers 599"),
        ("/circle", "redirects in a circle, or nowhere (HTTP status 302)"),
        ("/away/file", "redirects in a circle, or nowhere (HTTP status 302)"),
        ("/away/ftp", "redirects in a circle, or nowhere (HTTP status 302)"),
        ("/short", "broke off after 44602 of 89204 bytes; try again"),
        ("/chunked/cut", "cannot be fetched: the connection broke off; try again"),
        ("/huge", "is larger than 16 GiB; download it yourself and name the file"),
        ("/nonsense", "cannot be fetched: the server does not answer as HTTP demands"),
        ("/hangup", "cannot be fetched: the server hung up"),
    ],
)
def test_what_servers_do(server: AudioServer, path: str, sentence: str) -> None:
    assert failure(server.url(path)) == f"{server.url(path)} {sentence}"


@pytest.mark.parametrize("path", ["/silent", "/stalled", "/dripping/header", "/dripping/body"])
def test_a_server_that_stalls_is_given_up(server: AudioServer, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2T2_DOWNLOAD_TIMEOUT", "0.3")
    sentence = "cannot be fetched: the server is silent or too slow (waited 0.3 s)"
    assert failure(server.url(path)) == f"{server.url(path)} {sentence}"


def test_a_body_of_unstated_length(server: AudioServer) -> None:
    assert load_audio(server.url("/chunked")).duration > 2


def test_a_body_of_unstated_length_beyond_the_limit(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_COPY_BYTES", 20_000)
    assert "is larger than" in failure(server.url("/chunked"))


def test_a_page_that_is_not_audio() -> None:
    with serving(b"<html>Please log in</html>") as server, pytest.raises(AudioDecodeError, match="is not audio"):
        load_audio(server.url())
    with serving(b"") as server, pytest.raises(AudioDecodeError, match="is empty"):
        load_audio(server.url())


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/talk.wav"
    assert failure(url) == f"{url} cannot be fetched: the server refuses the connection"


def test_https_that_is_not(server: AudioServer) -> None:
    url = server.url().replace("http:", "https:")
    assert failure(url) == f"{url} cannot be fetched: there is no secure connection to the server"


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///talk.wav", "http://host:port/", "http://[::1/", "http://127.0.0.1:99999/", "http://127.0.0.1:0/",
     "http://" + "a" * 300 + "/", "http://\udcff/"],
)  # fmt: skip
def test_addresses_that_cannot_be(url: str) -> None:
    assert failure(url).endswith("cannot be fetched: it is not a valid address")


def test_what_people_type_is_made_fit_to_travel(server: AudioServer) -> None:
    assert load_audio(server.url("/grüße an alle/100%25.wav?a=ä b#part").replace("http", "HTTP")).duration > 2
    assert server.requests[-1][0] == "/gr%C3%BC%C3%9Fe%20an%20alle/100%25.wav?a=%C3%A4%20b"


def test_a_login_is_sent_to_its_own_host_only_and_never_shown(server: AudioServer) -> None:
    login = "user:p%40ss@"
    assert load_audio(server.url(login=login)).duration > 2
    assert server.requests[-1][1]["authorization"] == "Basic " + base64.b64encode(b"user:p@ss").decode()
    assert load_audio(server.url("/elsewhere", login)).duration > 2
    assert "authorization" not in server.requests[-1][1]
    with serving(b"no recording") as other, pytest.raises(AudioDecodeError) as caught:
        load_audio(other.url(login=login), name=other.url(login=login))
    assert str(caught.value).startswith(other.url())
    for path in ("/status/401", "/hangup", "/short"):
        assert failure(server.url(path, login)).startswith(server.url(path))
    assert (
        failure("http://user:secret@host:port/x") == "http://host:port/x cannot be fetched: it is not a valid address"
    )
    assert "secret" not in failure("http://user:sec ret@127.0.0.1:1/")


def test_the_proxy_of_the_environment_is_used(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    assert load_audio("http://nowhere.invalid/talk.wav").duration > 2
    assert server.requests[-1][0] == "http://nowhere.invalid/talk.wav"
    monkeypatch.setenv("no_proxy", "nowhere.invalid")
    assert "its host is not known" in failure("http://nowhere.invalid/talk.wav")


def test_a_full_disk_is_not_the_fault_of_the_server(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - closed by those who think it is theirs
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda max_size: full)
    with pytest.raises(InputReadError, match=r"cannot keep the download of .* \(No space left on device\)"):
        load_audio(server.url())


@pytest.mark.parametrize("setting", ["soon", "0", "-1", "nan", "inf"])
def test_the_timeout_must_be_a_number(setting: str, monkeypatch: pytest.MonkeyPatch, server: AudioServer) -> None:
    monkeypatch.setenv("S2T2_DOWNLOAD_TIMEOUT", setting)
    with pytest.raises(UsageError, match="set it to a number of seconds"):
        load_audio(server.url())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("http://u:p@host/a@b", "http://host/a@b"),
        ("http://u:p@host?x=@", "http://host?x=@"),
        ("https://u:p@r@host#@", "https://host#@"),
        ("http://host/a:b@c", "http://host/a:b@c"),
        ("mail@host/a.wav", "mail@host/a.wav"),
    ],
)
def test_names_without_credentials(name: str, shown: str) -> None:
    assert fetching.without_credentials(name) == shown
