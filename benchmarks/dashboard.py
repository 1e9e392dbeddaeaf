"""How quick the pages are, in headless Chromium.

    python benchmarks/dashboard.py [--only PART] [--rounds 5] [--json benchmarks/results/dashboard.json]

Parts, each over a store of its own that is filled first:

* ``charts``: 10 runs x 30 charts of a million points each. From the address to the first screen, when the browser
  has seen the page before (``first_screen``) and when it has not (``first_screen_cold``: Plotly is compiled); from a
  zoom to the detail that the server tells of it, drawn.
* ``scroll``: a run with 2,000 charts, scrolled from its head to its end in ten seconds: the longest task and the
  longest time between two frames, in which the page would not follow a hand.
* ``live``: from a point's being logged to its being drawn, beside nine other runs.

Times are by the clock, and ``_cpu`` those of the processors, of the server and all of the browser together: a busy
machine changes them less, and on one that is free the clock shows less than them. ``load`` is how many processes wanted
to run.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
from machine import machine

from fulgurite.track.server.app import application
from fulgurite.track.server.serve import listening
from fulgurite.track.store.cells import FLOAT, INTEGER, Column
from fulgurite.track.store.store import Store

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.browser import chromium

RUNS, CHARTS, POINTS = 10, 30, 1_000_000
MANY = 2_000
# What stands in the window is drawn: no chart there is without a line.
WHOLE = """(() => {
    const seen = [...document.querySelectorAll('.chart')].filter((card) => {
        const { top, bottom } = card.getBoundingClientRect();
        return top < innerHeight && bottom > 0;
    });
    return seen.length > 0 && seen.every((card) => card.querySelector('.scatterlayer .trace'));
})()"""
# Tells when an expression came true, by the page's own clock, looking at each frame.
UNTIL = """new Promise((resolve) => {
    const look = () => (%s ? resolve(performance.now()) : requestAnimationFrame(look));
    look();
})"""


def main():
    options = arguments()
    told = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for part in options.only or PARTS:
        before = os.getloadavg()
        with tempfile.TemporaryDirectory() as folder:
            print(f"{part}: filling the store …", flush=True)
            times = PARTS[part](Path(folder), options.rounds)
        told[part] = {"machine": machine(), "load": [before, os.getloadavg()], "times": times}
        for name, values in times.items():
            print(f"  {name:<28} {statistics.median(values):8.3f}  ({min(values):.3f} to {max(values):.3f})")
        print(f"  load from {before} to {os.getloadavg()}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--json", type=Path, help="write machine and all times there, beside what other parts have written"
    )
    return parser.parse_args()


def charts(folder, rounds):
    """Seconds to the first screen of overlaid charts, and from a zoom to its detail."""
    with closing(Store(folder / "data")) as store:
        million_points(store)
    told = {}

    def note(name, measured):
        for kind, seconds in zip(("_s", "_cpu_s"), measured, strict=True):
            told.setdefault(name + kind, []).append(seconds)

    with served(folder) as url:
        address = f"{url}/local/big"
        for number in range(rounds):
            with a_browser(folder / f"cold{number}") as browser:
                note("first_screen_cold", opened(browser, address, WHOLE))
        with a_browser(folder / "warm") as browser:
            for _ in range(3):  # the browser keeps what it compiled from the third time on
                opened(browser, address, WHOLE)
            for number in range(rounds):
                note("first_screen", opened(browser, address, WHOLE))
                time.sleep(2)
                note("zoom", zoomed(browser, "document.querySelectorAll('.chart')[1]", number))
                all_together = zoomed(browser, "document.querySelectorAll('.chart')[1]", number, together=True)
                note("zoom_of_all_in_sight", all_together)
    return told


def million_points(store):
    steps, draws = np.arange(POINTS), np.random.default_rng(0)
    noise = [draws.standard_normal(POINTS) for _ in range(4)]
    falling = 1 / np.sqrt(1 + steps / 1000)
    project = store.runs.project("big", create=True)
    for number in range(RUNS):
        run, _ = store.runs.open(project, f"run{number:02}", config={"lr": 10.0**-number})
        columns = {"_step": Column(steps, INTEGER, steps)}
        for chart in range(CHARTS):
            y = falling * (1 + chart / 10 + number / 20) + 0.05 * noise[(chart + number) % 4]
            columns[f"{('train', 'val', 'grad')[chart % 3]}/m{chart:02}"] = Column(steps, FLOAT, y)
        store.history.append_columns(run.id, columns)
        store.end(run, 0)


def zoomed(browser, card, number, together=False):
    """Seconds from a zoom into a chart to the lines of all runs in detail: in it, or in all in sight."""
    low, width = 100_000 + 61_000 * number, 40_000
    state = "{linked: true}" if together else "{linked: false}"
    browser.run(f"import('/static/charts/board.js').then((m) => m.boardState('project local/big').set({state}))")
    time.sleep(1.5)
    # The server tells nothing beyond the range, and the coarse line has points far beyond it.
    detail = f"""[...document.querySelectorAll('.chart')].filter((card) => {{
        const {{ top, bottom }} = card.getBoundingClientRect();
        return {"top < innerHeight && bottom > 0" if together else f"card === {card}"};
    }}).every((card) => card.querySelector('.plot').data?.every(
        ({{ x }}) => x[0] >= {low} && x.at(-2) <= {low + width} && x.length > 50))"""
    before = spent()
    start = browser.run(
        f"(window.began = performance.now(), Plotly.relayout({card}.querySelector('.plot'), "
        f"{{'xaxis.range[0]': {low}, 'xaxis.range[1]': {low + width}}}), began)"
    )
    taken = (browser.run(UNTIL % detail) - start) / 1000, since(before)
    browser.run(f"Plotly.relayout({card}.querySelector('.plot'), {{'xaxis.autorange': true}}).then(() => 0)")
    time.sleep(1.5)
    return taken


def scroll(folder, rounds):
    """The longest task and the longest time between two frames, in seconds, of a way through 2,000 charts."""
    with closing(Store(folder / "data")) as store:
        run, _ = store.runs.open(store.runs.project("wide", create=True), "wide")
        steps = np.arange(300)
        store.history.append_columns(
            run.id, {f"grad/layer{i:04}": Column(steps, FLOAT, np.sin(steps / (10 + i % 37)) * i) for i in range(MANY)}
        )
        store.end(run, 0)
    longest, frames, first, waits = [], [], [], []
    with served(folder) as url, a_browser(folder / "browser") as browser:
        for _ in range(rounds):
            first.append(opened(browser, f"{url}/local/wide", WHOLE)[0])
            time.sleep(2)
            seen = browser.run(SCROLLED)
            longest.append(seen["longest"] / 1000)
            frames.append(seen["between"] / 1000)
            begin = browser.run("performance.now()")
            waits.append((browser.run(UNTIL % WHOLE) - begin) / 1000)
    return {"first_screen_s": first, "longest_task_s": longest, "longest_frame_s": frames, "drawn_at_rest_s": waits}


# From the head to the end within ten seconds, as with a wheel that is turned quickly.
SCROLLED = """new Promise((resolve) => {
    const seen = { longest: 0, between: 0 };
    const note = ({ duration }) => (seen.longest = Math.max(seen.longest, duration));
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type: 'longtask' });
    const way = document.documentElement.scrollHeight - innerHeight;
    const begin = performance.now();
    let last = begin;
    const step = () => {
        const now = performance.now();
        seen.between = Math.max(seen.between, now - last);
        last = now;
        scrollTo(0, (way * (now - begin)) / 10000);
        if (now - begin < 10000) requestAnimationFrame(step);
        else setTimeout(() => resolve(seen), 500);
    };
    requestAnimationFrame(step);
})"""


def live(folder, rounds):
    """Seconds from a point's being logged to its being drawn."""
    store = Store(folder / "data")
    project = store.runs.project("live", create=True)
    runs = [store.runs.open(project, f"run{i}")[0] for i in range(RUNS)]
    for run in runs:
        store.history.append(run.id, [(j, {f"m{i}": j * i for i in range(CHARTS)}) for j in range(2_000)])
    taken = []
    with closing(store), served(folder) as url, a_browser(folder / "browser") as browser:
        opened(browser, f"{url}/local/live", WHOLE)
        time.sleep(3)
        for number in range(4 * rounds):
            value = 1e6 + number
            begin = time.perf_counter()
            store.history.append(runs[number % RUNS].id, [(2_000 + number, {f"m{i}": value for i in range(CHARTS)})])
            browser.run(UNTIL % f"document.querySelector('.chart .plot').data.some(({{ y }}) => y.at(-1) === {value})")
            taken.append(time.perf_counter() - begin)
            time.sleep(0.37)
    return {"point_to_screen_s": taken}


def opened(browser, address, whole):
    """Seconds from the address to when the expression is true, by the page's own clock, and of the processors."""
    browser.call("Page.navigate", url="about:blank")
    time.sleep(1)
    before = spent()
    browser.call("Page.navigate", url=address)
    browser.wait("location.pathname.length > 1 && document.body")
    return browser.run(UNTIL % whole) / 1000, since(before)


def spent():
    """What the server's and the browser's processes have used of the processors, by process."""
    used = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


def since(before):
    return sum(seconds - before.get(process, 0.0) for process, seconds in spent().items())


@contextmanager
def a_browser(folder):
    with chromium(folder) as browser:
        browser.size(1280, 900)
        yield browser
        if browser.complaints:
            raise SystemExit(f"the page complained: {browser.complaints}")


@contextmanager
def served(folder):
    """The address of a server over the store in ``folder``, in a process of its own as people run it."""
    with listening("127.0.0.1", 0) as listener:
        process = get_context("fork").Process(target=serve, args=(folder, listener), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.join(20)


def serve(folder, listener):
    import uvicorn

    with closing(Store(folder / "data")) as store:
        uvicorn.Server(uvicorn.Config(application(store), log_level="warning")).run(sockets=[listener])


PARTS = {"charts": charts, "scroll": scroll, "live": live}

if __name__ == "__main__":
    main()
