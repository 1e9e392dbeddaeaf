"""What the browser of these tests hears: a page that complains does not go unnoticed."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

PAGES = {
    "console.error('a', 1)": "a 1",
    "setTimeout(() => { throw new Error('late'); })": "late",
    "Promise.reject(new Error('promised'))": "promised",
    "fetch('file:///not/there').catch(() => 0)": "file:///not/there",
}


@pytest.mark.parametrize("script", PAGES)
def test_complaints_are_heard(browser, tmp_path, script):
    (tmp_path / "page.html").write_text(f"<p>here</p><script>{script}</script>")

    browser.open(f"file://{tmp_path}/page.html")
    browser.wait("document.readyState === 'complete' && performance.now() > 200")

    assert len(browser.complaints) >= 1 and any(PAGES[script] in each for each in browser.complaints)
    browser.forgive()


class Late(BaseHTTPRequestHandler):
    """A page that asks for something that is not there, and hears so half a second later."""

    def do_GET(self):
        if self.path != "/":
            time.sleep(0.5)
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<link rel=icon href=data:,><p>here</p><script>fetch('/late')</script>")

    def log_message(self, *_):
        """Say nothing."""


def test_what_is_forgiven_may_come_late(browser):
    with ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{server.server_port}/")
        browser.wait("document.body.innerText === 'here'")
        assert browser.complaints == []

        browser.forgive()
        browser.wait("performance.now() > 1500")
        server.shutdown()

    assert browser.complaints == []


def test_a_page_that_says_nothing_wrong_is_left_alone(browser, tmp_path):
    (tmp_path / "page.html").write_text("<link rel=icon href=data:,><p>here</p><script>console.warn('a')</script>")

    browser.open(f"file://{tmp_path}/page.html")
    browser.wait("document.body.innerText === 'here'")

    assert browser.complaints == []


def test_a_small_window_is_a_phone(browser, tmp_path):
    """The page is laid out as wide as it asks for."""
    (tmp_path / "page.html").write_text("<meta name=viewport content='width=device-width'><p>here")
    browser.size(400, 800, dark=True)
    browser.open(f"file://{tmp_path}/page.html")

    browser.wait("innerWidth === 400 && matchMedia('(prefers-color-scheme: dark)').matches")
    browser.size(1280, 900)
    browser.wait("innerWidth === 1280 && !matchMedia('(prefers-color-scheme: dark)').matches")
