"""Alerts in a real browser: of all runs of a project, by level, with a mark where there are new ones."""

from support.pages import EVIL, click, made

TITLES = "[...document.querySelectorAll('.alerts strong')].map(each => each.innerText).join()"
MARK = "document.querySelector('.tabs .unseen')"


def raised(server, project, *levels):
    run = made(server, project, "abc", display_name="the one")
    for level in levels:
        server.store.runs.alert(run, f"a {level}", "what it is about", level)
    return run


def test_alerts_are_listed_and_lead_to_their_runs(browser, server):
    raised(server, "p", "INFO", "WARN", "ERROR")
    browser.open(f"{server.url}/local/p/alerts")
    browser.wait(f"{TITLES} == 'a ERROR,a WARN,a INFO'")

    browser.run("(f => (f.value = 'WARN', f.dispatchEvent(new Event('change'))))(document.querySelector('select'))")
    browser.wait(f"{TITLES} == 'a WARN' && location.search == '?level=WARN'")
    click(browser, "the one", ".alerts a")
    browser.wait("location.pathname == '/local/p/runs/abc'")


def test_new_ones_are_marked_until_they_were_seen(browser, server):
    """Those that were there when the project was first looked at are not new."""
    run = raised(server, "q", "INFO")
    browser.open(f"{server.url}/local/q/sweeps")
    browser.wait("localStorage.getItem('alerts seen local/q')")
    server.store.runs.alert(run, "late", "", "ERROR")

    browser.open(f"{server.url}/local/q/sweeps")
    browser.wait(f"{MARK} && !{MARK}.hidden && {MARK}.textContent == '1 new'")
    browser.open(f"{server.url}/local/q/alerts")
    browser.wait(f"{TITLES} == 'late,a INFO'")
    assert browser.run("[...document.querySelectorAll('.alerts li')].map(each => each.dataset.fresh)") == ["1", ""]

    browser.open(f"{server.url}/local/q/sweeps")
    browser.wait(f"{MARK}?.textContent == '0 new' && {MARK}.hidden")


def test_a_new_alert_appears_by_itself(browser, server):
    run = raised(server, "r", "INFO")
    browser.open(f"{server.url}/local/r/alerts")
    browser.wait(f"{TITLES} == 'a INFO'")

    server.store.runs.alert(run, "late", "", "WARN")

    browser.wait(f"{TITLES} == 'late,a INFO'")


def test_older_ones_are_shown_when_asked_for(browser, server):
    run = raised(server, "many")
    for i in range(60):
        server.store.runs.alert(run, f"t{i}", "", "INFO")
    browser.open(f"{server.url}/local/many/alerts")
    browser.wait("document.querySelectorAll('.alerts li').length == 50")

    click(browser, "Show older alerts")

    browser.wait("document.querySelectorAll('.alerts li').length == 60")


def test_nobodys_words_become_code(browser, server):
    run = made(server, "evil", "abc", display_name=EVIL)
    server.store.runs.alert(run, EVIL, EVIL, "WARN")
    browser.open(f"{server.url}/local/evil/alerts")
    browser.wait("document.querySelector('.alerts li')")

    assert browser.text().count(EVIL) == 3
    assert browser.run("document.querySelectorAll('main img[src=x], main script').length") == 0


def test_none_at_all_and_a_phone(browser, server):
    made(server, "bare", "abc")
    browser.size(400, 800)
    browser.open(f"{server.url}/local/bare/alerts")

    browser.wait("document.body.innerText.includes('No run has raised an alert.')")
    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
