"""Media, logged tables and histograms of a run in a real browser."""

import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from support import pages, solids
from support.artifacts import logged
from support.pages import EVIL, put

CELLS = "[...document.querySelectorAll('.logged tbody tr')].map(row => row.children[1].innerText)"


def made(server, name, rows, **known):
    run = pages.made(server, "p", name, **known)
    server.store.history.append(run.id, rows)
    return run


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def opened(browser, server, name, rest="#media"):
    browser.open(f"{server.url}/local/p/runs/{name}{rest}")
    browser.wait("document.querySelector('main h1')")


def card(key):
    return f"document.querySelector('[data-key=\"{key}\"]')"


def plot(key):
    return f"{card(key)}.querySelector('.js-plotly-plot')"


def typed(browser, selector, text):
    browser.run(
        f"((field) => (field.value = {json.dumps(text)}, field.dispatchEvent(new Event('input'))))"
        f"(document.querySelector({json.dumps(selector)}))"
    )


def test_one_slider_moves_all_media_through_the_steps(browser, server):
    """Each shows what it last was; the step is in the address and survives a reload; arrows move it, too."""
    rows = [(step, {"val/said": f"said at {step}"}) for step in (0, 5, 9)] + [(4, {"other": "only at 4"})]
    run = made(server, "steps", rows)
    opened(browser, server, "steps")
    browser.wait(f"{card('val/said')}?.innerText.includes('said at 9')")

    browser.run("document.querySelector('[aria-label=\"Step before\"]').click()")
    browser.wait(f"{card('val/said')}.innerText.includes('said at 5')")
    assert "only at 4" in browser.text() and "step=5" in browser.run("location.search")
    browser.open(browser.run("location.href"))
    browser.wait(f"{card('val/said')}?.innerText.includes('said at 5')")
    arrow = "new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true})"
    browser.run(f"document.querySelector('.medium').dispatchEvent({arrow})")
    browser.wait(
        f"{card('other')}.innerText.includes('only at 4') && {card('val/said')}.innerText.includes('said at 0')"
    )

    browser.open(f"{server.url}/local/p/runs/steps?step=#media")
    browser.wait(f"{card('val/said')}?.innerText.includes('said at 9')")
    server.store.history.append(run.id, [(20, {"val/said": "the newest"})])
    browser.wait(f"{card('val/said')}.innerText.includes('the newest')")


def test_masks_and_boxes_lie_over_the_picture(browser, server):
    """Classes have names and can be switched off one by one."""
    mask = np.zeros((40, 60))
    mask[:20] = 2
    labels = {"mask/class_labels": {"seg_wandb_delimeter_truth": {"value": {"2": "cat", "0": EVIL}}}}
    run = made(server, "masks", [], facts={"_wandb": labels})
    boxes = {
        "box_data": [
            {"position": {"minX": 0.5, "maxX": 1, "minY": 0, "maxY": 0.5}, "class_id": 1, "box_caption": EVIL},
            {"position": {"middle": [15, 30], "width": 10, "height": 10}, "domain": "pixel", "class_id": 3},
            {"position": {"middle": "x"}, "class_id": "y"},
        ],
        "class_labels": {"1": "dog"},
    }
    value = {
        "_type": "image-file", "path": put(server, run, "a.png", png(np.full((40, 60, 3), 200))),
        "width": 60, "height": 40,
        "masks": {"truth": {"path": put(server, run, "m.png", png(mask))}},
        "boxes": {"found": {"path": put(server, run, "b.json", json.dumps(boxes))}},
    }  # fmt: skip
    server.store.history.append(run.id, [(0, {"seg": value})])
    opened(browser, server, "masks")
    pixel = "[...document.querySelector('canvas.layer').getContext('2d').getImageData(5, {0}, 1, 1).data]"

    browser.wait("document.querySelectorAll('.frame rect').length == 2")
    browser.wait(f"{pixel.format(5)}[3] == 255")
    assert browser.run(pixel.format(5)) != browser.run(pixel.format(35))
    assert browser.run("document.querySelector('.frame rect').getAttribute('x')") == "50"
    browser.run("document.querySelector('details.layers').open = true")
    told = browser.run("[...document.querySelectorAll('.layers label')].map(label => label.innerText.trim())")
    assert told[1:] == ["truth (mask)", EVIL, "cat", "found (boxes)", "dog", "class 3"]
    browser.run(
        "[...document.querySelectorAll('.layers label')].find(label => label.innerText.trim() == 'cat').click()"
    )

    browser.wait(f"{pixel.format(5)}[3] == 0")
    assert browser.run(pixel.format(35))[3] == 255


def test_sounds_pages_figures_and_clouds_are_shown(browser, server):
    """A logged page is in a frame of its own; what can't be drawn says why."""
    run = made(server, "kinds", [])
    figure = {"data": [{"type": "scattergl", "y": [1, 2]}], "layout": {"title": {"text": EVIL}}}
    put(server, run, "f.json", json.dumps(figure))
    put(server, run, "c.pts.json", json.dumps([[0, 0, 0], [1, 1, 1]]))
    put(server, run, "h.html", "<script>document.title = 'run'</script>")
    put(server, run, "bad.json", "no json")
    values = {
        "page": {"_type": "html-file", "path": "h.html"},
        "figure": {"_type": "plotly-file", "path": "f.json"},
        "cloud": {"_type": "object3D-file", "path": "c.pts.json"},
        "bad": {"_type": "plotly-file", "path": "bad.json"},
        "other mesh": {"_type": "object3D-file", "path": "m.babylon"},
        "sound": {"_type": "audio", "count": 1, "audio": [{"_type": "audio-file", "path": "s.wav", "caption": EVIL}]},
        "unknown": {"_type": EVIL, "path": EVIL},
        "list": [1, EVIL],
    }
    server.store.history.append(run.id, [(0, values)])
    opened(browser, server, "kinds")

    browser.wait(f"{card('figure')}.querySelector('.scatterlayer .trace')")
    browser.wait(f"{card('cloud')}.querySelector('.js-plotly-plot canvas')")
    browser.wait(f"{card('bad')}.innerText.includes('can\\'t be shown')")
    browser.run(f"{card('page')}.scrollIntoView()")
    browser.wait(f"{card('page')}.querySelector('iframe')?.getAttribute('sandbox') == 'allow-scripts'")
    browser.run(f"{card('other mesh')}.scrollIntoView()")
    browser.wait(f"{card('other mesh')}.querySelector('a')?.href.includes('m.babylon')")
    assert "are not drawn" in browser.run(f"{card('other mesh')}.innerText")
    assert browser.run(f"{plot('cloud')}.getAttribute('aria-label')") == "cloud: a cloud of 2 points"
    browser.wait(f"{card('unknown')}.innerText.includes('<script>')")
    browser.wait(f"{card('sound')}.querySelector('audio')")
    time.sleep(0.3)
    assert browser.run("document.title").endswith("Fulgurite")
    assert browser.run("document.querySelectorAll('main img[src=x], main script').length") == 0


@pytest.mark.slow
def test_bodies_of_the_client_are_drawn(browser, server):
    """Meshes of each format and molecules, as W&B's client logs them; each has a name to be read out."""
    for ending in ("obj", "stl", "glb", "gltf"):
        (server.folder / f"box.{ending}").write_bytes(solids.box(ending))
    (server.folder / "glycine.pdb").write_text(solids.GLYCINE)
    (server.folder / "water.sdf").write_text(solids.WATER)
    server.client("""
        import wandb
        with wandb.init(project="p", id="bodies") as run:
            run.log({ending: wandb.Object3D(open(f"box.{ending}"), caption=ending) for ending in ("obj", "gltf")})
            run.log({ending: wandb.Object3D.from_file(f"box.{ending}") for ending in ("stl", "glb")})
            run.log({"both": [wandb.Object3D.from_file("box.obj"), wandb.Object3D.from_file("box.stl")]})
            run.log({"glycine": wandb.Molecule("glycine.pdb"), "water": wandb.Molecule("water.sdf", caption="H2O")})
    """)
    opened(browser, server, "bodies")

    for key in ("obj", "stl", "glb", "gltf"):
        browser.wait(f"{card(key)}")
        browser.run(f"{card(key)}.scrollIntoView()")
        browser.wait(f"{plot(key)}?._fullData[0].i.length")
        drawn = f"(({{x, y, z, i, j, k}}) => [x.length, i.length, k.length, Math.max(...z)])({plot(key)}._fullData[0])"
        assert browser.run(drawn) == [8, 12, 12, 1.5]
        assert browser.run(f"{plot(key)}.getAttribute('aria-label')") == f"{key}: a mesh of 12 faces, 8 vertices"
    browser.run(f"{card('both')}.scrollIntoView()")
    browser.wait(f"{card('both')}.querySelectorAll('.js-plotly-plot[aria-label]').length == 2")
    browser.run(f"{card('glycine')}.scrollIntoView()")
    browser.wait(f"{plot('glycine')}?._fullData[1]?.x.length == 5")
    assert "CA GLY 1, chain A<br>carbon (C)" in browser.run(f"{plot('glycine')}._fullData[1].hovertext")
    assert browser.run(f"{plot('glycine')}.getAttribute('aria-label')") == "glycine: a molecule of 5 atoms, 3 bonds"
    browser.run(f"{card('water')}.scrollIntoView()")
    browser.wait(f"{plot('water')}?._fullData[0].x.filter(Number.isFinite).length == 4")
    assert "H2O" in browser.run(f"{card('water')}.innerText")


def test_a_body_stays_turned_through_the_steps(browser, server):
    """What was let go of and is drawn again is seen from the same place, too."""
    run = made(server, "turned", [])
    put(server, run, "a.stl", solids.box("stl"))
    put(server, run, "b.stl", solids.box("ascii.stl"))
    rows = [(step, {"box": {"_type": "object3D-file", "path": name}}) for step, name in enumerate(["a.stl", "b.stl"])]
    server.store.history.append(run.id, rows)
    opened(browser, server, "turned")
    browser.wait(f"{plot('box')}?.getAttribute('aria-label')")
    browser.run(f"void (window.first = {plot('box')})")
    x, y = browser.run("(({x, y}) => [x, y])(first.getBoundingClientRect())")
    browser.page.mouse.move(x + 100, y + 100)
    browser.page.mouse.down()
    browser.page.mouse.move(x + 180, y + 160, steps=4)
    browser.page.mouse.up()
    eye = "_fullLayout.scene.camera.eye"
    browser.wait(f"first.{eye}.x.toFixed(3) !== '1.250'")
    turned = browser.run(f"first.{eye}")

    browser.run("document.querySelector('[aria-label=\"Step before\"]').click()")

    browser.wait(f"{plot('box')}?.getAttribute('aria-label') && {plot('box')} !== first && !first._fullLayout")
    assert browser.run(f"{plot('box')}.{eye}") == turned


def test_a_body_that_was_left_while_it_loads_is_drawn_later(browser, server):
    run = made(server, "left", [])
    put(server, run, "a.stl", solids.box("stl"))
    server.store.history.append(run.id, [(0, {"box": {"_type": "object3D-file", "path": "a.stl"}})])
    opened(browser, server, "left")
    browser.wait("document.body.innerText.includes('Loading …')")
    field = "document.querySelector('input[placeholder=\"Filter media\"]')"

    browser.run(f"void ({field}.value = 'x', {field}.dispatchEvent(new Event('input', {{ bubbles: true }})))")
    browser.wait("!document.body.innerText.includes('Loading …')")
    time.sleep(2)  # until the answer must have come
    browser.run(f"void ({field}.value = '', {field}.dispatchEvent(new Event('input', {{ bubbles: true }})))")

    browser.wait(f"{plot('box')}?._fullData?.[0].i.length")


def test_a_body_that_can_not_be_read_says_why(browser, server):
    """The link to its file stays."""
    run = made(server, "broken", [])
    put(server, run, "a.glb", b"glTF")
    put(server, run, "b.mmtf", b"x")
    values = {
        "mesh": {"_type": "object3D-file", "path": "a.glb"},
        "molecule": {"_type": "molecule-file", "path": "b.mmtf"},
    }
    server.store.history.append(run.id, [(0, values)])
    opened(browser, server, "broken")

    browser.wait(f"{card('mesh')}?.innerText.includes('can\\'t be shown: It ')")
    assert browser.run(f"{card('mesh')}.querySelector('a').href.includes('a.glb')")
    browser.wait(f"{card('molecule')}.innerText.includes('b.mmtf are not drawn')")
    assert browser.run(f"{card('molecule')}.querySelector('a').href.includes('b.mmtf')")
    assert "status of 400" in browser.complaints.pop() and browser.complaints == []  # of the server's answer


def test_a_logged_table_is_sorted_filtered_and_turned(browser, server):
    """By the server: only a page of its rows is here. Cells are texts, and pictures in cells are seen."""
    run = made(server, "table", [])
    picture = {"_type": "image-file", "path": put(server, run, "a.png", png(np.zeros((9, 9))))}
    rows = [[i, (i * 37) % 1000, EVIL if i == 0 else f"word {i}", picture] for i in range(1000)]
    put(server, run, "t.table.json", json.dumps({"columns": ["i", "x", EVIL, "pic"], "data": rows}))
    server.store.history.append(run.id, [(0, {"rows": {"_type": "table-file", "path": "t.table.json"}})])
    opened(browser, server, "table")
    browser.wait(f"{CELLS}.length == 10")
    assert EVIL in browser.text() and browser.run("document.querySelectorAll('.logged td img').length") == 10

    browser.run("[...document.querySelectorAll('.logged .sorter')][1].click()")
    browser.wait(f"{CELLS}.slice(0, 3).join() == '0,973,946'")
    browser.run("document.querySelector('[aria-label=\"Next page\"]').click()")
    browser.wait("document.querySelector('.pager').innerText.includes('11–20 of 1,000')")
    browser.run(
        "((form) => (form[0].value = 'i', form[1].value = '>', form[2].value = '997', form.requestSubmit()))"
        "(document.querySelector('.table-view form'))"
    )
    browser.wait(f"{CELLS}.length == 2")

    assert "1–2 of 2 (1,000 in all)" in browser.text()
    browser.run("document.querySelector('.table-view .pill').click()")
    browser.wait(f"{CELLS}.length == 10")
    typed(browser, ".table-view input[type=search]", "word 123")
    browser.wait(f"{CELLS}.join() == '123'")


def test_pictures_of_a_table_in_an_artifact_are_seen(browser, server):
    """W&B's client writes only the word Image into the run's own file."""
    run = made(server, "intable", [])
    put(server, run, "t.table.json", json.dumps({"columns": ["pic"], "data": [["Image"]]}))
    cell = {"_type": "image-file", "path": "media/images/a b.png"}
    table = json.dumps({"columns": ["pic"], "data": [[cell]]}).encode()
    files = {"t.table.json": table, "media/images/a b.png": png(np.full((7, 5), 200))}
    logged(server.store, run.project, "run-intable-rows", "run_table", files, run, client_id="c1")
    value = {"_type": "table-file", "path": "t.table.json", "artifact_path": "wandb-client-artifact://c1/t.table.json"}
    server.store.history.append(run.id, [(0, {"rows": value})])

    opened(browser, server, "intable")
    browser.wait("document.querySelector('.logged td img')?.naturalWidth === 5")


def test_media_out_of_sight_are_not_loaded(browser, server):
    made(server, "many", [(0, {f"key{i:03}": f"text {i}" for i in range(150)})])
    opened(browser, server, "many")
    browser.wait(f"{card('key000')}?.innerText.includes('text 0')")
    time.sleep(0.5)
    assert browser.run("[...document.querySelectorAll('.medium pre')].length") < 80

    browser.run(f"{card('key149')}.scrollIntoView()")

    browser.wait(f"{card('key149')}.innerText.includes('text 149')")


def test_hundreds_of_histograms_are_drawn_in_sight_only(browser, server):
    """As one map of all steps each; a slider tells the one at a step."""
    draw = np.random.default_rng(0)

    def histogram(step):
        counts, edges = np.histogram(draw.normal(step, 1, 100), 16)
        return {"_type": "histogram", "values": counts.tolist(), "bins": edges.tolist()}

    made(
        server, "watched", [(step, {f"gradients/{i:03}": histogram(step) for i in range(300)}) for step in range(3)]
    )  # fmt: skip
    opened(browser, server, "watched", "#histograms")

    browser.wait(f"{card('gradients/000')}?.querySelector('.heatmaplayer image')")
    browser.wait(f"{card('gradients/000')}.querySelectorAll('rect').length > 10")
    assert "step 2" in browser.run(f"{card('gradients/000')}.innerText")
    assert browser.run("document.querySelectorAll('.js-plotly-plot').length") < 40
    slider = f"{card('gradients/000')}.querySelector('input')"
    browser.run(f"(slider => (slider.value = 0, slider.dispatchEvent(new Event('input'))))({slider})")
    assert "step 0" in browser.run(f"{card('gradients/000')}.innerText")
    browser.run(f"{card('gradients/299')}.scrollIntoView()")

    browser.wait(f"{card('gradients/299')}.querySelector('.heatmaplayer image')")
    browser.wait(f"!{card('gradients/000')}.querySelector('.js-plotly-plot')")
