"""Connections to HTTP servers that give up where one stalls and, if asked to, where one is not public.

Knows: sockets, urllib's handlers of http and https. Does not know: what is fetched, redirects, how failures are told
(fetching).
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.parse
import urllib.request
from typing import Any

from s2t2_cli.audio.addresses import is_public, private_address

SLOWEST_BYTES_PER_SECOND = 256
"""A server that sends less than this over a whole timeout counts as stalled, as one that is silent for so long."""


class PrivateAddressError(Exception):
    """A request would go to the address that is the message."""


class _StallGuard(io.RawIOBase):
    """A socket that raises TimeoutError when over a whole timeout almost nothing has come.

    The socket's own timeout starts anew with every byte, so that alone a server could drip for ever.
    """

    def __init__(self, raw: io.RawIOBase, timeout: float) -> None:
        self._raw = raw
        self._timeout = timeout
        self._since = time.monotonic()
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if (elapsed := time.monotonic() - self._since) > self._timeout:
            if self._received < SLOWEST_BYTES_PER_SECOND * elapsed:
                raise TimeoutError("too slow")
            self._since, self._received = time.monotonic(), 0
        count: int | None = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if (timeout := sock.gettimeout()) is not None:
            self.fp = io.BufferedReader(_StallGuard(self.fp.detach(), timeout))


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Response


class _PublicConnection(_Connection):
    def connect(self) -> None:
        super().connect()
        # A name may lead elsewhere when it is looked up a second time; nothing has been asked for yet.
        if not is_public(peer := self.sock.getpeername()[0]):
            self.close()
            raise PrivateAddressError(peer)


class _PublicSecureConnection(_SecureConnection, _PublicConnection):
    """In this order, so that the peer is looked at before it is spoken to."""


class PublicHosts(urllib.request.BaseHandler):
    """Looks at every request, those of redirections too, before any connection, and before a proxy is chosen."""

    def http_request(self, req: urllib.request.Request) -> urllib.request.Request:
        parts = urllib.parse.urlsplit(req.full_url)
        if (address := private_address(parts.hostname or "", parts.port)) is not None:
            raise PrivateAddressError(address)
        return req

    https_request = http_request


class HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, *, public_only: bool) -> None:
        super().__init__()
        self._public_only = public_only

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PublicConnection if self._public_only and not _is_proxied(req) else _Connection, req)


class HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, *, public_only: bool) -> None:
        self._tls = ssl.create_default_context()
        self._public_only = public_only
        super().__init__(context=self._tls)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        kind = _PublicSecureConnection if self._public_only and not _is_proxied(req) else _SecureConnection
        return self.do_open(kind, req, context=self._tls)


def _is_proxied(req: urllib.request.Request) -> bool:
    """Whether the connection goes to a proxy, which may well be private."""
    return req.host != urllib.parse.urlsplit(req.full_url).netloc
