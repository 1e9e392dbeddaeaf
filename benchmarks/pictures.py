"""The pictures of the dashboard in README and docs: made-up runs in a store of their own, seen by headless Chromium.

python benchmarks/pictures.py [--out docs/img]
"""

import argparse
import math
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fulgurite.track.store.runs import Project
from fulgurite.track.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.browser import chromium  # noqa: E402
from support.track_server import served  # noqa: E402

PROJECT = "/local/digits"
# What each picture is of: its address, what is waited for, and whether the theme is dark.
PICTURES = {
    "dashboard-charts": (f"{PROJECT}?smooth=0.9", "document.querySelectorAll('.js-plotly-plot').length >= 4", False),
    "dashboard-table": (
        f"{PROJECT}/table?sort=summary.val%2Floss",
        "document.querySelectorAll('tbody tr').length > 10",
        True,
    ),
    "dashboard-hyperparameters": (
        f"{PROJECT}/hyperparameters",
        "document.querySelectorAll('.js-plotly-plot').length >= 2",
        False,
    ),
}


def fill(store: Store, runs: int = 24, steps: int = 2_000) -> None:
    """Runs whose loss depends on learning rate and optimizer, as such losses do."""
    project, chance = store.runs.project("digits", create=True), random.Random(0)
    store.runs.describe_project(project, "Made-up runs of a small network, for a picture.")
    for i in range(runs):
        add(store, project, i, chance, steps)


def add(store: Store, project: Project, i: int, chance: random.Random, steps: int) -> None:
    rate, optimizer = 10 ** chance.uniform(-4, -1), chance.choice(["adam", "sgd", "adamw"])
    config = {
        "lr": rate,
        "optimizer": optimizer,
        "layers": chance.choice([2, 4]),
        "dropout": chance.choice([0, 0.1, 0.3]),
    }
    name = f"{chance.choice(['brisk', 'calm', 'solar', 'amber'])}-{chance.choice(['fox', 'river', 'stone'])}-{i}"
    tags = chance.sample(["baseline", "paper", "long"], k=chance.choice([0, 1, 1, 2]))
    hours = 1.3 * (24 - i)
    begun = time.time() - 3_600 * hours - 900
    known = {"display_name": name, "config": config, "tags": tags}
    run, _ = store.runs.open(project, f"run{i:02}", created_at=begun, **known)
    step = np.arange(steps)
    level = 0.1 + 0.3 * abs(math.log10(rate) + 2.5) + 0.2 * (optimizer == "sgd")
    loss = (level + 2 * np.exp(-step / 300) + np.random.default_rng(i).normal(0, 0.08, steps)).tolist()
    rows = [
        (int(k), {"train/loss": loss[k], "train/accuracy": 1 - loss[k] / 4, "optim/lr": rate * (1 - int(k) / steps)})
        for k in step
    ]
    for _, row in rows[49::50]:
        row.update({"val/loss": row["train/loss"] + 0.1, "val/accuracy": row["train/accuracy"] - 0.03})
    store.history.append(run.id, rows)
    store.runs.update(run, summary=rows[-1][1])
    if hours > 3:
        ended = store.end(store.runs.by_id(run.id), int(i % 9 == 4))
        store.runs.update(ended, ended_at=begun + 900 + chance.uniform(-200, 200))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        data, profile = Path(folder, "data"), Path(folder, "browser")
        data.mkdir()
        profile.mkdir()
        with served(data) as server, chromium(profile) as browser:
            fill(server.store)
            for name, (address, there, dark) in PICTURES.items():
                browser.size(1360, 800, dark=dark)
                browser.open(server.url + address)
                browser.wait(there, 60)
                time.sleep(4)  # lines are drawn, and the forest has voted
                browser.picture(out / f"{name}.png")
                print(out / f"{name}.png")
            browser.open("about:blank")


if __name__ == "__main__":
    main()
