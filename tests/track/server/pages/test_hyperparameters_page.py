"""Runs over their settings in a real browser: drawn, brushed, compared, and asked what matters."""

import pytest

from support.pages import EVIL, click, made

PARALLEL = "document.querySelector('.wide-plot .js-plotly-plot')"
SCATTER = "[...document.querySelectorAll('.js-plotly-plot')].at(-1)"
ROWS = "[...document.querySelectorAll('table.runs tbody tr')].map(row => row.children[0].innerText)"


@pytest.fixture(scope="module")
def project(server):
    """Forty runs whose loss has its valley at a rate of 0.01; the optimizer does not matter. One loss is NaN."""
    for i in range(40):
        config = {"lr": 10 ** (-4 + i / 10), "opt": ["sgd", "adam"][i % 2], "deep": {"layers": 1 + i % 3}, "same": 1}
        summary = {"loss": "NaN" if i == 39 else abs(i - 20) / 10, "acc": i / 40}
        made(server, "p", f"r{i:02}", config=config, summary=summary, created_at=1.7e9 + i)
    return f"{server.url}/local/p/hyperparameters"


def opened(browser, address):
    browser.open(address)
    browser.wait(f"{PARALLEL}?.data && {SCATTER}.data && {ROWS}.length")


def test_what_differs_is_drawn_over_the_metric(browser, project):
    """Settings that are the same in all runs are no axes; words have ticks; the best run is first in the table."""
    opened(browser, project)

    titles = browser.run(f"{PARALLEL}.layout.annotations.filter(each => each.yshift == 16).map(each => each.text)")
    assert titles == ["lr", "opt", "deep.layers", "loss"]
    assert browser.run(f"{PARALLEL}.layout.annotations.filter(each => each.x == 1).map(each => each.text)")[1:] == [
        "adam",
        "sgd",
    ]
    assert browser.run(ROWS)[:1] == ["r20"] and "40 runs" in browser.text()


def test_a_box_over_an_axis_chooses_runs(browser, project):
    """In the table, in the scatter plot and in the address; the word of the choice takes it away."""
    opened(browser, project)
    box = "{range: {x: [0.9, 1.1], y: [0.7, 0.9]}}"
    browser.run(f"({PARALLEL}.emit('plotly_selected', {box}), 0)")

    browser.wait(f"{ROWS}.length == 20")
    assert browser.run("document.querySelector('.hyper .chip > span').innerText").split() == ["opt", "sgd"]
    browser.wait(f"{SCATTER}.data[0].x.length == 20")
    browser.open(browser.run("location.href"))
    browser.wait(f"{ROWS}.length == 20")
    click(browser, "Don't choose by opt")
    browser.wait(f"{ROWS}.length == 40")


def test_what_matters_is_told(browser, project):
    """The rate has the valley; a click on its name draws the metric over it."""
    opened(browser, f"{project}?across=config.opt")
    browser.wait("document.querySelectorAll('.influences tbody tr').length == 3")
    assert browser.run("document.querySelector('.influences tbody th').innerText") == "lr"
    assert "Over 39 runs that have loss" in browser.text()

    click(browser, "lr", ".influences button")

    browser.wait(f"{SCATTER}.layout.xaxis.title.text == 'lr' && {SCATTER}.data[0].x.length == 39")


def test_the_scatter_plot_has_logarithmic_axes_a_colour_and_a_trend(browser, project):
    opened(browser, f"{project}?across=config.lr&up=summary.acc&logx=1&shade=config.opt")
    browser.wait(f"{SCATTER}.layout.xaxis.type == 'log'")

    assert browser.run(f"{SCATTER}.data.map(each => each.name)") == ["adam", "sgd", "trend"]
    ends = browser.run(f"{SCATTER}.data.at(-1).y")
    assert ends == pytest.approx([0, 39 / 40])


def test_filters_and_the_metric_are_those_of_the_project(browser, project):
    """They come with the address, and everything follows them."""
    opened(browser, f"{project}?filter=config.opt%3Dsgd&metric=summary.acc")

    assert browser.run(f"{ROWS}.length") == 20 and browser.run(ROWS)[0] == "r38"
    assert "20 of 40 runs" in browser.text() and "the highest acc first" in browser.text()
    browser.wait("document.body.innerText.includes('This rests on 20 runs')")


def test_nobodys_words_become_code(browser, server):
    for i in range(10):
        made(server, "evil", f"r{i}", display_name=EVIL, config={EVIL: f"{EVIL}{i % 2}", "x": i}, summary={EVIL: i})
    opened(browser, f"{server.url}/local/evil/hyperparameters")
    browser.wait("document.querySelector('.influences tbody tr')")

    assert EVIL in browser.text()
    assert browser.run("document.querySelectorAll('main img[src=x], main script').length") == 0
    assert browser.run("document.title").endswith("evil · Fulgurite")


def test_a_project_without_settings_says_so(browser, server):
    made(server, "bare", "abc")
    browser.open(f"{server.url}/local/bare/hyperparameters")

    browser.wait("document.body.innerText.includes('There is nothing to compare yet')")


def test_nothing_sticks_out_on_a_phone(browser, project):
    browser.size(400, 800)
    opened(browser, project)

    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
