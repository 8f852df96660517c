"""A headless Chromium, for tests that look at pages: `browser.CHROMIUM` is None where none is installed."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def run(page: Path, *flags: str, budget: int = 20000, timeout: int = 300) -> "subprocess.CompletedProcess[str]":
    """Open a page, let its scripts run for `budget` milliseconds of its own time, and return what Chromium printed."""
    own = [f"--user-data-dir={page.parent / 'profile'}", f"--virtual-time-budget={budget}"]
    command = [str(CHROMIUM), *_FLAGS, *own, *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def evaluate(page: Path, body: str, *flags: str, timeout: int = 300) -> Any:
    """Open a page, run the body of an async function there, and return its result; see `opened`."""
    with opened(page, *flags, timeout=timeout) as tab:
        return tab.evaluate(body)


@contextlib.contextmanager
def opened(page: Path, *flags: str, timeout: int = 300) -> Iterator["Tab"]:
    """Open a page, and close the browser at the end.

    Unlike in `run`, time is real: work on other threads, such as that of WebAssembly's compiler, is waited for.
    """
    asked, answered = _pipe(), _pipe()

    def connect() -> None:
        os.dup2(asked[0], 3)  # where Chromium reads the protocol, and where it writes it
        os.dup2(answered[1], 4)

    own = [f"--user-data-dir={page.parent / 'profile'}", "--remote-debugging-pipe", "about:blank"]
    command = ["timeout", str(timeout), str(CHROMIUM), *_FLAGS, *flags, *own]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=connect)
    os.close(asked[0])
    os.close(answered[1])
    try:
        with open(asked[1], "wb", buffering=0) as ask, open(answered[0], "rb") as answer:
            yield Tab(ask, answer, page.as_uri())
    finally:
        process.terminate()
        process.wait()


def _pipe() -> tuple[int, int]:
    """Return the two ends of a pipe, whose numbers are none of those that Chromium is given."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)  # a write end that stays open would keep a reader waiting after Chromium has ended
    return read, write


class Tab:
    """A page in Chromium, asked by the DevTools protocol on two pipes: JSON messages, each followed by a zero byte."""

    def __init__(self, ask: Any, answer: Any, url: str):
        self.ask, self.answer, self.count = ask, answer, 0
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.navigate", url=url)

    def evaluate(self, body: str) -> Any:
        """Run the body of an async function after the page was loaded, and return its result."""
        loaded = (
            'await new Promise(done => document.readyState === "complete" ? done() : addEventListener("load", done))'
        )
        whole = {"expression": f"(async () => {{ {loaded}; {body} }})()", "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", **whole)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self.count += 1
        session = {"sessionId": self.session} if self.session else {}
        message = {"id": self.count, "method": method, "params": params, **session}
        self.ask.write(json.dumps(message).encode() + b"\0")
        while True:
            letters = bytearray()
            while (letter := self.answer.read(1)) != b"\0":
                assert letter, "Chromium has ended"
                letters += letter
            told = json.loads(letters)
            if told.get("id") == self.count:
                assert "error" not in told, told
                return told["result"]
