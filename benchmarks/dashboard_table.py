"""How long the table of runs takes in a headless Chromium: until it is there, to scroll, to sort, to search, to follow.

    python benchmarks/dashboard_table.py [--rounds 5] [--runs 2000] [--keys 200] [--json FILE]

"cold" is a server that has just been started, "warm" one that was asked before; both from the navigation to rows on the
screen. A busy machine makes all of it slower: the file tells its load before and after.
Needs Chromium (`apt-get install chromium`).
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from machine import machine

from fulgurite.track.store.store import Store

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.browser import chromium

PATIENCE = 60.0
PROJECT = "many"
# Runs in each page before its own scripts: notes when the first rows have been painted.
WATCH = """(() => {
    const look = () => document.querySelectorAll('tbody tr[aria-selected] td').length > 50
        ? requestAnimationFrame(() => setTimeout(() => (window.shownAt = performance.now())))
        : setTimeout(look, 2);
    look();
})()"""
# Scrolls from top to bottom, one step a frame, and tells how long the frames took and how often rows were missing.
SCROLL = """new Promise((done) => {
    const grid = document.querySelector('.grid');
    const frames = [];
    let [before, empty] = [performance.now(), 0];
    const step = (now) => {
        frames.push(now - before);
        before = now;
        if (!document.querySelector('tbody tr[aria-selected]')) empty++;
        if (frames.length > 200) return done({ frames, empty });
        grid.scrollTop = frames.length / 200 * grid.scrollHeight;
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""


def main():
    options, load = arguments(), os.getloadavg()
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder) / "chromium") as browser:
        browser.size(1440, 900)
        found = measured(browser, Path(folder), options.rounds, options.runs, options.keys)
    for name, values in found.items():
        print(f"{name:<52} {statistics.median(values):8.1f}  ({min(values):.1f} to {max(values):.1f})")
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), "load": [load, os.getloadavg()], "milliseconds": found}, indent=1) + "\n"
        )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write machine and all times there")
    return parser.parse_args()


def measured(browser, folder, rounds=5, runs=2000, keys=200):
    """All figures by name, as lists of one value a round, in milliseconds."""
    fill(folder / "data", runs, keys)
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    found = {}
    for _ in range(rounds):
        with started(folder / "data") as url:
            for name, value in a_round(browser, url, folder / "data"):
                found.setdefault(name, []).append(value)
            browser.open("about:blank")
    return found


def a_round(browser, url, data):
    page = f"{url}/local/{PROJECT}/table"
    yield "cold: navigation to rows", shown(browser, page)
    yield "warm: navigation to rows", shown(browser, page)
    browser.run("fetch('/api/projects/local/many/columns').then((answer) => answer.text()).then(() => 0)")
    yield "sort by a result", acted(browser, sort("part0/key001"), "'a' + document.querySelector('tbody a').innerText")
    typed = "(e => { e.value = 'lively-77'; e.dispatchEvent(new Event('input')) })(document.querySelector('input'))"
    yield "search, from the key to rows", acted(browser, typed, "document.querySelector('.count').innerText")
    yield "a change of a run on the screen", followed(browser, data)
    shown(browser, f"{page}?" + "&".join(f"column=config.group{i // 10}.setting{i:03}" for i in range(100)))
    time.sleep(1)
    scrolled = browser.run(SCROLL)
    yield "scroll through all, 100 columns: median frame", statistics.median(scrolled["frames"])
    yield "scroll through all, 100 columns: longest frame", max(scrolled["frames"])


def shown(browser, address):
    browser.open(address)
    browser.wait("window.shownAt")
    return browser.run("window.shownAt")


def sort(title):
    return f"[...document.querySelectorAll('.sort')].find(e => e.innerText.includes('{title}')).click()"


def acted(browser, script, tells):
    """Milliseconds until what ``tells`` says has changed after a script, painted."""
    return browser.run(f"""new Promise((done) => {{
        const before = {tells};
        const begin = performance.now();
        {script};
        const look = () => {tells} !== before
            ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)))
            : setTimeout(look, 2);
        look();
    }})""")


def followed(browser, data):
    """Milliseconds from a value's being kept to its being seen."""
    name = browser.run("document.querySelector('tbody a').innerText")
    store = Store(data)
    try:
        project = store.runs.project(PROJECT)
        run = next(run for run in store.runs.all(project) if run.display_name == name)
        begin = time.perf_counter()
        store.runs.update(run, tags=[f"seen-{begin}"])
        browser.wait(f"document.querySelector('tbody').innerText.includes('seen-{begin}')")
        return (time.perf_counter() - begin) * 1000
    finally:
        store.close()


def fill(folder, runs, keys):
    """A project of ended runs: half of their keys are settings in groups, half are results."""
    store, chance = Store(folder), random.Random(0)
    project = store.runs.project(PROJECT, create=True)
    with store.database.writing():
        for i in range(runs):
            config = {}
            for j in range(keys // 2):
                config.setdefault(f"group{j // 10}", {})[f"setting{j:03}"] = setting(chance, j)
            summary = {f"part{j // 10}/key{j:03}": chance.random() * 10 ** (j % 5 - 2) for j in range(keys // 2)}
            known = {"config": config, "summary": summary, "tags": ["a"] if i % 3 else []}
            run, _ = store.runs.open(
                project, f"run{i:05}", created_at=1.7e9 + i * 60, display_name=f"lively-{i}", **known
            )
            store.end(run, 0)
    store.close()


def setting(chance, j):
    return (chance.choice([1, 2, 3]), chance.random(), chance.choice(["adam", "sgd"]), 7)[j % 4]


@contextmanager
def started(folder):
    """A server over the folder, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fulgurite", "ui", "--no-browser", "--data", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The server did not start; run it by hand: {' '.join(command)}")
            time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url):
    """Whether it serves; of projects and runs nothing is read yet."""
    try:
        with urllib.request.urlopen(f"{url}/static/app.js", timeout=10):
            return True
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
