"""The document's own model, trained and then looked at in a real browser: from its project to a file that is saved."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from support.browser import chromium
from support.document_run import PROJECT
from support.track_server import clean_environment, served

ROOT = Path(__file__).resolve().parents[4]
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.slow,
]
PAGE = f"/local/{PROJECT}"
ROWS = "[...document.querySelectorAll('tbody tr[aria-selected]')]"
NAMES = f"{ROWS}.map((row) => row.querySelector('th a').innerText).join()"


@dataclass
class Told:
    """What the program itself said of a run."""

    flagged: list
    test_loss: float


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("document")


@pytest.fixture(scope="module")
def told(folder):
    """Both runs are trained, in a process of their own, into the store that is looked at then."""
    for needed in ("matplotlib", "PIL", "pandas"):
        pytest.importorskip(needed)
    environment = {**clean_environment(folder), "FULGURITE_DIR": str(folder / "data"), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, str(ROOT / "tests/support/document_run.py"), str(ROOT / "examples/seed")]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return [Told(**each) for each in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def server(folder, told):
    with served(folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory, server):
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        started.size(1280, 900)
        yield started
        started.open("about:blank")
        assert started.complaints == []


@pytest.fixture
def run(server):
    return server.run("seed1", PROJECT)


def test_the_project_is_opened(browser, server):
    """From all projects to this one: the charts of both runs lie over each other."""
    browser.open(server.url)
    browser.wait(f"document.querySelector('main a[href=\"{PAGE}\"]')")
    browser.run(f"document.querySelector('main a[href=\"{PAGE}\"]').click()")

    browser.wait(_drawn("total_loss", 2))
    assert all(name in browser.text() for name in ("seed 0", "seed 1", "recon_loss", "kld", "test_loss"))


def test_charts_show_what_the_store_has(browser, server, run):
    """Every loss of the run, point by point, and the test loss as the program printed it."""
    browser.open(f"{server.url}{PAGE}/runs/seed1")

    for key in ("total_loss", "recon_loss", "kld", "test_loss", "epoch"):
        kept = server.store.history.read(run.id, key)
        browser.wait(f"document.querySelector('[data-key={key}]')")
        browser.run(f"document.querySelector('[data-key={key}]').scrollIntoView()")
        browser.wait(_drawn(key, 1))
        x, y = browser.run(f"(({{ x, y }}) => [[...x], [...y]])({_plot(key)}.data.at(-1))")
        assert x == kept.steps.tolist() and len(x) > 0, key
        assert y == pytest.approx(kept.values(), rel=1e-9), key


def test_the_test_loss_is_the_one_that_was_printed(run, told):
    assert run.summary["test_loss"] == pytest.approx(told[1].test_loss, rel=1e-5)


def test_a_picture_and_a_table_are_seen(browser, server, told):
    browser.open(f"{server.url}{PAGE}/runs/seed1#media")

    browser.wait("[...document.querySelectorAll('main img')].some((each) => each.naturalWidth == 1200)")
    assert "what is strange" in browser.text()
    browser.wait("document.querySelectorAll('main table tbody tr').length > 0")
    cells = browser.run(
        "[...document.querySelectorAll('main table tbody tr')].map((row) =>"
        " [...row.querySelectorAll('td')].map((cell) => cell.innerText).slice(-3))"
    )
    assert [(time, float(target)) for time, target, _ in cells] == [
        (time, target) for time, target, _ in told[1].flagged
    ]
    assert [float(score) for *_, score in cells] == pytest.approx([score for *_, score in told[1].flagged], rel=1e-4)


def test_a_histogram_is_seen(browser, server, run):
    """Its counts are those of the scores of all test rows."""
    browser.open(f"{server.url}{PAGE}/runs/seed1#histograms")
    browser.wait("document.querySelector('.js-plotly-plot')")

    counts = server.store.history.read(run.id, "scores").values()[-1]["values"]
    assert sum(counts) == 634
    drawn = browser.run("[...document.querySelector('.js-plotly-plot').data[0].z].flat().map((each) => each ?? 0)")
    assert sum(drawn) == pytest.approx(634, rel=1e-6)
    assert "scores" in browser.text()


def test_a_checkpoint_is_downloaded(browser, server, folder):
    """What is saved is the file that the training wrote, and loads."""
    browser.open(f"{server.url}{PAGE}/runs/seed1?file=checkpoints%2Fvae_weights.ckpt#files")
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder / "saved"))
    link = "[...document.querySelectorAll('.preview a')].find((each) => each.innerText == 'Download')"
    browser.wait(link)

    browser.run(f"{link}.click()")

    saved = folder / "saved" / "vae_weights.ckpt"
    deadline = time.monotonic() + 20
    while not saved.exists():
        assert time.monotonic() < deadline, list((folder / "saved").glob("*"))
        time.sleep(0.1)
    assert saved.read_bytes() == (folder / "out1" / "model_checkpoints" / "vae_weights.ckpt").read_bytes()
    assert torch.load(saved, weights_only=True)["epoch"] == 4


def test_a_run_is_filtered_tagged_and_the_page_keeps_its_state(browser, server):
    """The filter is in the address: it stands after a reload; the tag is in the store."""
    browser.open(f"{server.url}{PAGE}/table?column=config.epochs&column=tags&sort=config.epochs")
    browser.wait(f"{NAMES} == 'seed 0,seed 1'")
    browser.open(f"{server.url}{PAGE}/table?column=config.epochs&column=tags&filter=config.epochs%3E4")
    browser.wait(f"{NAMES} == 'seed 1'")

    browser.run(f"{ROWS}[0].querySelector('[data-column=tags] [data-act=edit]').click()")
    field = "document.querySelector(':popover-open input[placeholder]')"
    browser.wait(field)
    browser.run(f"(({field}).value = 'the one', ({field}).dispatchEvent(new Event('input')))")
    browser.wait("document.querySelector(':popover-open .add')")
    browser.run("document.querySelector(':popover-open .add').click()")
    browser.wait(f"{ROWS}[0].querySelector('[data-column=tags]').innerText.includes('the one')")
    assert server.run("seed1", PROJECT).tags == ["the one"]
    assert server.run("seed0", PROJECT).tags == []

    browser.call("Page.reload")
    browser.wait(f"{NAMES} == 'seed 1' && {ROWS}[0].innerText.includes('the one')")


def test_two_runs_are_compared(browser, server):
    """What differs between them is told, and nothing else."""
    browser.open(f"{server.url}{PAGE}/compare?run=seed0&run=seed1")
    browser.wait("document.querySelectorAll('.compared').length >= 2")

    lines = "[...document.querySelectorAll('.compared tbody tr')]"
    rows = browser.run(f"{lines}.map((row) => [...row.children].map((cell) => cell.innerText))")
    found = {name: values for name, *values in rows}
    assert found["epochs"] == ["4", "5"]
    assert {"test_loss", "total_loss", "run", "data_folder_path"} <= found.keys()
    assert not {"lr", "latent_dim", "batch_size"} & found.keys()


def _plot(key):
    return f"document.querySelector('[data-key=\"{key}\"] .js-plotly-plot')"


def _drawn(key, lines):
    """That the chart of a key has so many lines."""
    return f"{_plot(key)}?.data.filter((each) => each.mode?.includes('lines') && each.line.width > 0).length == {lines}"
