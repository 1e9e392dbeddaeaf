"""The page of one run in a real browser: what is known of it, what it printed, its files and code."""

import json
import time

import pytest

from fulgurite.track.store.console import Line
from support.pages import EVIL, made, put
from support.track_server import served

LINES = "[...document.querySelectorAll('.console .line .text')].map(line => line.textContent)"
SHEETS = "[...document.querySelectorAll('.known')].map(card => card.innerText).join()"


def printed(server, run, lines, first=0, stream="stdout"):
    server.store.console.write(
        run.id, [Line(first + i, stream, "2026-01-02T03:04:05.5", None, line) for i, line in enumerate(lines)]
    )


def opened(browser, server, name, rest):
    browser.open(f"{server.url}/local/p/runs/{name}{rest}")
    browser.wait("document.querySelector('main h1')")


def click(browser, text, within="main"):
    browser.run(
        f"[...document.querySelectorAll('{within} button, {within} a, .pop button')]"
        f".find(each => each.innerText.trim() == {json.dumps(text)}).click()"
    )


def typed(browser, selector, text):
    browser.run(
        f"((field) => (field.value = {json.dumps(text)}, field.dispatchEvent(new Event('input'))))"
        f"(document.querySelector({json.dumps(selector)}))"
    )


def test_what_is_known_is_searched_and_folded(browser, server):
    """The search stays in the address; a group can be closed; media are not among the results."""
    made(
        server, "p", "known", config={"model": {"depth": 3, "name": "net"}, "lr": 0.1},
        summary={"loss": 0.25, "pic": {"_type": "image-file"}},
        facts={"program": "train.py", "args": ["--name", "a b"], "git": {"commit": "0123abc"}},
    )  # fmt: skip
    opened(browser, server, "known", "#overview")
    browser.wait(f"{SHEETS}.includes('depth') && document.body.innerText.includes('0123abc')")
    assert "0.25" in browser.text() and "and 1 with media" in browser.text()
    assert "python train.py --name 'a b'" in browser.text() and "0123abc" in browser.text()

    click(browser, "model")
    browser.wait(f"!{SHEETS}.includes('depth')")
    typed(browser, "main input[type=search]", "depth")

    browser.wait(f"{SHEETS}.includes('depth') && !document.querySelector('.known').innerText.includes('lr')")
    browser.open(f"{server.url}/local/p/runs/known?known=depth#overview")
    browser.wait(f"{SHEETS}.includes('1 of 3')")


def test_a_run_is_renamed_and_tagged_in_place(browser, server):
    made(server, "p", "edited", display_name="old", tags=["a"])
    made(server, "p", "another", tags=["known elsewhere"])
    opened(browser, server, "edited", "#overview")

    click(browser, "Rename")
    typed(browser, ".pop input", "new name")
    browser.run("document.querySelector('.pop form').requestSubmit()")
    browser.wait("document.querySelector('main h1').innerText.includes('new name')")
    browser.run("document.querySelector('[aria-label=\"Edit the tags\"]').click()")
    browser.wait("document.querySelector('.pop .choices')?.innerText.includes('known elsewhere')")
    typed(browser, ".pop input:not([type=checkbox])", "fresh")
    browser.run("document.querySelector('.pop form').requestSubmit()")
    browser.wait("document.querySelector('main .tags').innerText.includes('fresh')")

    run = server.run("edited")
    assert run.display_name == "new name" and run.tags == ["a", "fresh"]


def test_the_focus_stays_while_a_run_goes_on(browser, server):
    """The head is drawn anew with each row that comes."""
    run = made(server, "p", "busy")
    opened(browser, server, "busy", "#overview")
    browser.wait("document.querySelector('.head button')")
    browser.run("[...document.querySelectorAll('.head button')].find(each => each.innerText == 'Rename').focus()")

    server.store.history.append(run.id, [(step, {"x": 1}) for step in range(7)])

    browser.wait("document.querySelector('.head').innerText.includes('7 rows')")
    assert browser.run("document.activeElement.innerText") == "Rename"


def test_a_run_is_stopped_deleted_and_brought_back(browser, server):
    run = made(server, "p", "gone")
    opened(browser, server, "gone", "#overview")

    click(browser, "Stop")
    browser.wait("document.body.innerText.includes('asked to stop')")
    assert server.store.runs.by_id(run.id).stop_asked
    click(browser, "Delete")
    browser.wait("document.body.innerText.includes('was deleted')")
    assert server.store.runs.by_id(run.id).deleted_at is not None
    browser.call("Page.reload")
    browser.wait("document.body.innerText.includes('gone was deleted')")
    browser.forgive()  # that it is not found is an error to the browser
    click(browser, "Restore")

    browser.wait("document.querySelector('.known')")
    assert server.store.runs.by_id(run.id).deleted_at is None


def test_a_run_that_never_was_is_not_found(browser, server):
    made(server, "p", "there")
    browser.open(f"{server.url}/local/p/runs/never")

    browser.wait("document.querySelector('main h1')?.innerText == 'Not found'")
    assert "never" in browser.text()
    browser.forgive()  # that it is not found is an error to the browser


def test_a_hundred_thousand_lines_scroll(browser, server):
    """Only those in sight are there; the end is followed until somebody scrolls up."""
    run = made(server, "p", "long")
    printed(server, run, [f"line {number}" for number in range(100_000)])
    opened(browser, server, "long", "#console")

    browser.wait(f"{LINES}.at(-1) == 'line 99999'")
    assert browser.run("document.querySelectorAll('.console .line').length") < 200
    printed(server, run, ["fresh"], 100_000)
    browser.wait(f"{LINES}.at(-1) == 'fresh'")

    browser.run(
        "(pane => (pane.dispatchEvent(new Event('wheel')), pane.scrollTop = 0))(document.querySelector('.console'))"
    )
    browser.wait(f"{LINES}[0] == 'line 0'")
    printed(server, run, ["later"], 100_001)
    browser.wait("document.body.innerText.includes('100,002 lines')")
    assert browser.run(f"{LINES}[0]") == "line 0"


def test_all_lines_are_searched(browser, server):
    """Also those that were never in sight; the address keeps what was searched for."""
    run = made(server, "p", "sought")
    lines = ["nothing"] * 3000
    lines[7], lines[2900] = "a \x1b[31mNee\x1b[0mdle", "needle again"
    printed(server, run, lines)
    opened(browser, server, "sought", "?follow=0#console")
    browser.wait(f"{LINES}.length > 10")

    typed(browser, "main input[type=search]", "needle")
    browser.wait("document.querySelector('.tally').innerText == '1 of 2'")
    browser.wait("document.querySelector('.current')?.innerText.includes('Needle')")
    assert (
        browser.run("[...document.querySelectorAll('.current mark')].map(each => each.innerText).join('')") == "Needle"
    )
    browser.run("document.querySelector('[aria-label=\"Next match\"]').click()")

    browser.wait("document.querySelector('.current')?.innerText.includes('needle again')")
    assert "console=needle" in browser.run("location.search")
    browser.open(browser.run("location.href"))
    browser.wait("document.querySelector('.tally')?.innerText == '1 of 2'")


def test_a_pattern_that_takes_for_ever_is_refused(browser, server):
    """By the server, and the page does not try it either."""
    printed(server, made(server, "p", "patient"), ["a" * 60 + "b"])
    opened(browser, server, "patient", "?regex=1&console=(a%2B)%2B%24#console")

    browser.wait("document.querySelector('.tally')?.innerText.includes('forever')", seconds=10)
    assert browser.run(LINES) == ["a" * 60 + "b"]
    browser.forgive()  # a refused pattern is an error to the browser, too


def test_lines_look_as_in_a_terminal(browser, server):
    """Colours are classes; what was taken back is gone; errors are marked by a letter; times are told on demand."""
    run = made(server, "p", "colours")
    printed(server, run, ["\x1b[1;31mbad\x1b[0m fine \x1b[38;5;208morange\x1b[0m", " 10%\r 90%\r", EVIL])
    printed(server, run, ["to stderr"], 3, "stderr")
    opened(browser, server, "colours", "#console")
    browser.wait(f"{LINES}.length == 4")

    assert browser.run("document.querySelector('.console .bold.fg1').innerText") == "bad"
    assert browser.run(LINES)[1:3] == [" 90%", EVIL]
    assert browser.run("[...document.querySelectorAll('.console .err')].map(each => each.innerText.trim())") == [
        "", "", "", "E",
    ]  # fmt: skip
    click(browser, "Times")
    browser.wait("document.querySelector('.console .time')?.innerText.length == 8")


def test_files_are_seen_as_what_they_are(browser, server):
    """In a tree of folders; the chosen one is in the address."""
    run = made(server, "p", "files")
    put(server, run, "logs/deep/a.txt", "first\nsecond")
    put(server, run, "data.csv", 'name,x\n"a, ""b""",1\nc,2\n')
    put(server, run, "conf.json", '{"a":{"b":1}}')
    put(server, run, "page.html", "<script>document.title = 'run'</script>")
    put(server, run, EVIL.replace("/", "_"), b"\0")
    opened(browser, server, "files", "#files")
    browser.wait("document.querySelectorAll('.tree a').length == 5")
    shown = "document.querySelector('.preview').innerText"
    browser.wait(f"{shown}.includes('Choose a file')")

    browser.run("[...document.querySelectorAll('.tree a')].find(link => link.innerText.includes('a.txt')).click()")
    browser.wait(f"{shown}.includes('second')")
    assert "file=logs%2Fdeep%2Fa.txt" in browser.run("location.search")
    browser.open(f"{server.url}/local/p/runs/files?file=data.csv#files")
    browser.wait("document.querySelectorAll('.preview tbody tr').length == 2")
    assert browser.run("document.querySelector('.preview td').innerText") == 'a, "b"'
    browser.open(f"{server.url}/local/p/runs/files?file=conf.json#files")
    browser.wait(f"{shown}.includes('\"b\": 1')")
    browser.open(f"{server.url}/local/p/runs/files?file=page.html#files")

    browser.wait("document.querySelector('.preview iframe')?.getAttribute('sandbox') == 'allow-scripts'")
    time.sleep(0.3)
    assert browser.run("document.title").endswith("Fulgurite")


def test_markdown_is_a_page_that_can_do_nothing(browser, server):
    """It has no scripts, and no origin of its own; the text as it was written is there as well."""
    run = made(server, "p", "markdown")
    put(server, run, "README.md", f"# A *model*\n\n{EVIL}\n\n[x](javascript:parent.document.title='run')\n")
    opened(browser, server, "markdown", "?file=README.md#files")
    browser.wait("document.querySelector('.preview iframe')?.getAttribute('sandbox').startsWith('allow-popups')")

    inside = browser.page.frame_locator(".preview iframe")
    assert inside.locator("h1").inner_text() == "A model" and inside.locator("script, img, a").count() == 0
    assert "onerror=" in inside.locator("body").inner_text()
    assert browser.run("document.querySelector('.preview iframe').contentDocument") is None
    assert browser.run("document.title").endswith("Fulgurite")

    click(browser, "Text")
    browser.wait("document.querySelector('.preview .code')?.innerText.includes('# A *model*')")


def test_the_code_is_shown_with_its_changes(browser, server):
    run = made(server, "p", "code")
    put(server, run, "code/train.py", "import torch\n")
    put(server, run, "diff.patch", "--- a\n+++ b\n-old\n+new\n")
    put(server, run, "other.bin", b"\0")
    opened(browser, server, "code", "#code")

    browser.wait("document.querySelector('.preview .code')?.innerText.includes('import torch')")
    assert "other.bin" not in browser.text()
    browser.run("[...document.querySelectorAll('.tree a')].find(link => link.innerText.includes('diff')).click()")

    browser.wait("document.querySelector('.code [data-sign=\"+\"]')?.innerText.includes('+new')")


@pytest.mark.parametrize("tab", ["overview", "media", "histograms", "console", "files", "code"])
def test_empty_tabs_say_so_and_nothing_sticks_out_on_a_phone(browser, server, tab):
    made(server, "p", "empty", display_name="x" * 90, notes="y" * 90, tags=["z" * 70])
    browser.size(400, 800)
    opened(browser, server, "empty", f"#{tab}")

    browser.wait("document.querySelector('.tabs + div')?.innerText.trim()")
    time.sleep(0.2)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)


def test_a_reader_sees_no_way_to_change_anything(browser, tmp_path):
    with served(tmp_path) as server:
        made(server, "p", "abc")
        key = server.store.users.add("ada", "reader")
        browser.open(server.url)
        browser.wait("document.querySelector('form')")
        browser.run(f"fetch('/api/login', {{method: 'POST', body: JSON.stringify({{key: '{key}'}})}}).then(() => 0)")
        browser.forgive()  # the page was refused before
        opened(browser, server, "abc", "#overview")
        browser.wait("document.querySelector('.known')")

        buttons = browser.run("[...document.querySelectorAll('main .head button')].map(each => each.innerText)")
        assert buttons == []
        browser.open("about:blank")
