"""A headless Chromium, driven by its own protocol: pages are opened, clicked and photographed."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update")
PATIENCE = 90  # seconds for a page; the first one waits for the code location
SETTLED = 3  # seconds for layout and the last answers

# the innermost element that says exactly this
FIND = "[...document.querySelectorAll('body *')].findLast(of => of.innerText?.trim() === %s)"


class Browser:
    """One tab."""

    def __init__(self, tab: ClientConnection) -> None:
        self.tab, self.asked, self.width, self.height = tab, 0, 0, 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What a method of the DevTools protocol answers."""
        self.asked += 1
        self.tab.send(json.dumps({"id": self.asked, "method": method, "params": params}))
        while True:
            answer = json.loads(self.tab.recv(timeout=PATIENCE))
            if answer.get("id") == self.asked:
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, url: str, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)

    def wait_for(self, text: str) -> None:
        """Until the page says so; SystemExit when it does not."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(f"document.body?.innerText.includes({json.dumps(text)}) ?? false"):
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.evaluate('location.href')} never showed {text!r}")
            time.sleep(0.3)
        time.sleep(SETTLED)

    def click(self, text: str) -> None:
        self.wait_for(text)
        self.evaluate(f"{FIND % json.dumps(text)}.click()")

    def scroll_to(self, text: str) -> None:
        self.evaluate(f"{FIND % json.dumps(text)}.scrollIntoView()")

    def photograph(self, path: Path, left: int = 0, top: int = 0, right: int = 0) -> None:
        """Write what is seen as PNG, without so many pixels at its edges."""
        seen = {"x": left, "y": top, "width": self.width - left - right, "height": self.height - top, "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", clip=seen)["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile; SystemExit when none is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise SystemExit("there is no Chromium to take pictures with; install it, as with `apt-get install chromium`")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox root
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--hide-scrollbars"]
        command = [program, *options, *sandbox, *QUIET, "about:blank"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            announced = Path(profile) / "DevToolsActivePort"
            while not (announced.exists() and announced.read_text().strip()):
                if process.poll() is not None:
                    raise SystemExit(f"{program} ended before it began")
                time.sleep(0.1)
            port = announced.read_text().split()[0]
            with urlopen(Request(f"http://127.0.0.1:{port}/json/new", method="PUT")) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            with connect(address, max_size=None) as tab:
                yield Browser(tab)
        finally:
            process.terminate()
            process.wait()
