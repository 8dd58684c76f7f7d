"""The body of an http(s) address, in a temporary file.

Knows: HTTP through the standard library: proxies of the environment, redirects, the ways a server fails, which
addresses may not lead to private hosts. Does not know: sockets (connections), audio.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO, Any

from s2t2_cli import __version__
from s2t2_cli.audio import limits
from s2t2_cli.audio.connections import HTTPHandler, HTTPSHandler, PrivateAddressError, PublicHosts
from s2t2_cli.audio.reading import SPOOL_BYTES
from s2t2_cli.errors import DownloadError, InputReadError, S2T2Error, UsageError
from s2t2_cli.inputs import PublicUrl, is_url

TIMEOUT_SECONDS = 30.0
"""How long a server may take to connect, or be silent, before it counts as stalled.

The environment variable S2T2_DOWNLOAD_TIMEOUT sets another number of seconds.
"""

_CHUNK_BYTES = 2**16


def without_credentials(name: str) -> str:
    """`name`, if it is an address, without `user:password@`."""
    if not is_url(name):
        return name
    scheme, _, rest = name.partition("://")
    host_end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return f"{scheme}://{rest[:host_end].rpartition('@')[2]}{rest[host_end:]}"


def fetch(url: str, *, name: str | None = None, timeout: float | None = None) -> IO[bytes]:
    """The body behind `url`, complete, in a temporary file that stands at its beginning.

    `name` is what messages call it (credentials are left out in any case). `timeout` overrides the seconds above.
    A `PublicUrl` is refused where it, or a redirection, leads to a host that is not public.
    Raises `DownloadError` for everything a server or the network can do, always within a few timeouts.
    """
    shown = without_credentials(name or url)
    patience = _timeout() if timeout is None else timeout
    opener = _opener(public_only=isinstance(url, PublicUrl))
    with _failures_of(shown, patience), opener.open(_request(url), timeout=patience) as response:
        return _spooled(response, shown)


def _timeout() -> float:
    setting = os.environ.get("S2T2_DOWNLOAD_TIMEOUT", "")
    try:
        seconds = float(setting) if setting else TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise UsageError(f"S2T2_DOWNLOAD_TIMEOUT is {setting!r}; set it to a number of seconds, as in 60")
    return seconds


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(_ascii_url(url))
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, "")))
    request.add_header("User-Agent", f"s2t2-cli/{__version__}")
    if parts.username is not None:
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        login = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        request.add_unredirected_header("Authorization", f"Basic {login}")
    return request


def _ascii_url(url: str) -> str:
    """`url` with what people type (spaces, umlauts) in the form that travels. Raises `ValueError`."""
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError("no host")
    login, at, host = parts.netloc.rpartition("@")
    host = host if host.isascii() else host.encode("idna").decode("ascii")
    quoted = [urllib.parse.quote(part, safe="%/:=&?~+!$,;'@()*[]-._") for part in (login, parts.path, parts.query)]
    return urllib.parse.urlunsplit((parts.scheme.lower(), quoted[0] + at + host, quoted[1] or "/", quoted[2], ""))


def _spooled(response: http.client.HTTPResponse, shown: str) -> IO[bytes]:
    stated = response.length
    _check_size(stated or 0, shown)
    copy = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - it is what we return
    try:
        received = 0
        while piece := response.read(_CHUNK_BYTES):
            received += len(piece)
            _check_size(received, shown)
            _keep(copy, piece, shown)
        if response.length:
            raise DownloadError(f"{shown} broke off after {received} of {stated} bytes; try again")
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def _check_size(size: int, shown: str) -> None:
    if size > limits.MAX_COPY_BYTES:
        raise DownloadError(
            f"{shown} is larger than {limits.MAX_COPY_BYTES // 2**30} GiB; download it yourself and name the file"
        )


def _keep(copy: IO[bytes], piece: bytes, shown: str) -> None:
    try:
        copy.write(piece)
    except OSError as problem:
        raise InputReadError(f"cannot keep the download of {shown} ({problem.strerror})") from problem


@contextmanager
def _failures_of(shown: str, patience: float) -> Iterator[None]:
    """Turn what urllib raises into `DownloadError`."""
    try:
        yield
    except S2T2Error:
        raise
    except PrivateAddressError as problem:
        raise DownloadError(
            f"{shown} leads to {problem}, which is not a public address; --allow-private-addresses lets a manifest"
            " name such"
        ) from None
    except urllib.error.HTTPError as problem:
        problem.close()
        raise DownloadError(_status_sentence(shown, problem.code)) from problem
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise DownloadError(f"{shown} cannot be fetched: {_reason(problem, patience)}") from problem


def _status_sentence(shown: str, code: int) -> str:
    if 300 <= code < 400:
        return f"{shown} redirects in a circle, or nowhere (HTTP status {code})"
    phrase = next((f" {status.phrase}" for status in HTTPStatus if status == code), "")
    return f"{shown} cannot be fetched: the server answers {code}{phrase}"


def _reason(problem: Exception, patience: float) -> str:
    """Why, in words; nothing of the exception's own text, which may hold the address and so a password."""
    cause = problem.reason if isinstance(problem, urllib.error.URLError) else problem
    reasons: dict[type[Exception], str] = {
        TimeoutError: f"the server is silent or too slow (waited {patience:g} s)",
        socket.gaierror: "its host is not known, or the network is down",
        ConnectionRefusedError: "the server refuses the connection",
        ssl.SSLCertVerificationError: "the certificate of the server is not trusted",
        ssl.SSLError: "there is no secure connection to the server",
        ConnectionError: "the server hung up",
        http.client.IncompleteRead: "the connection broke off; try again",
        http.client.InvalidURL: "it is not a valid address",
        http.client.HTTPException: "the server does not answer as HTTP demands",
        ValueError: "it is not a valid address",
    }
    for kind, reason in reasons.items():
        if isinstance(cause, kind):
            return reason
    return getattr(cause, "strerror", None) or "the network fails"


def _opener(*, public_only: bool) -> urllib.request.OpenerDirector:
    """An opener for http and https alone: no file:, no ftp:, no data:."""
    opener = urllib.request.OpenerDirector()
    if public_only:
        opener.add_handler(PublicHosts())
    for handler in (
        urllib.request.ProxyHandler(),
        HTTPHandler(public_only=public_only),
        HTTPSHandler(public_only=public_only),
        _RedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_url(newurl):
            raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
        fp.close()  # the base class reads the body of a redirection, which need not have an end
        return super().redirect_request(req, fp, code, msg, headers, _ascii_url(without_credentials(newurl)))
