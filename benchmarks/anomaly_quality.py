"""How well anomalies are found: our detector, causal and offline, beside every baseline under one protocol.

    python benchmarks/anomaly_quality.py [FOLDER] [--seeds 3] [--series NAME ...] [--models window seed]
        [--shift-time 52w] [--title TEXT]

FOLDER holds CSVs and `windows.json` (file: list of [start, end]); without it the made-up series alone are judged. Three
questions are answered: how well the series in FOLDER are ranked and flagged; whether spikes, shifts and flat lines in
made-up series are found, and how many rows of a clean one are flagged; how much the score depends on the date, which
moving the time of all judged rows shows. By whole weeks only the date itself and holidays change, by 53d the day of the
week as well.

The folder beside the checkout holds the series that the settings were chosen on, and is named so: development series.
"""

import argparse
import json
import logging
import re
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.judge.chart import draw
from fulgurite.anomaly.judge.evaluate import Entry, evaluate, ours
from fulgurite.anomaly.labels import labels_of, read_windows
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.series import Series

ROOT = Path(__file__).resolve().parents[1]
USUAL = ROOT.parent / "shared" / "data" / "nab"
KINDS = ("spike", "shift", "flat")
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
DEVELOPMENT = "Development series: the settings were chosen on these files"
HOLIDAYS = {"without holidays": None, "holidays of US": "US"}
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def files(folder: Path, names: list[str]) -> dict[str, Series]:
    """The labelled series of a folder, those that are named or all."""
    paths = [path for path in sorted(folder.glob("*.csv")) if not names or path.stem in names]
    if missing := set(names) - {path.stem for path in paths}:
        sys.exit(f"{folder} has no {', '.join(sorted(missing))}.csv.")
    return {path.stem: labelled(path, folder / "windows.json") for path in paths}


def labelled(path: Path, windows: Path) -> Series:
    series = read(path)
    return replace(series, label=labels_of(series, read_windows(windows, path.name)))


def entries(models: list[str], **settings: Any) -> list[Entry]:
    names = {"window": "ours", "seed": "the document's"}
    pairs = {name: ours(names[name], model=name, trainer=QUIET, **settings) for name in models}
    return [entry for name, pair in pairs.items() for entry in pair[: None if name == "window" else 1]]


def made_up(models: list[str], seeds: list[int], rows: int) -> dict[str, Any]:
    """The mean VUS-PR for each kind of anomaly, and the flagged share of a series that goes on as it was."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        series = {f"{kind} {seed}": generate(rows=rows, kinds=(kind,), seed=seed) for seed in seeds}
        lines = evaluate(series, entries(models)).lines()
        found[kind] = {line.title: line.means["vus_pr"] for line in lines}
    clean = {f"clean {seed}": generate(rows=rows, kinds=(), seed=seed) for seed in seeds}
    lines = evaluate(clean, entries(models)).lines()
    found["clean, flagged"] = {line.title: line.means["flagged_share"] for line in lines}
    return found


def moved(series: dict[str, Series], models: list[str], by: np.timedelta64) -> dict[str, dict[str, float]]:
    """By which share the mean score changes if all judged rows lie ``by`` later, for each detector and file.

    Scores are taken as they are: measured by their own past they have a mean near zero. Looking ahead is a matter of
    that past, so that the causal detectors are enough.
    """
    changes: dict[str, dict[str, float]] = {}
    for told, holidays in HOLIDAYS.items():
        for entry in entries(models, normalise=False, options={"holidays": holidays}):
            if entry.causal:
                found = {name: change(entry, whole, by) for name, whole in series.items()}
                changes[f"{entry.name}, {told}"] = found
    return changes


def change(entry: Entry, series: Series, by: np.timedelta64) -> float:
    half = len(series) // 2
    detector = entry.make(0)
    detector.fit(series.rows(0, half))
    here, there = (
        np.nanmean(detector.judge(rows, follows=True).score)
        for rows in (series.rows(half), later(series.rows(half), by))
    )
    return round(float(abs(there - here) / abs(here)), 6)


def later(series: Series, by: np.timedelta64) -> Series:
    assert series.clock is not None
    return replace(series, time=series.time + by, clock=series.clock + by)


def duration(text: str) -> np.timedelta64:
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 52w or 36h.")
    return np.timedelta64(int(found[1]) * UNITS[found[2]] * 1_000_000, "us")


def usual_title(folder: Path) -> str:
    return DEVELOPMENT if folder.resolve() == USUAL.resolve() else folder.resolve().name


def show_made_up(found: dict[str, Any]) -> None:
    titles = list(found["clean, flagged"])
    titles.sort(key=lambda title: -min(found[kind][title] or 0 for kind in KINDS))
    width = max(map(len, titles))
    print(
        f"\nMade-up series: VUS-PR for each kind of anomaly\n\n{'':{width}}"
        + "".join(f"{kind:>9}" for kind in KINDS)
        + "   clean, flagged"
    )
    for title in titles:
        volumes = "".join(f"{found[kind][title]:9.3f}" for kind in KINDS)
        print(f"{title:{width}}{volumes}{100 * found['clean, flagged'][title]:15.2f} %")


def show_moved(changes: dict[str, dict[str, float]], by: np.timedelta64) -> None:
    for name, change in changes.items():
        told = ", ".join(f"{file} {100 * share:.1f} %" for file, share in change.items())
        print(f"\n{name}: all judged rows {by.astype('timedelta64[D]')} later change the mean score by: {told}")


def compact(results: dict[str, Any]) -> str:
    """As JSON with six digits behind the point, and a line for each innermost record."""
    rounded = json.loads(json.dumps(results), parse_float=lambda text: round(float(text), 6))
    text = json.dumps(rounded, indent=1)
    return re.sub(r"[{\[][^{}\[\]]*[}\]]", lambda record: " ".join(record[0].split()), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=USUAL if USUAL.is_dir() else None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--series", nargs="*", default=[], help="names of files without their ending; all by default")
    parser.add_argument(
        "--models", nargs="*", default=["window"], choices=("window", "seed"), help="none: baselines alone"
    )
    parser.add_argument("--split", default="50%", help="where the rows to learn from end: a share or a time")
    parser.add_argument("--rows", type=int, default=4_000, help="of each made-up series; 0 for none")
    parser.add_argument(
        "--shift-time", type=duration, help="such as 52w or 53d: judge the rows that much later as well"
    )
    parser.add_argument("--title", help="what FOLDER is; stands above the table and below the picture")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "anomaly_quality.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "img" / "anomaly-quality.png")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    seeds, began = list(range(arguments.seeds)), time.perf_counter()
    results: dict[str, Any] = {}
    if arguments.folder:
        series = files(arguments.folder, arguments.series)
        evaluation = evaluate(series, entries(arguments.models), arguments.split, seeds)
        title = arguments.title or usual_title(arguments.folder)
        print(f"{title}\n\n{evaluation.table()}")
        results["title"], results["series"] = title, evaluation.to_dict()
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        draw(evaluation, arguments.picture, title)
        if arguments.shift_time is not None:
            changes = moved(series, arguments.models, arguments.shift_time)
            results["moved"] = {"days": arguments.shift_time / np.timedelta64(1, "D"), **changes}
            show_moved(changes, arguments.shift_time)
    if arguments.rows:
        results["made_up"] = made_up(arguments.models, seeds, arguments.rows)
        show_made_up(results["made_up"])
    results["seconds"] = round(time.perf_counter() - began)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(compact(results) + "\n")


if __name__ == "__main__":
    main()
