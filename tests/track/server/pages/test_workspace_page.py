"""The charts of a project in a real browser: lines over each other, chosen, smoothed, zoomed and followed."""

import base64
import json
import re

import numpy as np
import pytest

from fulgurite.track.server.pages import FOLDER
from support.pages import EVIL, made
from support.track_server import served

LINES = "document.querySelectorAll('[data-key=\"{0}\"] .scatterlayer .trace').length"


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """Three runs of one project with a loss that falls, and what a test adds."""
    with served(tmp_path_factory.mktemp("workspace")) as running:
        for i in range(3):
            run = made(running, "p", f"r{i}", display_name=f"run {i}", config={"lr": [0.1, 0.1, 0.01][i]})
            running.store.history.append(
                run.id,
                [
                    (j, {"train/loss": 5.0 / (j + 1) + i, "val/acc": j / 100, "epoch": j // 10, "_runtime": 2.0 * j})
                    for j in range(100)
                ],
            )
            running.store.end(run, 0)
        yield running
        browser.open("about:blank")


def opened(browser, server, address, lines=None):
    """Go there, and wait until the chart of the loss has that many traces."""
    # What was kept of an earlier view would be taken for this one's.
    if browser.run("location.origin") == server.url:
        browser.run("localStorage.clear()")
    browser.open(server.url + address)
    if lines is not None:
        browser.wait(f"{LINES.format('train/loss')} == {lines}")


def imported(browser, module, expression):
    """The value of an expression over what a module of the pages exports."""
    return browser.run(f"import('/static/{module}').then((m) => {expression})")


def plot(key):
    return f"document.querySelector('[data-key=\"{key}\"] .plot')"


def pointed(browser, key, share=0.5):
    """Move the pointer over the middle of a chart."""
    box = browser.run(f"(({{x, y, width, height}}) => ({{x, y, width, height}}))({plot(key)}.getBoundingClientRect())")
    browser.call(
        "Input.dispatchMouseEvent",
        type="mouseMoved",
        x=box["x"] + box["width"] * share,
        y=box["y"] + box["height"] / 2,
    )


def test_the_lines_of_several_runs_lie_over_each_other(browser, server):
    """One chart for each key, in sections by prefix; each run's line has the colour that stands in the list."""
    opened(browser, server, "/local/p", lines=3)

    assert browser.run("[...document.querySelectorAll('.section summary')].map(each => each.innerText)") == [
        "Charts 1", "train 1", "val 1",
    ]  # fmt: skip
    names = browser.run("[...document.querySelectorAll('.runrows .name')].map(each => each.innerText)")
    assert names == ["run 2", "run 1", "run 0"]
    listed = browser.run("[...document.querySelectorAll('.runrows line')].map(each => getComputedStyle(each).stroke)")
    lines = "[...document.querySelectorAll('[data-key=\"train/loss\"] .js-line')]"
    drawn = browser.run(f"{lines}.map(each => getComputedStyle(each).stroke)")
    assert listed == drawn and len(set(drawn)) == 3
    assert browser.run(f"{plot('train/loss')}.data[0].y[0]") == 7.0


def test_runs_are_chosen_and_the_choice_survives(browser, server):
    opened(browser, server, "/local/p", lines=3)

    browser.run("document.querySelector('.runrows [data-id=r1] input').click()")

    browser.wait(f"{LINES.format('train/loss')} == 2")
    assert browser.run("location.search") == "?runs=r2&runs=r0"
    opened(browser, server, "/local/p?runs=r2&runs=r0", lines=2)
    assert not browser.run("document.querySelector('.runrows [data-id=r1] input').checked")
    browser.run(
        "[...document.querySelectorAll('.runlist button')].find(each => /first 10/.test(each.innerText)).click()"
    )
    browser.wait(f"{LINES.format('train/loss')} == 3")


def test_no_run_at_all_is_a_choice_that_survives(browser, server):
    opened(browser, server, "/local/p?runs=r1", lines=1)
    browser.run("document.querySelector('.runrows [data-id=r1] input').click()")
    browser.wait("document.querySelectorAll('.runrows input:checked').length == 0")

    browser.call("Page.reload")

    browser.wait("document.body.innerText.includes('No run is chosen.')")
    assert browser.run("document.querySelectorAll('.runrows input:checked').length") == 0
    browser.open(server.url + "/local/p/table" + browser.run("location.search"))
    browser.wait("document.querySelectorAll('tbody tr[aria-selected]').length == 3")
    assert browser.run("document.querySelector('.selected').hidden")


def test_ten_runs_are_drawn_at_first(browser, server):
    """The newest ones; the others are in the list, and an older one that is chosen comes with its name."""
    for i in range(120):
        run = made(server, "many", f"m{i}", display_name=f"many {i}")
        server.store.history.append(run.id, [(j, {"train/loss": i}) for j in range(3)])
    opened(browser, server, "/local/many", lines=10)
    assert browser.run("document.querySelectorAll('.runrows input:checked').length") == 10
    assert browser.run("document.querySelectorAll('.runrows li').length") == 100

    opened(browser, server, "/local/many?runs=m0&runs=m119", lines=2)

    assert browser.run("document.querySelector('.runrows [data-id=m0]').innerText").startswith("many 0")


def test_runs_are_searched_and_filtered(browser, server):
    opened(browser, server, "/local/p?filter=config.lr%3D0.1", lines=2)
    assert "2 of 3" in browser.run("document.querySelector('.runlist summary').innerText")

    browser.run("document.querySelector('.runlist .chip > :last-child').click()")
    browser.wait(f"{LINES.format('train/loss')} == 3")
    typed = "Object.assign(document.querySelector('.runlist [type=search]'), {value: 'run 2'})"
    browser.run(f"{typed}.dispatchEvent(new Event('input'))")

    browser.wait(f"{LINES.format('train/loss')} == 1")
    assert browser.run("location.search") == "?search=run+2"
    opened(browser, server, "/local/p?filter=config.lr%3F%3F1")
    browser.wait("document.querySelector('.runlist .fault').innerText.length > 5")
    browser.forgive()  # a refused filter is an error to the browser, too


def test_a_filter_offers_the_states_that_there_are(browser, server):
    opened(browser, server, "/local/p", lines=3)
    add = "document.querySelector('.runlist [aria-haspopup=dialog]')"
    browser.run(f"{add}.focus()")
    browser.wait("document.querySelector('.runlist option[value=\"config.lr\"]')")  # the columns are known
    browser.run(f"{add}.click()")

    browser.run(
        "(f => (f.value = 'state', f.dispatchEvent(new Event('input'))))(document.querySelector('.builder input'))"
    )

    assert browser.run("document.querySelector('.builder .choices').innerText.trim()") == "finished"


def test_groups_are_drawn_as_mean_and_band(browser, server):
    """Two runs with the same setting are one line, with the extremes as its band."""
    opened(browser, server, "/local/p?group=config.lr", lines=4)

    labels = browser.run(
        "[...document.querySelectorAll('.runrows li')].map(each => each.innerText.replace(/\\s+/g, ' '))"
    )
    assert labels == ["lr: 0.01 1", "lr: 0.1 2"]
    assert browser.run(f"{plot('train/loss')}.data.slice(-2).map(each => each.y[0])") == [7.0, 5.5]
    assert browser.run(f"Math.max(...{plot('train/loss')}.data[1].y.filter(Boolean))") == 6.0
    browser.run("document.querySelectorAll('.runrows input')[0].click()")
    browser.wait(f"{LINES.format('train/loss')} == 2")


def test_a_new_point_is_soon_on_the_screen(browser, server):
    """Only what is new is asked for; a new run appears by itself."""
    run = made(server, "live", "a")
    server.store.history.append(run.id, [(j, {"train/loss": j}) for j in range(1000)])
    opened(browser, server, "/local/live", lines=2)
    browser.run("performance.clearResourceTimings()")

    server.store.history.append(run.id, [(1000, {"train/loss": 7.5})])

    browser.wait(f"{plot('train/loss')}.data.at(-1).y.at(-1) == 7.5", 5)
    asked = browser.run(
        "performance.getEntriesByType('resource').map(each => each.name).filter(name => /charts/.test(name))"
    )
    assert len(asked) == 1 and "after=999" in asked[0]
    late = made(server, "live", "b")
    server.store.history.append(late.id, [(0, {"train/loss": 1.0, "other": 2.0}), (1, {"train/loss": 1.0})])
    browser.wait(f"{plot('train/loss')}.data.length == 3 && document.querySelector('[data-key=other] .trace')")


def test_a_deleted_run_is_no_longer_drawn(browser, server):
    """Also where it was chosen by its name; the others stay."""
    for i in range(2):
        run = made(server, "less", f"d{i}")
        server.store.history.append(run.id, [(j, {"train/loss": i}) for j in range(3)])
    opened(browser, server, "/local/less?runs=d0&runs=d1", lines=2)

    server.store.runs.delete([server.run("d1", "less")])

    browser.wait(f"{LINES.format('train/loss')} == 1")
    browser.forgive()  # that it is not found is an error to the browser


def test_a_group_is_followed(browser, server):
    """Its mean is computed anew when one of its runs goes on."""
    for i in range(2):
        run = made(server, "together", f"t{i}", config={"lr": 1})
        server.store.history.append(run.id, [(j, {"train/loss": i}) for j in range(3)])
    opened(browser, server, "/local/together?group=config.lr", lines=2)

    server.store.history.append(run.id, [(3, {"train/loss": 5.0})])

    browser.wait(f"{plot('train/loss')}.data.at(-1).y.at(-1) == 5")


def test_a_million_values_are_zoomed_into(browser, server):
    """With several runs in the chart; a double click shows the whole again; all charts may go together."""
    for i in range(2):
        run = made(server, "zoom", f"z{i}")
        server.store.history.append(run.id, [(j, {"train/loss": j % 50 + i, "b": j}) for j in range(30_000)])
    opened(browser, server, "/local/zoom", lines=4)
    chart = plot("train/loss")

    browser.run(f"Plotly.relayout({chart}, {{'xaxis.range[0]': 1000, 'xaxis.range[1]': 1100}}).then(() => 0)")
    browser.wait(f"{chart}.data.length == 2 && {chart}.data.every(each => each.x.length == 101)")
    assert browser.run(f"{plot('b')}.data.at(-1).x.at(-1)") == 29_999

    browser.run(f"Plotly.relayout({chart}, {{'xaxis.autorange': true}}).then(() => 0)")
    browser.wait(f"{chart}.data.length == 4")
    opened(browser, server, "/local/zoom?linked=1&zoom=50..149", lines=2)
    browser.wait(f"{chart}.data[0].x.length == 100 && {plot('b')}.data.at(-1).x.length == 100")


def test_one_crosshair_runs_through_all_charts(browser, server):
    """Who points into one chart reads the values at that step in all of them, and the runs' names in that one."""
    opened(browser, server, "/local/p", lines=3)
    browser.wait("document.querySelector('[data-key=\"val/acc\"] .trace')")

    pointed(browser, "train/loss")

    browser.wait("document.querySelectorAll('.cross:not([hidden])').length == 3")
    told = browser.run("document.querySelector('[data-key=\"train/loss\"] .readout').innerText")
    step = int(re.match(r"step (\d+)", told)[1])
    assert 40 <= step <= 60 and {"run 0", "run 1", "run 2"} <= set(re.findall(r"run \d", told))
    other = browser.run("document.querySelector('[data-key=\"val/acc\"] .readout').innerText").split()
    assert len(other) == 3 and all(abs(float(each) - step / 100) < 0.011 for each in other)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    browser.wait("document.querySelectorAll('.cross:not([hidden])').length == 0")


def test_a_run_in_the_list_brings_out_its_line(browser, server):
    opened(browser, server, "/local/p", lines=3)
    browser.wait("document.querySelector('[data-key=\"val/acc\"] .trace')")

    browser.run("document.querySelector('.runrows [data-id=r1]').dispatchEvent(new PointerEvent('pointerenter'))")

    behind = "[...document.querySelectorAll('.scatterlayer .trace')].map(each => each.classList.contains('behind'))"
    assert browser.run(behind) == [True, False, True] * 3


@pytest.mark.parametrize(
    ("query", "expression", "expected"),
    [
        ("x=_runtime", "plot.data[0].x[99]", 198.0),
        ("x=epoch", "plot.data[0].x[99]", 9),
        ("logx=1", "plot.layout.xaxis.type", "log"),
        ("logy=1", "plot.layout.yaxis.type", "log"),
        ("log=train%2Floss", "plot.layout.yaxis.type", "log"),
        ("logy=1&log=train%2Floss", "plot.layout.yaxis.type", "linear"),
        ("y=0..9:train%2Floss", "plot.layout.yaxis.range", [0, 9]),
        ("outliers=1", "plot.layout.yaxis.range[1] < 5", True),
    ],
)
def test_axes_are_in_the_address(browser, server, query, expression, expected):
    opened(browser, server, f"/local/p?{query}", lines=3)

    assert browser.run(expression.replace("plot", plot("train/loss"))) == expected


def test_the_raw_line_stays_behind_a_smooth_one(browser, server):
    """The slider writes the address, and the lines are drawn smooth over what was logged."""
    opened(browser, server, "/local/p", lines=3)

    browser.run("Object.assign(document.querySelector('[type=range]'), {value: 70}).dispatchEvent(new Event('input'))")

    browser.wait(f"{LINES.format('train/loss')} == 6")
    assert browser.run("location.search") == "?smooth=0.91"
    raw, smooth = browser.run(f"[0, 3].map(i => {plot('train/loss')}.data[i].y)")
    assert raw[1] == 4.5 and smooth[0] == raw[0] and smooth[1] > raw[1]


def test_smoothing_is_what_it_says(browser, server):
    """The debiased exponential average and the running mean, against numpy; gaps stay gaps and count in nothing."""
    opened(browser, server, "/local/p")
    values = [*np.random.default_rng(0).normal(1e6, 1, 50).tolist(), None, 3.0]

    exponential = imported(browser, "charts/smoothing.js", f"m.exponential({json.dumps(values)}, 0.9)")
    mean = imported(browser, "charts/smoothing.js", f"m.runningMean({json.dumps(values)}, 5)")

    present = np.array([value for value in values if value is not None])
    weights = 0.9 ** np.arange(len(present))
    expected = [np.average(present[: i + 1][::-1], weights=weights[: i + 1]) for i in range(len(present))]
    assert exponential[50] is None and np.allclose(exponential[:50] + exponential[51:], expected, rtol=1e-12)
    assert mean[50] is None and np.isclose(mean[10], present[8:13].mean()) and np.isclose(mean[0], present[:3].mean())
    assert np.isclose(mean[51], (present[49] + 3.0) / 2)


def test_charts_are_searched_and_sections_folded(browser, server):
    """A name may be searched for by a regular expression; what is folded stays so."""
    opened(browser, server, "/local/p?find=^(val|train)/l", lines=3)
    assert browser.run("document.querySelectorAll('.chart').length") == 1
    opened(browser, server, "/local/p?find=(", None)
    browser.wait("document.body.innerText.includes('No chart has such a name')")

    opened(browser, server, "/local/p", lines=3)
    browser.run("[...document.querySelectorAll('.section summary')].find(each => /val/.test(each.innerText)).click()")
    browser.wait("location.search == '?folded=val'")
    opened(browser, server, "/local/p?folded=val", lines=3)

    assert not browser.run("document.querySelector('[data-key=\"val/acc\"]')")


def test_one_chart_fills_the_window(browser, server):
    """It has an address, and Escape leaves it."""
    opened(browser, server, "/local/p?chart=val%2Facc")
    browser.wait("document.querySelectorAll('dialog[open] .scatterlayer .trace').length == 3")
    assert browser.run("document.querySelector('dialog .plot').clientHeight") > 700

    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape", windowsVirtualKeyCode=27)

    browser.wait("!document.querySelector('dialog[open]') && location.search == ''")
    browser.wait(f"{LINES.format('val/acc')} == 3")


def test_the_menu_of_a_chart(browser, server):
    """Its own logarithmic axis and limits, for this chart alone."""
    opened(browser, server, "/local/p", lines=3)
    browser.run("document.querySelector('[data-key=\"train/loss\"] [aria-label^=Menu]').click()")
    browser.wait("document.querySelector('.popover:popover-open .limits')")

    browser.run("document.querySelector('.popover:popover-open [type=checkbox]').click()")
    browser.wait(f"{plot('train/loss')}.layout.yaxis.type == 'log'")
    limit = "document.querySelector('.popover:popover-open .limits input')"
    browser.run(f"Object.assign({limit}, {{value: '0.5'}}).dispatchEvent(new Event('change'))")

    browser.wait(f"Math.abs({plot('train/loss')}.layout.yaxis.range[0] - Math.log10(0.5)) < 1e-9")
    assert browser.run(f"{plot('val/acc')}.layout.yaxis.type") == "linear"
    assert browser.run("location.search") == "?log=train%2Floss&y=0.5..%3Atrain%2Floss"


def test_a_chart_is_told_as_csv(browser, server):
    """In full precision; texts that a table program would take for a formula are told as texts."""
    opened(browser, server, "/local/p")
    lines = [
        {"style": {"title": '=1+"1"'}, "line": {"x": [0, 1], "last": [0.1, None], "low": None, "high": None}},
        {"style": {"title": "b"}, "line": {"x": [5], "last": [1 / 3], "low": [0.25], "high": [2]}},
    ]

    told = imported(browser, "charts/export.js", f"m.csvOf({json.dumps(lines)}, 'step')")

    assert told.split("\r\n") == [
        "run,step,value,low,high",
        '"\'=1+""1""",0,0.1,0.1,0.1',
        '"\'=1+""1""",1,,,',
        "b,5,0.3333333333333333,0.25,2",
        "",
    ]


def test_a_chart_is_saved_as_a_picture(browser, server):
    """On the ground of the theme, under the chart's name."""
    opened(browser, server, "/local/p", lines=3)
    browser.run("HTMLAnchorElement.prototype.click = function () { window.saved = [this.download, this.href] }, 0")
    browser.run("document.querySelector('[data-key=\"train/loss\"] [aria-label^=Menu]').click()")

    browser.run("[...document.querySelectorAll('.popover .item')].find(each => /PNG/.test(each.innerText)).click()")

    browser.wait("window.saved")
    name, address = browser.run("window.saved")
    assert name == "train_loss.png"
    picture = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000


def test_lines_come_when_the_server_is_back(browser, server):
    """A request that failed is sent again, and what it said goes."""
    opened(browser, server, "/local/p", lines=3)
    browser.call("Network.enable")
    browser.call("Network.setBlockedURLs", urls=["*/charts?*"])
    browser.run("import('/static/charts/board.js').then(m => m.boardState('project local/p').set({x: 'epoch'}))")
    browser.wait("/fetch/.test(document.querySelector('[data-key=\"train/loss\"] .fallback')?.innerText)")

    browser.call("Network.setBlockedURLs", urls=[])

    browser.wait(f"{plot('train/loss')}.data[0].x[99] == 9")
    assert browser.run("document.querySelector('[data-key=\"train/loss\"] .fallback').innerText") == ""
    browser.forgive()  # of what was blocked


def test_nobodys_words_become_code(browser, server):
    """Names of runs, keys and settings that are HTML are read as text, also where Plotly writes them."""
    run = made(server, "evil", EVIL, display_name=EVIL, config={EVIL: EVIL})
    server.store.history.append(run.id, [(i, {EVIL: i, "train/loss": i}) for i in range(50)])
    opened(browser, server, "/local/evil", lines=1)
    pointed(browser, "train/loss")
    browser.wait("document.querySelector('.cross:not([hidden])')")
    assert EVIL in browser.run("document.querySelector('.readout b').parentElement.innerText")

    key = EVIL.replace("<", "%3C").replace(">", "%3E")
    opened(browser, server, f"/local/evil?x={key}&group=config.{key}", lines=2)

    assert EVIL in browser.text()
    assert browser.run("document.querySelectorAll('main img[src=x], main script, svg a').length") == 0
    assert browser.run("document.title").endswith("Fulgurite")


def test_two_thousand_charts_are_drawn_only_where_one_looks(browser, server):
    run = made(server, "wide", "w")
    server.store.history.append(run.id, [(i, {f"grad/k{j:04}": i * j for j in range(2000)}) for i in range(3)])
    opened(browser, server, "/local/wide")
    browser.wait("document.querySelectorAll('.chart').length == 2000 && document.querySelector('.trace')")

    browser.run("document.querySelector('[data-key=\"grad/k1999\"]').scrollIntoView()")

    browser.wait("document.querySelector('[data-key=\"grad/k1999\"] .trace')")
    browser.wait(
        "document.querySelectorAll('.trace').length < 30 && !document.querySelector('[data-key=\"grad/k0000\"] .trace')"
    )


def test_nothing_sticks_out_on_a_phone(browser, server):
    """The list of runs is folded there."""
    browser.size(400, 800)
    opened(browser, server, "/local/p", lines=3)

    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert not browser.run("document.querySelector('.runlist').open")
    browser.size(1280, 900)


def test_an_empty_project_says_so(browser, server):
    server.store.runs.project("empty", create=True)
    opened(browser, server, "/local/empty")

    browser.wait("document.body.innerText.includes('This project has no runs.')")
    browser.wait("document.body.innerText.includes('No run is chosen.')")


def test_colours_of_runs_are_told_apart_by_everybody():
    """On either ground, and seen with protanopia, deuteranopia and tritanopia (Machado et al. 2009)."""
    text = (FOLDER / "styles/charts.css").read_text()
    light, dark = (dict(re.findall(r"--run-(\d): (#\w{6})", block)) for block in text.split("{")[1:3])
    dark_by_system = dict(re.findall(r"--run-(\d): (#\w{6})", text.split("prefers-color-scheme")[1]))
    assert len(light) == 10 and dark == dark_by_system
    for ground, colours in (("#ffffff", light), ("#1d1c26", dark)):
        linear = np.array([linear_light(colours[str(i)]) for i in range(10)])
        luminance, own = linear @ LUMINANCE, linear_light(ground) @ LUMINANCE
        contrast = (np.maximum(luminance, own) + 0.05) / (np.minimum(luminance, own) + 0.05)
        assert contrast.min() >= 3, f"{ground}: {contrast.round(1)}"
        for view in (np.eye(3), *DEFICIENT):
            seen = oklab(np.clip(linear @ view.T, 0, 1))
            away = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 9 * np.eye(10)
            assert away.min() > 0.06, f"{ground}: {np.unravel_index(away.argmin(), away.shape)} {away.min():.3f}"


LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
DEFICIENT = [
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
]
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear_light(colour):
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def oklab(linear):
    return np.cbrt(np.clip(linear @ TO_CONES.T, 0, None)) @ TO_LAB.T
