"""A report in a real browser, opened from the disk: what is drawn, and that nobody's words become code."""

import json
import time

import pytest

from fulgurite.cli import main
from fulgurite.track.store.console import Line
from support.browser import CHROMIUM, chromium

from .conftest import PIXEL

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium")
EVIL = "</script></style></title>\"'><img src=x onerror=document.title='run'><script>document.title='run'</script>"
PAGE = b"""<body onload="top.document.title='run'"><b>hello</b><img src=x onerror="top.document.title='run'">
<script>top.document.title='run'; fetch('http://127.0.0.1:9/')</script><meta http-equiv="refresh" content="0;url=/">"""
DRAWN = "document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        started.size(1280, 900)
        yield started


@pytest.fixture
def opened(browser, store, tmp_path):
    """Writes a report and opens it from the disk; the browser must have nothing to complain of."""

    def open_report(*words):
        out = tmp_path / "report.html"
        assert main(["report", *words, "--data", str(store.folder), "--out", str(out)]) == 0
        browser.forgive()
        browser.open(out.as_uri())
        browser.wait("document.querySelector('footer')")
        return browser

    yield open_report
    browser.open("about:blank")
    assert browser.complaints == []


def was_kept_from_all(browser):
    """That a logged page was kept from all it tried is what the browser tells, rightly, and nothing else."""
    kept_from = ("sandbox", "violates", "refused", "blocked", "not allowed to load")
    assert browser.complaints
    assert all(any(word in each.lower() for word in kept_from) for each in browser.complaints), browser.complaints
    browser.forgive()


def test_runs_are_drawn_over_each_other(opened, store, runs):
    """Each line as it is in the store, the lowest and highest values as a band, and a run can be taken out."""
    page = opened("p")
    page.wait("document.querySelectorAll('.js-plotly-plot').length == 2")

    lines = page.run("document.querySelectorAll('.plot')[1].data.filter((each) => each.name).map((each) => each.y)")
    charts = [store.history.chart(run.id, "train/loss", 500) for run in reversed(runs)]
    for line, chart in zip(lines, charts, strict=True):
        assert line == pytest.approx(chart.last.tolist(), rel=1e-5)
    bands = page.run("document.querySelectorAll('.plot')[1].data.filter((each) => each.fill).map((each) => each.y)")
    assert bands[0] == pytest.approx(charts[0].high.tolist(), rel=1e-5)
    page.run("document.querySelector('[data-run=\"1\"]').click()")
    page.wait("document.querySelectorAll('.plot')[1].data.filter((each) => each.name).length == 1")


def test_smoothing_and_a_logarithmic_axis(opened, runs):
    page = opened("r0")
    page.wait("document.querySelector('.js-plotly-plot')")
    before = page.run("document.querySelector('.plot').data.at(-1).y.slice(0, 3)")

    page.run("(smooth.value = 0.5, smooth.dispatchEvent(new Event('input')), log.click())")

    page.wait("document.querySelector('.plot').layout.yaxis.type == 'log'")
    after = page.run("document.querySelector('.plot').data.at(-1).y.slice(0, 3)")
    weights = [(1.0,), (0.5, 1.0), (0.25, 0.5, 1.0)]
    assert after == pytest.approx(
        [sum(w * y for w, y in zip(ws, before, strict=False)) / sum(ws) for ws in weights], rel=1e-9
    )


def test_a_value_that_never_changes_is_seen_where_it_is(opened, store, made):
    """0.001 does not stand at the zero of an axis from -1 to 1."""
    run = made("flat")
    store.history.append(run.id, [(i, {"lr": 0.001}) for i in range(5)])

    page = opened("flat")
    page.wait("document.querySelector('.js-plotly-plot')")

    assert page.run("document.querySelector('.plot').layout.yaxis.range") == [0, 0.002]


def test_nobodys_words_become_code(opened, store, made, keep):
    """Names, values, lines, cells, captions and titles that are HTML are read as what they are: text."""
    run = made(
        "evil",
        display_name=EVIL,
        notes=EVIL,
        tags=[EVIL],
        config={EVIL: EVIL},
        summary={EVIL: EVIL},
        facts={EVIL: EVIL},
        group_name=EVIL,
    )
    store.runs.alert(run, EVIL, EVIL, "WARN")
    store.console.write(run.id, [Line(0, "stdout", None, None, EVIL), Line(1, EVIL, None, None, EVIL)])
    table = json.dumps({"columns": [EVIL], "data": [[EVIL], [{"_type": "image-file", "path": EVIL}]]}).encode()
    figure = {"data": [{"y": [1, 2], "name": EVIL, "text": EVIL, "hovertemplate": EVIL}], "layout": {"title": EVIL}}
    values = {
        EVIL: 1.0,
        EVIL + "/x": EVIL,
        "own": {"_type": EVIL, "path": EVIL},
        "picture": {"_type": "image-file", "path": keep(run, EVIL + ".png", PIXEL), "caption": EVIL},
        "table": {"_type": "table-file", "path": keep(run, "t.json", table)},
        "figure": {"_type": "plotly-file", "path": keep(run, "f.json", figure)},
        "drawing": {"_type": "image-file", "path": keep(run, "d.svg", b"<svg onload=top.document.title='run'></svg>")},
        "histogram": {"_type": "histogram", "values": [1], "bins": [0, EVIL]},
    }
    store.history.append(run.id, [(i, values) for i in range(3)])

    page = opened("evil", "--title", EVIL)
    page.run("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.wait("document.querySelectorAll('.plot.js-plotly-plot').length == 1")
    page.run("document.querySelector('.figure').scrollIntoView()")
    page.wait("document.querySelector('.figure.js-plotly-plot')")
    page.run("Plotly.Fx.hover(document.querySelector('.plot'), [{ curveNumber: 0, pointNumber: 0 }])")
    time.sleep(0.5)

    assert page.run("document.title") == EVIL
    assert page.text().count(EVIL) > 12
    assert page.run("document.querySelectorAll('img[src=x], main script:not([type=\"application/json\"])').length") == 0
    assert page.run("document.querySelectorAll('img[src^=data]').length") == 3
    was_kept_from_all(page)


def test_a_logged_page_is_seen_and_can_do_nothing(opened, store, made, keep, browser):
    """Its scripts don't run, it knows no parent, and it goes nowhere."""
    run = made("html")
    keep(run, "page.html", PAGE)
    store.history.append(run.id, [(0, {"page": {"_type": "html-file", "path": "page.html"}})])

    page = opened("html")
    page.run("document.querySelector('iframe').scrollIntoView()")
    time.sleep(0.7)

    assert page.run("document.title") == "html · p"
    assert page.run("document.querySelector('iframe').contentDocument") is None
    was_kept_from_all(browser)


def test_nothing_but_the_own_scripts_runs(opened, runs):
    """The policy stops what is put into the page later, and nothing can be fetched."""
    page = opened("r0")

    tried = """new Promise((done) => {
        const script = document.createElement("script");
        script.textContent = "window.broken = true";
        document.body.append(script);
        fetch("https://127.0.0.1:9/").then(() => done("reached"), () => done(String(window.broken)));
    })"""
    assert page.run(tried) == "undefined"
    time.sleep(0.3)
    assert page.complaints and all("security policy" in each.lower() for each in page.complaints), page.complaints
    page.forgive()


@pytest.mark.parametrize("how", [[], ["--static"]])
def test_nothing_sticks_out_on_a_phone(opened, runs, browser, how):
    if how:
        pytest.importorskip("matplotlib")
    browser.size(400, 800)
    page = opened("p", *how)
    page.wait(f"{DRAWN} > 0" if not how else "document.querySelector('img.drawn').complete")

    assert page.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)


def test_on_paper_every_chart_is_drawn(opened, store, made, browser):
    """Also those that nobody scrolled to; and a dark page is printed dark on white."""
    run = made("wide")
    store.history.append(run.id, [(i, {f"k{j:02}": i * j for j in range(30)}) for i in range(5)])
    browser.size(1280, 900, dark=True)
    page = opened("wide")
    page.wait(f"{DRAWN} > 0")
    assert page.run(DRAWN) < 30

    printed = browser.call("Page.printToPDF")["data"]

    assert len(printed) > 10_000
    assert page.run(DRAWN) == 30
    browser.size(1280, 900)
