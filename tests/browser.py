"""A headless Chromium for tests, driven over a pipe by its own protocol (Chrome DevTools Protocol)."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_PATIENCE = 60.0  # seconds; a loaded machine starts a browser slowly
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--mute-audio", "--remote-debugging-pipe",
)  # fmt: skip


class Page:
    """One page in a browser of its own."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        self._input, self._output = _pipe(), _pipe()

        def connect() -> None:  # the browser reads commands from 3 and writes answers to 4
            os.dup2(self._input[0], 3)
            os.dup2(self._output[1], 4)

        self._process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(profile)},
        )
        os.close(self._input[0])
        os.close(self._output[1])
        self._number = 0
        self._rest = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, path: Path, fragment: str = "", *, width: int = 1280, height: int = 900) -> None:
        """Show the file, in a window of that many CSS pixels, and forget what was noted of pages before."""
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        for address in ("about:blank", path.as_uri() + fragment):
            self.events.clear()
            self._send("Page.navigate", url=address)
            self._wait(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression holds."""
        self._wait(lambda: bool(self.run(script)))

    def click(self, selector: str) -> None:
        """A click with the mouse on the middle of an element."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{element}.scrollIntoView({{block: 'center'}})")
        box = self.run(f"{element}.getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, text: str = "") -> None:
        """A key, with the text that it writes."""
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        typed = {"text": text or "\r"} if text or key == "Enter" else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **typed)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self) -> bytes:
        """A screenshot, as base64 of a PNG."""
        data: str = self._send("Page.captureScreenshot", format="png")["data"]
        return data.encode()

    def close(self) -> None:
        """End the browser."""
        os.close(self._input[1])  # which it takes for a request to end
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._output[0])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._input[1], json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []
        self._wait(lambda: bool(answers), answers)
        assert "error" not in answers[0], f"{method}: {answers[0]}"
        result: dict[str, Any] = answers[0]["result"]
        return result

    def _wait(self, holds: Callable[[], bool], answers: list[dict[str, Any]] | None = None) -> None:
        end = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < end, "the browser does not answer"
            if answers is None and not select.select([self._output[0]], [], [], 0.05)[0]:
                continue
            self._read(answers, end)

    def _read(self, answers: list[dict[str, Any]] | None, end: float) -> None:
        ready, _, _ = select.select([self._output[0]], [], [], max(0.0, end - time.monotonic()))
        assert ready, "the browser does not answer"
        block = os.read(self._output[0], 1 << 20)
        assert block, "the browser has ended"
        *messages, self._rest = (self._rest + block).split(b"\0")
        for message in map(json.loads, messages):
            if message.get("id") == self._number and answers is not None:
                answers.append(message)
            elif "method" in message:
                self.events.append(message)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are far from the numbers that the browser wants."""
    ends = os.pipe()
    reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return reading, writing
