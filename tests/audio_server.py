"""A small HTTP server on the loopback that delivers recordings well, badly, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class AudioServer(ThreadingHTTPServer):
    """`url(path)` delivers `content`; what the path begins with says how (see `_Handler`)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()
        """Set when those who wait in a stalled answer may go."""

    def url(self, path: str = "/talk.wav", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


@contextmanager
def serving(content: bytes) -> Iterator[AudioServer]:
    server = AudioServer(content)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: AudioServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.close_connection = True
        content = self.server.content
        match self.path.strip("/").split("/"):
            case ["status", code, *_]:
                self._answer(int(code), b"no")
            case ["redirect", code, *rest]:
                self._answer(int(code), b"", {"Location": "/" + "/".join(rest)})
            case ["away", scheme]:
                self._answer(302, b"", {"Location": f"{scheme}:///etc/hostname"})
            case ["towards", host]:
                self._answer(302, b"", {"Location": f"http://{host}:{self.server.server_port}/talk.wav"})
            case ["endless"]:
                self._answer(302, b"", {"Location": "/talk.wav", "Content-Length": str(2**40)})
                self.server.released.wait()
            case ["circle"]:
                self._answer(302, b"", {"Location": "/circle"})
            case ["elsewhere"]:
                self._answer(302, b"", {"Location": f"http://localhost:{self.server.server_port}/talk.wav"})
            case ["silent"]:
                self.server.released.wait()
            case ["stalled"]:
                self._answer(200, content[: len(content) // 2], {"Content-Length": str(len(content))})
                self.server.released.wait()
            case ["dripping", where]:
                self._drip(b"" if where == "header" else b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
            case ["short"]:
                self._answer(200, content[: len(content) // 2], {"Content-Length": str(len(content))})
            case ["huge"]:
                self._answer(200, b"", {"Content-Length": str(2**50)})
            case ["chunked", *how]:
                self._chunks(content, ends=how != ["cut"])
            case ["nonsense"]:
                self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n" * 100)
            case ["hangup"]:
                pass
            case _:
                self._answer(200, content)

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, head: bytes) -> None:
        self.wfile.write(head)
        while not self.server.released.wait(0.02):
            self.wfile.write(b"H")

    def _chunks(self, content: bytes, ends: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(content), 10_000):
            piece = content[start : start + 10_000]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n" if ends else b"ff\r\nhalf")

    def log_message(self, *_: Any) -> None:
        """Tests read their own output."""
