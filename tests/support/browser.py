"""A real Chromium without a window, driven by Playwright: open an address, run a script in the page, take a picture."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Page, Request, sync_playwright

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
LEFT = ("Execution context was destroyed", "Inspected target navigated", "Cannot find context")
"""What is said of a script whose page was left before it could answer."""


class Browser:
    """One page. ``complaints`` holds what it said on its console as an error, and scripts that failed.

    Scripts run as in the console of the developer tools: what is a list of statements has the value of the last.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._devtools = page.context.new_cdp_session(page)
        self._asked: set[Request] = set()
        page.on("request", lambda request: self._asked.add(request))
        page.on("requestfinished", lambda request: self._asked.discard(request))
        page.on("requestfailed", lambda request: self._asked.discard(request))
        page.on("pageerror", lambda error: self.complaints.append(str(error)[:500]))
        page.on("console", self._note)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its answer."""
        try:
            return self._devtools.send(method, parameters)
        except Error as error:
            if any(words in str(error) for words in LEFT):
                return {"result": {}}
            raise

    def size(self, width: int, height: int, dark: bool = False) -> None:
        # Playwright's own call can't make a page that is open one of a phone.
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def open(self, address: str) -> None:
        """Go there; what was on the page before is gone when this returns."""
        self.page.goto("about:blank")
        if address != "about:blank":
            self.page.goto(address, wait_until="commit")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        answer = self._evaluated(script)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Return as soon as an expression is true; until then it may also fail."""
        deadline = time.monotonic() + seconds
        while self._evaluated(f"!!({script})")["result"].get("value") is not True:
            assert time.monotonic() < deadline, f"{script} did not come true; the page says: {self.text()}"
            self.page.wait_for_timeout(50)

    def forgive(self, seconds: float = 5) -> None:
        """Forget what was complained of, and what answers that are still on their way will give reason for."""
        deadline, quiet = time.monotonic() + seconds, 0
        while quiet < 2 and time.monotonic() < deadline:
            self.page.wait_for_timeout(30)
            quiet = 0 if self._asked else quiet + 1
        self.complaints.clear()

    def text(self) -> str:
        """What can be read on the page."""
        return self.run("document.body.innerText")

    def picture(self, path: Path) -> None:
        self.page.screenshot(path=path)

    def _evaluated(self, script: str) -> dict[str, Any]:
        return self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)

    def _note(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.complaints.append(f"{said.text} {said.location.get('url', '')}")


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser that keeps what it must in ``folder`` and ends with the block."""
    options = ["--headless=new", "--disable-gpu"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, headless=False, args=options, chromium_sandbox=False, no_viewport=True
        ) as context,
    ):
        yield Browser(context.pages[0] if context.pages else context.new_page())
