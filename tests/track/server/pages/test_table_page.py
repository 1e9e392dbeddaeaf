"""The table of runs in a real browser: found, sorted, grouped, chosen, changed, at any size, by mouse and by keys."""

import csv
import io
import json
import time
import urllib.request
from urllib.parse import quote

import pytest

from fulgurite.track.server.api.choice import FILTER
from fulgurite.track.store.runs import SILENCE
from support.pages import EVIL, made, shown

ROWS = "[...document.querySelectorAll('tbody tr[aria-selected]')]"
WIDE = ("summary.loss", "notes", "created", "rows", "sweep", "id")
NAMES = f"{ROWS}.map(row => row.querySelector('th a').innerText).join()"
CHIPS = "[...document.querySelectorAll('.filters .chip')].map(chip => chip.innerText.replaceAll(/\\s+/g, ' ').trim())"


@pytest.fixture
def six(server, request):
    """A project of six ended runs: a to f, with rates, optimizers, losses and tags; its name is the test's."""
    project = request.node.name[:40]
    for i, name in enumerate("abcdef"):
        config = {"lr": [0.1, 0.01, 0.001][i % 3], "net": {"opt": ["sgd", "adam"][i // 3]}, "same": 1}
        run = made(
            server, project, name, created_at=1.7e9 + i, config=config, summary={"loss": 6.5 - i, "acc": i / 10},
            tags=["old"] if i < 2 else [],
        )  # fmt: skip
        server.store.end(run, 0)
    return f"/local/{quote(project, safe='')}"


def opened(browser, server, address, names="f,e,d,c,b,a"):
    """Go there, and wait until these rows are there."""
    if browser.run("location.origin") == server.url:
        browser.run("localStorage.clear()")
    browser.open(server.url + address)
    browser.wait(f"{NAMES} == '{names}'")


def click(browser, words):
    """Click the button that says that, or is called that."""
    said = "each.innerText.replaceAll(/\\s+/g, ' ').trim()"
    browser.run(
        "[...document.querySelectorAll('button')].find(each => each.offsetParent !== null && "
        f"[{said}, each.ariaLabel].includes({json.dumps(words)})).click()"
    )


def put(browser, selector, text, event="input"):
    """Have a text in a field, as if it had been typed or chosen."""
    browser.run(
        f"(field => {{ field.value = {json.dumps(text)}; field.dispatchEvent(new Event('{event}', {{bubbles: true}}))"
        f" }})(document.querySelector({json.dumps(selector)}))"
    )


def press(browser, key, selector="table", **more):
    """Press a key where the focus is, or on what is named."""
    options = json.dumps({"key": key, "bubbles": True, "cancelable": True, **more})
    browser.run(f"document.querySelector('{selector}').dispatchEvent(new KeyboardEvent('keydown', {options}))")


def run_of(server, address, name):
    project = server.store.runs.project(urllib.request.unquote(address.split("/")[2]))
    return server.store.runs.find(project, name)


def test_typing_finds_runs_and_makes_filters(browser, server, six):
    """Words are looked for as one types; what is a filter becomes a chip with Enter. The address holds all of it."""
    opened(browser, server, f"{six}/table")
    put(browser, "main input[type=search]", "old")
    browser.wait(f"{NAMES} == 'b,a'")
    assert "2 of 6 runs" in browser.text()

    put(browser, "main input[type=search]", "config.lr>0.005")
    press(browser, "Enter", "main input[type=search]")
    browser.wait(f"{NAMES} == 'e,d,b,a'")
    assert browser.run(CHIPS) == ["lr > 0.005 ×"]

    address = browser.run("location.href")
    browser.open(address)
    browser.wait(f"{NAMES} == 'e,d,b,a'")
    assert browser.run(CHIPS) == ["lr > 0.005 ×"]
    click(browser, "Remove the filter config.lr>0.005")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")
    assert "filter=" not in browser.run("location.search")


def test_a_setting_need_not_be_written_whole(browser, server, six):
    """What is in front of the name is found where there is such a column; where there is none, that is said."""
    opened(browser, server, f"{six}/table")
    browser.wait("document.querySelector('.grouping optgroup')")  # the columns are known
    put(browser, "main input[type=search]", "lr>0.005")
    press(browser, "Enter", "main input[type=search]")
    browser.wait(f"{NAMES} == 'e,d,b,a'")
    assert "filter=config.lr" in browser.run("location.search")

    put(browser, "main input[type=search]", "lrr>0.005")
    press(browser, "Enter", "main input[type=search]")
    browser.wait("document.querySelector('main .empty')?.innerText.includes('No run has lrr.')")

    browser.open(f"{server.url}{six}/table?filter=config.lr%3D9&filter=summary.los%3D1")
    browser.wait("document.querySelector('main .empty')?.innerText.includes('No run has summary.los.')")


def test_a_filter_is_put_together_and_edited(browser, server, six):
    """The column's own values are offered; of texts several may be chosen."""
    opened(browser, server, f"{six}/table")
    browser.wait("document.querySelector('.grouping optgroup')")  # the columns are known
    click(browser, "+ Filter")
    put(browser, ".builder input", "config.net.opt")
    assert browser.run("[...document.querySelectorAll('.builder .choices label')].map(each => each.innerText)") == [
        "adam", "sgd",
    ]  # fmt: skip
    browser.run("document.querySelector('.builder .choices input').click()")
    browser.run("document.querySelector('.builder').requestSubmit()")
    browser.wait(f"{NAMES} == 'f,e,d'")
    assert browser.run(CHIPS) == ["net.opt = adam ×"]

    click(browser, "Edit the filter config.net.opt=adam")
    assert browser.run("document.querySelector('.builder .choices input').checked")
    browser.run("document.querySelectorAll('.builder .choices input')[1].click()")
    browser.run("document.querySelector('.builder').requestSubmit()")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")
    assert browser.run(CHIPS) == ["net.opt = adam or sgd ×"]

    click(browser, "+ Filter")
    put(browser, ".builder input", "colour")
    browser.run("document.querySelector('.builder').requestSubmit()")
    browser.wait("document.querySelector('.builder .fault').innerText.includes('There is no column colour')")
    put(browser, ".builder input", "summary.loss")
    put(browser, ".builder select", "<", "change")
    put(browser, ".builder input[aria-label=Value]", "3")
    browser.run("document.querySelector('.builder').requestSubmit()")
    browser.wait(f"{NAMES} == 'f,e'")


def test_a_filter_that_cannot_be_understood_is_told(browser, server, six):
    opened(browser, server, f"{six}/table")
    put(browser, "main input[type=search]", "name~(")
    press(browser, "Enter", "main input[type=search]")

    browser.wait("document.querySelector('main [role=alert] h2')?.innerText == \"This can't be shown\"")
    assert "no regular expression" in browser.text()
    browser.forgive()  # the refusal is an error to the browser, too
    browser.open(browser.run("location.href"))
    browser.wait("document.querySelector('main [role=alert] h2')")
    browser.forgive()

    click(browser, "Remove the filter name~(")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")


def test_headers_sort(browser, server, six):
    """Once upwards, again downwards, a third time not at all; with shift, by several."""
    opened(browser, server, f"{six}/table")
    click(browser, "loss")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")
    assert browser.run("document.querySelector('[data-column=\"summary.loss\"]').ariaSort") == "ascending"
    click(browser, "loss ↑")
    browser.wait(f"{NAMES} == 'a,b,c,d,e,f'")
    click(browser, "loss ↓")
    browser.wait("!location.search.includes('sort')")

    click(browser, "lr")
    browser.wait(f"{NAMES}.startsWith('f,c')")
    browser.run(
        "document.querySelector('[data-column=\"summary.loss\"] .sort')"
        ".dispatchEvent(new MouseEvent('click', {shiftKey: true}))"
    )
    browser.wait("location.search == '?sort=config.lr&sort=summary.loss'")
    browser.wait(f"{NAMES} == 'f,c,e,b,d,a'")


def test_groups_tell_their_means_and_fold(browser, server, six):
    """What is folded stays so after a reload."""
    opened(browser, server, f"{six}/table")
    browser.wait("document.querySelector('.grouping optgroup')")
    put(browser, ".grouping select", "config.net.opt", "change")
    browser.wait("document.querySelectorAll('tr.group').length == 2")
    heads = browser.run("[...document.querySelectorAll('tr.group')].map(row => row.innerText.replaceAll(/\\s+/g, ' '))")
    assert heads[0].startswith("›adam 3") and "∅ 2.5" in heads[0] and heads[1].startswith("›sgd 3")
    browser.run("document.querySelector('tr.group button').click()")
    browser.wait(f"{NAMES} == 'c,b,a'")

    browser.open(browser.run("location.href"))
    browser.wait("document.querySelectorAll('tr.group').length == 2")

    assert browser.run(NAMES) == "c,b,a"
    click(browser, "Don't group by config.net.opt")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")


def test_columns_are_chosen_moved_and_pinned(browser, server, six):
    heads = "[...document.querySelectorAll('thead .sort span:first-child')].map(each => each.innerText).join()"
    opened(browser, server, f"{six}/table")
    assert browser.run(heads) == "Name,State,Created,Duration,Tags,lr,net.opt,acc,loss"
    browser.wait("document.querySelector('.grouping optgroup')")
    click(browser, "Columns")
    put(browser, ".chooser input[type=search]", "same")
    browser.run("document.querySelector('.chooser [data-column=\"config.same\"] input').click()")
    browser.wait(f"{heads}.endsWith('loss,same')")
    put(browser, ".chooser input[type=search]", "")
    click(browser, "Move config.same to the left")
    browser.wait(f"{heads}.endsWith('same,loss')")
    click(browser, "Keep config.same in sight")
    browser.wait(f"{heads}.startsWith('Name,same,State')")
    for name in ("created", "duration", "summary.acc"):
        browser.run(f"document.querySelector('.chooser [data-column=\"{name}\"] input').click()")
    browser.wait(f"{heads} == 'Name,same,State,Tags,lr,net.opt,loss'")
    browser.wait(f"{ROWS}[0].innerText.replaceAll(/\\s+/g, ' ').includes('1 finished')")

    browser.open(browser.run("location.href"))
    browser.wait(f"{heads} == 'Name,same,State,Tags,lr,net.opt,loss'")
    browser.wait("document.querySelector('.grouping optgroup')")
    click(browser, "Columns")
    click(browser, "All settings that differ (2)")
    browser.wait(f"{heads} == 'Name,State,Tags,loss,lr,net.opt'")
    click(browser, "As usual")
    browser.wait(f"{heads} == 'Name,State,Created,Duration,Tags,lr,net.opt,acc,loss'")


def test_many_runs_are_tagged_and_deleted_and_it_is_undone(browser, server, six):
    opened(browser, server, f"{six}/table")
    browser.run(f"{ROWS}[1].querySelector('[data-act=choose]').click()")
    browser.run(
        f"{ROWS}[3].querySelector('[data-act=choose]')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey: true}))"
    )
    browser.wait("document.querySelector('.selected').innerText.includes('3 chosen')")
    links = browser.run("[...document.querySelectorAll('.selected a')].map(link => link.getAttribute('href'))")
    assert links == [f"{six}?runs=e&runs=c&runs=d", f"{six}/compare?run=e&run=c&run=d"]

    click(browser, "Tags")
    put(browser, ".editor input", "shiny")
    browser.run("document.querySelector('.editor').requestSubmit()")
    browser.wait(f"{ROWS}.filter(row => row.innerText.includes('shiny')).length == 3")
    assert [run_of(server, six, name).tags for name in "bc"] == [["old"], ["shiny"]]
    browser.run("document.querySelector('[popover]').hidePopover()")
    click(browser, "Undo")
    browser.wait(f"{ROWS}.filter(row => row.innerText.includes('shiny')).length == 0")

    click(browser, "Delete")
    browser.wait(f"{NAMES} == 'f,b,a'")
    browser.wait("document.querySelector('.toast:last-child').innerText.includes('3 runs deleted')")
    assert browser.run("document.querySelector('.selected').hidden")
    click(browser, "Undo")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")

    browser.run("document.querySelector('thead input').click()")
    browser.wait("document.querySelector('.selected').innerText.includes('6 chosen')")
    browser.run("document.querySelector('thead input').click()")
    browser.wait("document.querySelector('.selected').hidden")


def test_what_was_deleted_is_seen_and_restored(browser, server, six):
    server.store.runs.delete([run_of(server, six, name) for name in "ab"])
    browser.open(f"{server.url}{six}/deleted")
    browser.wait("document.querySelectorAll('tbody tr').length == 2")
    assert "6 days" in browser.text() or "7 days" in browser.text()

    click(browser, "Restore a")

    browser.wait("document.querySelectorAll('tbody tr').length == 1")
    assert run_of(server, six, "a").deleted_at is None
    click(browser, "Restore b")
    browser.wait("document.body.innerText.includes('Nothing was deleted')")


def test_a_run_is_edited_in_place(browser, server, six):
    """Its name by a double click, notes and group from its menu, and tags with those of the project at hand."""
    opened(browser, server, f"{six}/table?column=notes&column=group&column=tags")
    browser.run(f"{ROWS}[0].querySelector('th').dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))")
    put(browser, ".editor input", "the best")
    browser.run("document.querySelector('.editor').requestSubmit()")
    browser.wait(f"{NAMES}.startsWith('the best,e')")
    assert run_of(server, six, "f").display_name == "the best"

    browser.run(f"{ROWS}[1].querySelector('[data-act=menu]').click()")
    click(browser, "Notes …")
    put(browser, ".editor textarea", "seen\ntwice")
    browser.run("document.querySelector('.editor').requestSubmit()")
    browser.wait(f"{ROWS}[1].querySelector('[data-column=notes]').innerText.includes('seen')")
    assert run_of(server, six, "e").notes == "seen\ntwice"

    browser.run(f"{ROWS}[2].querySelector('[data-column=tags] [data-act=edit]').click()")
    browser.wait("document.querySelector('.editor .choices')?.innerText.includes('old')")
    browser.run("document.querySelector('.editor .choices input').click()")
    browser.wait(f"{ROWS}[2].querySelector('[data-column=tags]').innerText.includes('old')")
    assert run_of(server, six, "d").tags == ["old"]
    browser.run("document.querySelector('[popover]').hidePopover()")


def test_a_running_run_is_stopped(browser, server):
    run = made(server, "stopped", "r")
    opened(browser, server, "/local/stopped/table", "r")
    browser.run(f"{ROWS}[0].querySelector('[data-act=menu]').click()")

    click(browser, "Stop")

    browser.wait("document.querySelector('.toast')?.innerText.includes('1 run asked to stop')")
    assert server.store.runs.by_id(run.id).stop_asked


def test_the_project_is_described(browser, server, six):
    opened(browser, server, f"{six}/table")
    browser.wait("document.querySelector('main h1 + div button')")
    click(browser, "Edit the description")
    put(browser, ".editor textarea", "What it is about")
    browser.run("document.querySelector('.editor').requestSubmit()")

    browser.wait("document.querySelector('.description')?.innerText.includes('What it is about')")
    browser.open(server.url)
    browser.wait("document.querySelector('main').innerText.includes('What it is about')")


def test_news_come_while_somebody_works(browser, server, six):
    """A new value and a new run appear. What is open, where it was scrolled to and all other cells stay as they are."""
    browser.size(800, 900)
    opened(browser, server, f"{six}/table?" + "&".join(f"column={each}" for each in WIDE))
    browser.run(f"window.cell = {ROWS}[1].querySelector('[data-column=\"summary.loss\"]').firstChild")
    browser.run("document.querySelector('.grid').scrollLeft = 40")
    browser.run(f"{ROWS}[0].querySelector('[data-act=menu]').click()")
    run = run_of(server, six, "f")

    server.store.runs.update(run, summary={**run.summary, "loss": 0.125})
    made(server, run.project.name, "late")

    browser.wait(f"{ROWS}[1].innerText.includes('0.125')")
    assert browser.run(NAMES) == "late,f,e,d,c,b,a"
    browser.wait("document.querySelector('.count').innerText == '7 runs, 1 running'")
    assert browser.run("document.querySelector('[role=menu]').matches(':popover-open')")
    assert browser.run("document.querySelector('.grid').scrollLeft") == 40
    assert browser.run(f"window.cell === {ROWS}[2].querySelector('[data-column=\"summary.loss\"]').firstChild")
    browser.run("document.querySelector('[popover]').hidePopover()")
    browser.size(1280, 900)


def test_keys_alone_are_enough(browser, server, six):
    opened(browser, server, f"{six}/table")
    press(browser, "/", "body")
    assert browser.run("document.activeElement.type") == "search"
    browser.run("document.querySelector('table').focus()")
    for key in ("ArrowDown", "ArrowDown", " "):
        press(browser, key)
    browser.wait("document.querySelector('.selected').innerText.includes('1 chosen')")
    active = "document.getElementById(document.querySelector('table').getAttribute('aria-activedescendant'))"
    assert browser.run(f"[{active}.ariaSelected, {active}.ariaRowIndex, {active}.querySelector('a').innerText]") == [
        "true", "4", "d",
    ]  # fmt: skip
    press(browser, "F10", shiftKey=True)
    assert browser.run("document.activeElement.innerText.trim()") == "Open"
    press(browser, "ArrowDown", ":focus")
    assert browser.run("document.activeElement.innerText.trim()") == "Open in a new tab"
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape", windowsVirtualKeyCode=27)
    browser.wait("document.activeElement == document.querySelector('table')")

    press(browser, "End")
    press(browser, "Enter")

    browser.wait(f"location.pathname == '{six}/runs/a'")


def test_only_rows_and_columns_in_sight_are_in_the_page(browser, server):
    """2,000 runs with 150 columns: some hundred cells. All are reached, and a range of unseen ones can be chosen."""
    store = server.store
    project = store.runs.project("big", create=True)
    with store.database.writing():
        for i in range(2000):
            config = {f"s{j:03}": i * j for j in range(150)} if i % 10 == 0 else {"s001": i}
            store.runs.open(
                project, f"r{i:04}", created_at=1.7e9 + i, config=config, tags=["x" * 400] if i == 5 else []
            )
    address = "/local/big/table?" + "&".join(f"column=config.s{j:03}" for j in range(150))
    browser.open(server.url + address)
    browser.wait(f"{NAMES}.startsWith('r1999,r1998,r1997')")

    assert browser.run("document.querySelector('table').getAttribute('aria-rowcount')") == "2001"
    assert browser.run("document.querySelector('table').getAttribute('aria-colcount')") == "152"
    assert browser.run("document.querySelectorAll('tbody tr').length") < 50
    assert browser.run("document.querySelectorAll('tbody td').length") < 1200
    browser.run(f"{ROWS}[0].querySelector('[data-act=choose]').click()")
    browser.run("document.querySelector('.grid').scrollTo(1e6, 1e6)")
    browser.wait(f"{NAMES}.endsWith('r0001,r0000')")
    browser.wait(f"{ROWS}.at(-1).querySelector('[data-column=\"config.s149\"]').innerText == '0'")
    assert browser.run(f"{ROWS}.at(-1).ariaRowIndex") == "2001"
    browser.run(
        f"{ROWS}.at(-1).querySelector('[data-act=choose]')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey: true}))"
    )
    browser.wait("document.querySelector('.selected').innerText.includes('2000 chosen')")
    assert browser.run("document.documentElement.scrollWidth") <= 1280


def test_all_rows_stay_where_the_columns_change(browser, server):
    """Those of a short table, too, whose height is that of its rows."""
    for i in range(14):
        made(server, "short", f"r{i:02}", created_at=1.7e9 + i, config={"lr": i})
    opened(browser, server, "/local/short/table", ",".join(f"r{i:02}" for i in reversed(range(14))))
    browser.wait("document.querySelector('[data-column=\"config.lr\"] .sort')")

    assert browser.run(f"(document.querySelector('[data-column=\"config.lr\"] .sort').click(), {ROWS}.length)") == 14


def test_the_file_holds_what_matches(browser, server, six):
    opened(browser, server, f"{six}/table?filter=config.lr>0.05&sort=summary.loss", "d,a")
    click(browser, "More")
    link = browser.run("document.querySelector('[role=menu] a').href")

    with urllib.request.urlopen(link) as answer:
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))

    assert [(row["name"], row["config.net.opt"]) for row in rows] == [("d", "adam"), ("a", "sgd")]
    browser.run("document.querySelector('[popover]').hidePopover()")


def test_nobodys_words_become_code_here(browser, server):
    known = {
        "display_name": EVIL,
        "notes": EVIL,
        "tags": [EVIL],
        "config": {EVIL: EVIL, "x": 1},
        "summary": {EVIL: EVIL},
    }
    made(server, "evil", "abc", group_name=EVIL, **known)
    made(server, "evil", "def", **{**known, "config": {EVIL: "other"}})
    everything = "&".join(
        f"column={quote(name)}" for name in ("notes", "group", "tags", f"config.{EVIL}", f"summary.{EVIL}")
    )
    browser.open(
        f"{server.url}/local/evil/table?{everything}&group={quote('config.' + EVIL)}&filter={quote('name~img')}"
    )
    browser.wait("document.querySelectorAll('tr.group').length == 2")
    browser.run(f"{ROWS}[0].querySelector('[data-act=menu]').click()")
    browser.run("document.querySelector('[popover]').hidePopover()")
    click(browser, "Columns")
    time.sleep(0.3)

    assert EVIL in browser.text() and browser.run("document.title").endswith("evil · Fulgurite")
    assert browser.run("document.querySelectorAll('main img[src=x], [popover] img[src=x], main script').length") == 0
    browser.run("document.querySelector('[popover]').hidePopover()")


def test_a_reader_changes_nothing(browser, tmp_path):
    with shown(browser, tmp_path) as server:
        made(server, "p", "abc", tags=["t"])
        key = server.store.users.add("eve", "reader")
        browser.open(f"{server.url}/local/p/table")
        browser.wait("document.querySelector('form')")
        browser.forgive()
        browser.run(f"(document.querySelector('#key').value = '{key}', document.querySelector('form').requestSubmit())")
        browser.wait(f"{NAMES} == 'abc'")
        browser.run(f"{ROWS}[0].querySelector('[data-act=choose]').click()")
        browser.wait("document.querySelector('.selected').innerText.includes('1 chosen')")
        browser.run(f"{ROWS}[0].querySelector('[data-act=menu]').click()")

        assert browser.run("document.querySelectorAll('[data-act=edit], .selected .danger, .menu .danger').length") == 0
        assert "Rename" not in browser.text() and "description" not in browser.text()
        browser.forgive()  # the first page was refused, rightly


def test_projects_are_found_and_sorted(browser, server):
    made(server, "zeta", "a")
    for name in "abc":
        server.store.end(made(server, "alpha", name), 0)
    names = "[...document.querySelectorAll('tbody th a')].map(link => link.innerText)"
    browser.open(server.url)
    browser.wait(f"{names}.includes('zeta')")
    click(browser, "Project")
    browser.wait(f"{names}[0] == 'alpha'")
    row = browser.run("document.querySelector('tbody tr').innerText.replaceAll(/\\s+/g, ' ')")
    assert row.startswith("alpha 3")
    click(browser, "Running")
    browser.wait(f"{names}.indexOf('zeta') < {names}.indexOf('alpha')")

    put(browser, "main input", "zet")
    browser.wait(f"{names}.join() == 'zeta'")
    put(browser, "main input", "none of them")
    browser.wait("document.body.innerText.includes('No project is called so')")


def test_empty_tables_say_why(browser, server, six):
    browser.open(f"{server.url}{six}/table?search=nonsense")
    browser.wait("document.body.innerText.includes('No run is like that')")
    click(browser, "Show all runs")
    browser.wait(f"{NAMES} == 'f,e,d,c,b,a'")
    server.store.runs.project("void", create=True)
    browser.open(f"{server.url}/local/void/table")
    browser.wait("document.body.innerText.includes('This project has no runs')")


@pytest.mark.parametrize("what", ["table", "deleted"])
def test_nothing_sticks_out_of_a_phone(browser, server, six, what):
    server.store.runs.delete([run_of(server, six, "a")])
    browser.size(400, 800)
    browser.open(f"{server.url}{six}/{what}?filter=config.lr>0&group=config.net.opt")
    browser.wait("document.querySelector('tbody th')")
    if what == "table":
        browser.wait(f"{ROWS}.length")
        browser.run(f"{ROWS}[0].querySelector('[data-act=choose]').click()")
    time.sleep(0.4)

    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)


def test_filters_are_read_and_written_as_the_server_reads_them(browser, server):
    """What a chip or the builder writes means the same to the page and to the server."""
    browser.open(server.url)
    browser.wait("document.querySelector('main h1')")
    texts = [
        "config.lr>0.01", "config.lr >= 0.01", "name~^a=b", "tags!=old", '"config.a=b"!~x y', "state=[\"running\"]",
        "summary.loss!=null", "config.note=", 'config.t="1"',
    ]  # fmt: skip
    read = browser.run(
        f"import('/static/base/filters.js').then(({{ readFilter }}) => {json.dumps(texts)}.map(readFilter))"
    )
    for text, found in zip(texts, read, strict=True):
        column, operator, value = FILTER.fullmatch(text).groups()
        assert (found["operator"], found["value"]) == (operator, value)
        assert found["column"] == (json.loads(column) if column.startswith('"') else column)
        written = browser.run(f"import('/static/base/filters.js').then((it) => it.writeFilter({json.dumps(found)}))")
        assert FILTER.fullmatch(written).groups() == (column, operator, value)

    values = ["adam", "1", "true", " edge ", "", 'a "quote"', 0.5, False, "null"]
    written = browser.run(
        f"import('/static/base/filters.js').then(({{ written }}) => {json.dumps(values)}.map(written))"
    )
    assert written == ["adam", '"1"', '"true"', '" edge "', '""', 'a "quote"', "0.5", "false", '"null"']
    strangers = ["colour=red", "config.lr", "just words", '"broken=1', "config =1"]
    found = browser.run(
        f"import('/static/base/filters.js').then(({{ readFilter }}) => {json.dumps(strangers)}.map(readFilter))"
    )
    assert found == [None] * len(strangers)


def test_the_lines_of_folded_groups(browser, server):
    """Each line is a row or a head; a row's line is found again, that of a folded one is its group's."""
    browser.open(server.url)
    browser.wait("document.querySelector('main h1')")
    lines = browser.run(
        """import('/static/views/table/layout.js').then(({ layoutOf }) => {
            const groupOf = ([key, first, count]) => ({ key: [key], first, count });
            const groups = [['a', 0, 2], ['b', 2, 3], ['c', 5, 1]].map(groupOf);
            const { count, line, lineOf } = layoutOf(6, groups, (key) => key === '["b"]');
            const told = [...Array(count).keys()].map((i) => line(i).group?.key[0] ?? line(i).place);
            return [told, [0, 1, 2, 4, 5].map(lineOf)];
        })"""
    )
    assert lines == [["a", 0, 1, "b", "c", 5], [1, 2, 3, 3, 5]]


def test_a_page_that_looked_away_asks_anew(browser, server):
    """That a run fell silent is told for a minute only: who has not looked for longer can't go by what has changed."""
    run = made(server, "silent", "abc")
    server.store.runs.update(run, seen_at=time.time() - SILENCE - 100)
    browser.open(server.url)
    browser.wait("document.querySelector('main h1')")

    states = browser.run(
        """import('/static/views/table/rows.js').then(async ({ Rows }) => {
            const rows = new Rows('/projects/local/silent', () => {});
            await rows.choose({});
            rows.at(0).run.state = 'running'; // as it was when this page was last in sight
            await rows.renew([0]);
            const soon = rows.at(0).run.state;
            rows.renewed -= 60000;
            await rows.renew([0]);
            return [soon, rows.at(0).run.state];
        })"""
    )

    assert states == ["running", "crashed"]
