"""A small model hub on a loopback port: enough of the hub's API for huggingface_hub, real sockets, no mocks.

    with HubServer() as hub:
        commit = hub.add("someone/model", {"config.json": b"{}"})

It lists, resolves and serves files as the hub does (commit and ETag headers, large files by redirect to another
path, byte ranges), knows gated, private and renamed repositories, and can be told to misbehave.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import pytest


@dataclass
class Repository:
    """The files of each commit, and what branches and tags point to."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    disabled: bool = False

    def commit(self, revision: str) -> str | None:
        found = self.references.get(revision, revision)
        return found if found in self.commits else None


class HubServer:
    """The hub. Attributes named like faults are set by a test, and hold for requests of the given kinds."""

    token = "hf_good"
    """The only access token the hub knows."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, str] = {}
        self.large: set[str] = {"pytorch_model.bin", "model.safetensors"}
        self.requests: list[tuple[str, str]] = []
        self.answer_with: dict[str, int] = {}
        """HTTP status to refuse with, by kind of request: `api`, `resolve`, `cdn`."""
        self.stalls: set[str] = set()
        """Kinds of requests that get no answer."""
        self.cut_after: int | None = None
        """Bytes of a large file after which the connection is closed, every time."""
        self.portals: set[str] = set()
        """Kinds of requests that get a web page, as the login page of a hotel answers everything."""
        self.healthy_for: dict[str, int] = {}
        """How many requests of a kind are answered well before `answer_with` holds."""
        self.ghosts: set[str] = set()
        """Files that are listed and gone when they are asked for."""
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(
        self,
        model_id: str,
        files: Mapping[str, bytes],
        *,
        revision: str = "main",
        gated: bool = False,
        private: bool = False,
    ) -> str:
        """Commit `files` to a branch and return the commit's hash."""
        repository = self.repositories.setdefault(model_id, Repository())
        repository.gated, repository.private = gated, private
        digest = hashlib.sha1(model_id.encode())
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        commit = digest.hexdigest()
        repository.commits[commit] = dict(files)
        repository.references[revision] = commit
        return commit

    def add_folder(self, model_id: str, folder: Path) -> str:
        """Commit the files of a folder to `main`."""
        return self.add(model_id, {path.name: path.read_bytes() for path in folder.iterdir()})

    def asked(self, kind: str) -> list[str]:
        """The paths of that kind that were asked for, methods aside."""
        return [path for _, path in self.requests if _kind(path) == kind]

    def wait_for_close(self) -> None:
        """Keep a stalled request open."""
        self._closing.wait(timeout=60)

    def close(self) -> None:
        """Hang up: from now on connections are refused."""
        self._closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def use_hub(monkeypatch: pytest.MonkeyPatch, endpoint: str, home: Path) -> None:
    """Point huggingface_hub in this process at `endpoint`, with caches below `home` and without anyone's token."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(home / "hub"), raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)


def hub_environment(endpoint: str, home: Path) -> dict[str, str]:
    """The same for another process, in environment variables."""
    return {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}


def write_cached(
    cache: Path,
    model_id: str,
    files: Mapping[str, bytes],
    *,
    commit: str = "0123456789abcdef0123456789abcdef01234567",
    revision: str | None = "main",
    large: Iterable[str] = ("pytorch_model.bin", "model.safetensors"),
) -> Path:
    """Lay `files` out as the hub's cache does, without the library; returns the snapshot folder."""
    repository = cache / f"models--{model_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        blob = repository / "blobs" / etag(content, is_large=name in set(large))
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    if revision is not None:
        reference = repository / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
    return snapshot


def etag(content: bytes, *, is_large: bool) -> str:
    """What the hub calls the content: SHA-256 where git-lfs stores it, otherwise git's own hash."""
    if is_large:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _kind(path: str) -> str:
    return "api" if path.startswith("/api/") else "cdn" if path.startswith("/cdn/") else "resolve"


def _named(name: str) -> dict[str, str]:
    """The header from which the client learns what a file is called."""
    return {"Content-Disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ThreadingHTTPServer

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    @property
    def _hub(self) -> HubServer:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        kind = _kind(path)
        hub = self._hub
        hub.requests.append((self.command, path))
        if kind in hub.stalls:
            hub.wait_for_close()
            self.close_connection = True
        elif kind in hub.portals:
            self._send(200, b"<html>Welcome to our hotel</html>", {"Content-Type": "text/html"})
        elif kind in hub.answer_with and len(hub.asked(kind)) > hub.healthy_for.get(kind, 0):
            self._send(hub.answer_with[kind], b"")
        elif kind == "cdn":
            self._send_blob(path.removeprefix("/cdn/"))
        elif kind == "api":
            self._answer_listing(path.removeprefix("/api/models/"))
        else:
            self._answer_file(path)

    def _answer_listing(self, path: str) -> None:
        model_id, _, revision = path.partition("/revision/")
        found = self._find(model_id, revision or "main", prefix="/api/models/")
        if found is None:
            return
        repository, commit = found
        listing = {
            "id": model_id,
            "modelId": model_id,
            "sha": commit,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "siblings": [{"rfilename": name} for name in (*repository.commits[commit], *self._hub.ghosts)],
        }
        self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})

    def _answer_file(self, path: str) -> None:
        model_id, _, rest = path[1:].partition("/resolve/")
        revision, _, name = rest.partition("/")
        found = self._find(model_id, revision, prefix="/")
        if found is None:
            return
        repository, commit = found
        if repository.gated and not self._is_known():
            self._refuse(401, "GatedRepo", "Access to this model is restricted.")
            return
        content = repository.commits[commit].get(name)
        if content is None:
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        is_large = name in self._hub.large
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(content, is_large=is_large)}"', **_named(name)}
        if is_large:
            digest = etag(content, is_large=True)
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            # Another host name, as the hub's storage has: huggingface_hub looks for the headers before this redirect.
            storage = f"http://localhost:{self.server.server_address[1]}"
            self._send(302, b"", {**headers, "Location": f"{storage}/cdn/{digest}"})
        else:
            self._send(200, content, headers)

    def _find(self, model_id: str, revision: str, *, prefix: str) -> tuple[Repository, str] | None:
        """The repository and the commit; None where the request has been refused or redirected."""
        hub = self._hub
        if model_id in hub.renamed:
            self._send(307, b"", {"Location": self.path.replace(f"{prefix}{model_id}", prefix + hub.renamed[model_id])})
            return None
        authorization = self.headers.get("Authorization")
        if authorization is not None and not self._is_known():
            self._refuse(401, None, "Invalid credentials in Authorization header")
            return None
        repository = hub.repositories.get(model_id)
        if repository is None or (repository.private and not self._is_known()):
            self._refuse(404 if authorization else 401, "RepoNotFound", "Repository not found")
            return None
        if repository.disabled:
            self._refuse(403, None, "Access to this resource is disabled.")
            return None
        commit = repository.commit(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self._hub.token}"

    def _send_blob(self, digest: str) -> None:
        for repository in self._hub.repositories.values():
            for files in repository.commits.values():
                for name, content in files.items():
                    if etag(content, is_large=True) == digest:
                        self._send_range(name, content)
                        return
        self._send(404, b"")

    def _send_range(self, name: str, content: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        headers |= _named(name)
        self._send(206 if start else 200, content[start:], headers, cut_after=self._hub.cut_after)

    def _refuse(self, status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> None:
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, b"", {**(headers or {}), **named})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        cut_after: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if cut_after is None else body[:cut_after])
            if cut_after is not None and cut_after < len(body):
                self.close_connection = True
