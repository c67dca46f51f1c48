"""A headless Chromium driven over its DevTools protocol: pages, requests, errors, screenshots."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from companion.book.pdf import find_chromium

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
OPTIONS += ("--remote-debugging-pipe",)


@dataclass
class Tab:
    """One page; `requests` and `errors` collect what it asked for and what went wrong."""

    to_browser: int
    from_browser: IO[bytes]
    session: str = ""
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _sent: int = 0
    _unread: bytes = b""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends one command and waits for its answer."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            self._note(answer)
            if answer.get("id") == self._sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            chunk = os.read(self.from_browser.fileno(), 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium ended")
            self._unread += chunk
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression (promises are awaited)."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def open(self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Loads a page at a window size and waits until it and its scripts are done."""
        self.requests.clear()
        self.errors.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        self.run("new Promise(done => setTimeout(done, 400))")
        self.run("window.MathJax?.startup?.promise?.then(() => true)")

    def wait(self, condition: str, seconds: float = 15) -> None:
        """Waits until a JavaScript condition holds."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"after {seconds} s still not true: {condition}")
            time.sleep(0.05)

    def click(self, selector: str, place: int = 0) -> None:
        """Clicks the first element that a CSS selector finds, or a later one."""
        self.run(f"document.querySelectorAll(`{selector}`)[{place}].click()")

    def click_on(self, words: str) -> None:
        """Clicks the first button that says these words."""
        buttons = "[...document.querySelectorAll('button')]"
        self.run(f"{buttons}.find(b => b.textContent === '{words}').click()")

    def set(self, selector: str, value: Any) -> None:
        """Moves a slider, or takes an option of a list."""
        self.run(
            f"(e => {{ e.value = {value!r}; for (const kind of ['input', 'change'])"
            " e.dispatchEvent(new Event(kind, {bubbles: true})); })"
            f"(document.querySelector(`{selector}`))"
        )
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def press(self, key: str, code: str) -> None:
        """Presses a key and lets it go."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, **text)
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def text(self, selector: str) -> str:
        """The text of the first element that a CSS selector finds."""
        return str(self.run(f"document.querySelector(`{selector}`).textContent"))

    def screenshot(self, file: Path, *, full: bool = True) -> None:
        """Writes the page as PNG, whole or what the window shows."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        file.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def tab() -> Iterator[Tab]:
    """A fresh Chromium with one tab; ended when the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        its_input, to_browser = os.pipe()
        from_browser, its_output = os.pipe()
        # DevTools over a pipe: Chromium reads its file descriptor 3 and writes its 4.
        launch = f'exec "$0" "$@" 3<&{its_input} 4>&{its_output}'
        options = (*OPTIONS, f"--user-data-dir={profile}")
        process = subprocess.Popen(
            ["bash", "-c", launch, find_chromium(), *options, "about:blank"],
            pass_fds=(its_input, its_output),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_input)
        os.close(its_output)
        try:
            with os.fdopen(from_browser, "rb") as answers:
                yield _attach(Tab(to_browser, answers))
        finally:
            process.terminate()
            process.wait(timeout=20)
            os.close(to_browser)


def _attach(opened: Tab) -> Tab:
    target = opened.call("Target.createTarget", url="about:blank")["targetId"]
    answer = opened.call("Target.attachToTarget", targetId=target, flatten=True)
    opened.session = answer["sessionId"]
    for domain in ("Page", "Runtime", "Network"):
        opened.call(f"{domain}.enable")
    return opened
