"""Sweeps in a real browser: how they stand, what their runs tried, and being paused and ended."""

from fulgurite.track.sweeps.schedule import GOING
from support.pages import EVIL, click, made

CONFIG = """
name: find it
method: random
run_cap: 10
metric: {name: loss, goal: minimize}
parameters:
  lr: {min: 0.0, max: 1.0}
  opt: {values: [sgd, adam]}
"""
TRIALS = "[...document.querySelectorAll('.sweep tbody tr')].map(row => row.children[2].innerText)"


def searched(server, project, config=CONFIG, name="run"):
    """A sweep whose four runs reached a loss of 3, 1, 2 and none."""
    place = server.store.runs.project(project, create=True)
    sweep = server.store.sweeps.create(place, config, 1, GOING)
    agent = server.store.sweeps.add_agent(sweep, "here")
    for i, loss in enumerate([3.0, 1.0, 2.0, None]):
        trial = server.store.trials.add(sweep, {"lr": (i + 1) / 10, "opt": ["sgd", "adam"][i % 2]}, i, agent)
        known = {"summary": {"loss": loss}} if loss else {}
        made(
            server,
            project,
            trial.run_name,
            display_name=f"{name}-{i}",
            sweep=sweep.name,
            config=trial.parameters,
            **known,
        )
    return sweep


def test_a_sweep_is_found_and_read(browser, server):
    """Its runs are sorted by the metric, the best one is marked, and the best so far is drawn over the trials."""
    sweep = searched(server, "p")
    browser.open(f"{server.url}/local/p/sweeps")
    browser.wait("document.querySelector('tbody tr')")
    row = browser.run("[...document.querySelector('tbody tr').children].map(cell => cell.innerText).slice(0, 6)")
    assert row == [f"find it {sweep.name}", "running", "random", "4 of 10", "loss, minimize", "1"]

    click(browser, "find it", "th a")
    browser.wait("document.querySelectorAll('.sweep .js-plotly-plot .scatterlayer .trace').length >= 3")
    assert browser.run(TRIALS) == ["1", "2", "3", "–"]
    assert browser.run("document.querySelector('tr[data-best] a').innerText") == "run-1"
    drawn = browser.run("document.querySelector('.js-plotly-plot').data.map(each => each.y)")
    assert drawn == [[3, 1, 2], [3, 1, 1]]
    click(browser, "Work on it")
    assert f"wandb agent p/{sweep.name}" in browser.text() and f"WANDB_BASE_URL={server.url}" in browser.text()


def test_the_order_of_the_runs_survives_a_reload(browser, server):
    sweep = searched(server, "q")
    browser.open(f"{server.url}/local/q/sweeps/{sweep.name}?order=created")
    browser.wait(f"{TRIALS}.length == 4")

    assert browser.run(TRIALS) == ["3", "1", "2", "–"]


def test_a_sweep_is_paused_and_ended(browser, server):
    sweep = searched(server, "r")
    browser.open(f"{server.url}/local/r/sweeps/{sweep.name}")
    browser.wait("document.querySelector('.sweep-state')")

    for words, state in (("Pause", "paused"), ("Resume", "running"), ("Cancel", "canceled")):
        click(browser, words)
        browser.wait(f"document.querySelector('.sweep-state').innerText == '{state}'")
    assert server.store.sweeps.by_id(sweep.id).state == "CANCELED"


def test_a_new_run_is_seen(browser, server):
    sweep = searched(server, "s")
    browser.open(f"{server.url}/local/s/sweeps/{sweep.name}")
    browser.wait(f"{TRIALS}.length == 4")

    made(server, "s", "late", sweep=sweep.name, config={"lr": 1, "opt": "sgd"}, summary={"loss": 0.5})

    browser.wait(f"{TRIALS}[0] == '0.5'")


def test_nobodys_words_become_code(browser, server):
    config = CONFIG.replace("find it", repr(EVIL)).replace("[sgd, adam]", f"[{EVIL!r}, adam]")
    sweep = searched(server, "evil", config, EVIL)
    browser.open(f"{server.url}/local/evil/sweeps/{sweep.name}")
    browser.wait("document.querySelectorAll('.sweep .js-plotly-plot .scatterlayer .trace').length >= 3")

    assert EVIL in browser.text()
    assert browser.run("document.querySelectorAll('main img[src=x], main script').length") == 0
    assert browser.run("document.title").endswith("· evil · Fulgurite")


def test_a_project_without_sweeps_says_how_to_begin(browser, server):
    made(server, "bare", "abc")
    browser.open(f"{server.url}/local/bare/sweeps")

    browser.wait("document.body.innerText.includes('There is no sweep yet')")


def test_nothing_sticks_out_on_a_phone(browser, server):
    sweep = searched(server, "phone")
    browser.size(400, 800)
    for path in ("", f"/{sweep.name}"):
        browser.open(f"{server.url}/local/phone/sweeps{path}")
        browser.wait("document.querySelector('tbody tr')")
        assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
