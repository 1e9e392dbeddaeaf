"""The pages in a real browser: what they show, that they follow a run, and that nobody's words become code."""

import re
import time

import pytest

from fulgurite.track.server.pages import FOLDER
from fulgurite.track.store.console import Line
from support.pages import EVIL, made, shown

AS_HTML = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def drawn(browser):
    """How many charts stand on the page."""
    return browser.run("document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length")


def test_every_address_that_the_client_prints_is_a_page(client):
    for path in ("/", "/local/p", "/local/p/runs/abc", "/local/p/sweeps/x", "/local/p/artifacts/model/m/v0"):
        answer = client.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200 and "/static/app.js" in answer.text


def test_all_that_a_page_loads_is_served_from_here(client):
    """No other host is named in any of our files, and what they import is there."""
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    for file in files:
        name = file.relative_to(FOLDER).as_posix()
        if name != "index.html":
            assert client.get(f"/static/{name}").status_code == 200, name
        text = file.read_text().replace("http://www.w3.org/", "")
        assert not re.search(r"https?://|//cdn|@import", text), name
        for wanted in re.findall(r'(?:from |import\()"(\.[^"]+)"', text):
            assert (file.parent / wanted).is_file(), f"{name} imports {wanted}"
    assert client.get("/static/plotly.min.js").content.startswith(b"/**\n* plotly.js")


def test_the_browser_keeps_what_it_has(client):
    """A file that is still the same isn't sent again; Plotly, whose address names its version, isn't even asked for."""
    first = client.get("/static/app.js")
    again = client.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert first.headers["cache-control"] == "no-cache"

    page = client.get("/", headers={"accept": "text/html"}).text
    plotly = client.get(re.search(r'content="(/static/plotly[^"]+)"', page)[1])

    assert "immutable" in plotly.headers["cache-control"]
    assert client.get("/static/plotly.min.js?v=other").headers["cache-control"] == "no-cache"


def test_no_text_is_read_as_html():
    """The pages make elements and text nodes only."""
    for file in FOLDER.rglob("*.js"):
        assert not AS_HTML.search(file.read_text()), file.name


def test_an_empty_store_says_how_to_begin(browser, tmp_path):
    with shown(browser, tmp_path) as server:
        browser.open(server.url)

        browser.wait("document.body.innerText.includes('There is no run yet')")
        assert f"WANDB_BASE_URL={server.url}" in browser.text()


def test_a_project_shows_its_runs(browser, server):
    """With their state and values; one that is made meanwhile appears by itself."""
    for i in range(30):
        run = made(server, "many", f"r{i}", config={"lr": i, "same": 1}, summary={"loss": i / 10, "_step": 3})
        server.store.end(run, 0 if i < 29 else 1)

    browser.open(f"{server.url}/local/many/table")
    browser.wait("document.querySelector('table').getAttribute('aria-rowcount') == 31")

    head = browser.run("[...document.querySelectorAll('thead .sort')].map(cell => cell.innerText).join()")
    assert head == "Name,State,Created,Duration,Tags,lr,loss"
    assert "failed" in browser.text() and "2.9" in browser.text()
    made(server, "many", "late", display_name="latecomer")
    browser.wait("document.querySelector('tbody').innerText.includes('latecomer')")


def test_a_run_is_drawn_and_followed(browser, server):
    """Its charts stand there, and a new value is on screen within some seconds; NaNs are gaps."""
    run = made(server, "live", "abc", display_name="live one", config={"deep": {"er": 7}})
    rows = [
        (i, {"train/loss": 1 / (i + 1), "acc": float("nan") if i == 5 else i / 20, "note": "hi"}) for i in range(20)
    ]
    server.store.history.append(run.id, rows)

    browser.open(f"{server.url}/local/live/runs/abc")
    browser.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length == 2")
    points = "document.querySelector('[data-key=acc] .plot').data.at(-1).x.length"
    assert browser.run(points) == 20
    server.store.history.append(run.id, [(20, {"acc": 0.9, "new": 1})])

    browser.wait(f"{points} == 21")
    browser.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length == 3")


def test_media_are_shown_with_what_is_said_of_them(browser, server):
    """Captions stand below pictures; tables hold numbers that JSON does not know; what is new changes nothing else."""
    run = made(server, "media", "abc", display_name="the one")
    cells = '{"columns": ["word", "score"], "data": [["NaN said", NaN], ["b", 0.25]]}'
    server.store.blobs.put(run.id, "media/t.table.json", server.store.blobs.keep_bytes(cells.encode()))
    pictures = {"_type": "images/separated", "filenames": ["a.png", "b.png"], "captions": ["a cat", None]}
    table = {"_type": "table-file", "path": "media/t.table.json", "nrows": 2, "ncols": 2, "size": len(cells)}
    server.store.blobs.put(run.id, "a.png", server.store.blobs.keep_bytes(PIXEL))
    server.store.blobs.put(run.id, "b.png", server.store.blobs.keep_bytes(PIXEL))
    server.store.history.append(run.id, [(0, {"seen": pictures, "rows": table})])

    browser.open(f"{server.url}/local/media/runs/abc#media")
    browser.wait("document.querySelectorAll('main img').length == 2")
    assert browser.run("[...document.querySelectorAll('figure figure figcaption')].map(each => each.innerText)") == [
        "a cat"
    ]
    browser.wait("document.querySelectorAll('.logged tbody tr').length == 2")
    told = browser.run("[...document.querySelectorAll('.logged td')].map(cell => cell.innerText)")
    assert told == ["NaN said", "NaN", "b", "0.25"]
    browser.run("document.querySelector('.logged').dataset.kept = 'yes'")
    server.store.history.append(run.id, [(1, {"loss": 1.0})])
    browser.wait("document.body.innerText.includes('· 2 rows')")
    assert browser.run("document.querySelector('.logged').dataset.kept") == "yes"


def test_the_overview_tells_the_machine_of_the_wandb_client(browser, server):
    """The client keeps it apart from what it says of a run; the page is called by the run's name."""
    machine = {"old": {"os": "Minix"}, "new": {"os": "Linux-6", "git": {"commit": "0123abc"}}}
    made(server, "facts", "abc", display_name="the one", facts={"host": "here", "_wandb": {"e": machine}})

    browser.open(f"{server.url}/local/facts/runs/abc#overview")

    browser.wait("document.body.innerText.includes('Linux-6') && document.body.innerText.includes('0123abc')")
    assert all(word in browser.text() for word in ("Git commit", "0123abc", "here"))
    assert "Minix" not in browser.text()
    assert browser.run("document.querySelector('header nav').innerText.includes('the one')")


def test_a_zoom_shows_the_detail(browser, server):
    """The server is asked for the stretch in sight; a double click shows the whole again."""
    run = made(server, "zoom", "abc")
    server.store.history.append(run.id, [(i, {"y": float(i % 100)}) for i in range(20_000)])
    browser.open(f"{server.url}/local/zoom/runs/abc")
    plot = "document.querySelector('[data-key=y] .plot')"
    browser.wait(f"{plot}.data?.length == 2")

    browser.run(f"Plotly.relayout({plot}, {{'xaxis.range[0]': 1000, 'xaxis.range[1]': 1100}}).then(() => 0)")
    browser.wait(f"{plot}.data.length == 1 && {plot}.data[0].x.length == 101")

    browser.run(f"Plotly.relayout({plot}, {{'xaxis.autorange': true}}).then(() => 0)")
    browser.wait(f"{plot}.data.length == 2")


def test_charts_out_of_sight_are_not_drawn(browser, server):
    """A run with 300 keys draws what fits the window, and the rest when it is scrolled to."""
    run = made(server, "keys", "abc")
    server.store.history.append(run.id, [(i, {f"k{j:03}": i * j for j in range(300)}) for i in range(50)])
    browser.open(f"{server.url}/local/keys/runs/abc")
    browser.wait("document.querySelectorAll('.chart').length == 300")
    browser.wait("document.querySelector('[data-key=k000] .trace')")
    time.sleep(1)
    assert 6 <= drawn(browser) <= 40

    browser.run("document.querySelector('[data-key=k299]').scrollIntoView()")

    browser.wait("document.querySelector('[data-key=k299] .trace')")
    browser.wait("!document.querySelector('[data-key=k000] .trace')")


@pytest.mark.parametrize("tab", ["charts", "media", "overview", "system", "console", "files", "code", "histograms"])
def test_nobodys_words_become_code(browser, server, tab):
    """Names, values, lines and files that are HTML are read as what they are: text."""
    run = made(
        server, "evil", "abc", display_name=EVIL, notes=EVIL, tags=[EVIL], config={EVIL: EVIL}, summary={EVIL: EVIL}
    )
    server.store.runs.alert(run, EVIL, EVIL, "WARN")
    server.store.history.append(
        run.id, [(i, {EVIL: i, EVIL + "/x": EVIL, "p": {"_type": EVIL, "path": EVIL}}) for i in range(3)]
    )
    server.store.console.write(run.id, [Line(0, "stdout", None, None, EVIL)])
    server.store.blobs.put(run.id, EVIL, server.store.blobs.keep_bytes(b"x"))

    browser.open(f"{server.url}/local/evil/runs/abc#{tab}")
    browser.wait("document.querySelector('.tabs + div')?.innerText")
    time.sleep(0.3)

    assert EVIL in browser.text()
    assert browser.run("document.title").endswith("· evil · Fulgurite")
    assert browser.run("document.querySelectorAll('main img[src=x], main script').length") == 0


def test_a_logged_page_runs_outside_of_our_origin(browser, server):
    """Its script runs, knows nothing of us and reaches nobody."""
    run = made(server, "html", "abc")
    page = b"""<body><script>
        document.title = origin; let seen; try { seen = document.cookie } catch { seen = "no cookies" }
        const tell = (how) => document.body.append([origin, seen, how]);
        fetch("/api/projects").then(() => tell("reached"), () => tell("refused"));
    </script></body>"""
    server.store.blobs.put(run.id, "page.html", server.store.blobs.keep_bytes(page))

    browser.open(f"{server.url}/api/projects/local/html/runs/abc/files/content?name=page.html")

    browser.wait("document.body?.innerText.includes('refused')")
    assert browser.text() == "null,no cookies,refused"
    # That it was refused is what the browser complains of, rightly.
    assert all("connect" in each.lower() or "fetch" in each.lower() for each in browser.complaints)
    browser.forgive()


def test_a_key_opens_the_pages(browser, tmp_path):
    """They ask for it, and show what was asked for as soon as it is given."""
    with shown(browser, tmp_path) as server:
        made(server, "secret", "abc")
        key = server.store.users.add("ada", "reader")
        browser.open(f"{server.url}/local/secret/table")
        browser.wait("document.querySelector('form')")
        assert "abc" not in browser.text()

        def give(value):
            browser.run(
                f"(document.querySelector('#key').value = '{value}', document.querySelector('form').requestSubmit())"
            )

        give("wrong")
        browser.wait("document.querySelector('.fault').innerText.includes('no key')")
        give(key)

        browser.wait("document.querySelectorAll('tbody tr[aria-selected]').length == 1")
        browser.forgive()  # a refused key is an error to the browser, too
        browser.run("[...document.querySelectorAll('header button')].find(each => each.innerText == 'Log out').click()")
        browser.wait("document.querySelector('form')")
        browser.forgive()


@pytest.mark.parametrize(
    "path", ["/", "/local/many", "/local/many/table", "/local/live/runs/abc", "/local/live/runs/abc#overview"]
)
def test_nothing_sticks_out_on_a_phone(browser, server, path):
    made(server, "live", "abc")
    made(server, "many", "abc")
    browser.size(400, 800)
    browser.open(server.url + path)
    browser.wait("document.querySelector('main h1')")
    time.sleep(0.5)

    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
