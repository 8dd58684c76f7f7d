"""Addresses that a manifest names: they may be somebody else's, and are not to reach this machine and its network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_server import AudioServer, serving
from cli_run import Here
from s2t2_cli.audio import addresses, connections, load_audio
from s2t2_cli.audio.addresses import is_public, private_address
from s2t2_cli.errors import AudioDecodeError, DownloadError
from s2t2_cli.inputs import PublicUrl
from s2t2_cli.manifests import Manifest

NOT_PUBLIC = "which is not a public address; --allow-private-addresses lets a manifest name such"


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


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 stands for a host of the internet, all others of the loopback do not."""
    for module in (addresses, connections):
        monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1",
     "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "2001:db8::1"],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "[::1]".strip("[]")])
def test_a_host_is_known_by_where_it_leads(host: str) -> None:
    assert private_address(host, 80) in ("127.0.0.1", "::1")


def test_a_host_that_nobody_knows_is_not_private() -> None:
    assert private_address("nowhere.invalid", 80) is None
    assert private_address("a" * 300, 80) is None


def test_an_address_of_this_machine_is_the_users_to_name(server: AudioServer) -> None:
    assert load_audio(server.url()).duration > 2


def test_and_not_a_manifests(server: AudioServer) -> None:
    asked = len(server.requests)
    for url in (server.url(), server.url().replace("127.0.0.1", "localhost"), server.url(login="user:secret@")):
        with pytest.raises(DownloadError) as caught:
            load_audio(PublicUrl(url))
        assert str(caught.value).endswith(f"/talk.wav leads to 127.0.0.1, {NOT_PUBLIC}") or "::1" in str(caught.value)
        assert "secret" not in str(caught.value)
    assert len(server.requests) == asked


@pytest.mark.usefixtures("loopback_is_public")
def test_a_redirection_leads_to_no_private_address_either(server: AudioServer) -> None:
    assert load_audio(PublicUrl(server.url("/redirect/302/talk.wav"))).duration > 2
    asked = len(server.requests)
    with pytest.raises(DownloadError, match=rf"/towards/127\.0\.0\.2 leads to 127\.0\.0\.2, {NOT_PUBLIC}"):
        load_audio(PublicUrl(server.url("/towards/127.0.0.2")))
    assert len(server.requests) == asked + 1


def test_a_name_that_leads_elsewhere_the_second_time(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in DNS rebinding: looked up first, the host is public; the connection then goes to this machine."""
    monkeypatch.setattr(connections, "private_address", lambda host, port: None)
    asked = len(server.requests)
    with pytest.raises(DownloadError, match="leads to 127"):
        load_audio(PublicUrl(server.url()))
    with pytest.raises(DownloadError, match="leads to 127"):  # and not: there is no secure connection
        load_audio(PublicUrl(server.url().replace("http", "https")))
    assert len(server.requests) == asked


def test_a_private_proxy_may_fetch_what_is_public(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    assert load_audio(PublicUrl("http://nowhere.invalid/talk.wav")).duration > 2
    with pytest.raises(DownloadError, match="leads to 127"):
        load_audio(PublicUrl("http://127.0.0.1:9/talk.wav"))


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:audio/wav;base64,AAAA", "gopher://x"]
)
def test_a_manifest_names_files_and_http_alone(tmp_path: Path, url: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"audio_filepath": url}))
    (source,) = Manifest(str(path))
    assert source.error is not None


@pytest.mark.parametrize(
    "content", ["#EXTM3U\n{url}\n", "ffconcat version 1.0\nfile {url}\n", "[playlist]\nFile1={url}\n"]
)
def test_a_recording_makes_nobody_fetch_anything(server: AudioServer, content: str) -> None:
    asked = len(server.requests)
    with pytest.raises(AudioDecodeError, match="is a playlist, which is not followed"):
        load_audio(content.format(url=server.url()).encode())
    assert len(server.requests) == asked


def test_from_the_command_line(
    server: AudioServer, tmp_path: Path, tiny_checkpoint: Path, clip: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Of two rows one is refused, and the other is not lost by it; both are there when private addresses may be."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"audio_filepath": one}) + "\n" for one in (server.url(), str(clip))))
    s2t2 = Here(capfdbinary)
    given = ["translate", "--manifest", path, "--model", tiny_checkpoint, "--lang", "de", "--format", "jsonl"]
    refused = s2t2(*given)
    assert refused.status == 1
    assert [json.loads(line)["status"] for line in refused.lines] == ["error", "ok"]
    assert NOT_PUBLIC in refused.err
    allowed = s2t2(*given, "--allow-private-addresses")
    assert allowed.status == 0
    assert len({json.loads(line)["text"] for line in allowed.lines}) == 1
    named = s2t2("translate", server.url(), "--model", tiny_checkpoint, "--lang", "de")
    assert named.status == 0
