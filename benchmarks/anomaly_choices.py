"""What each choice in the window model and in the past of its score is worth: the same series, one choice changed.

    python benchmarks/anomaly_choices.py [FOLDER [MORE]] [--seeds 2]

The network is trained once for each series and seed, and once more where windows have the logarithms of their tails;
the terms of its windows are then weighed anew for every line. Printed is the mean VUS-PR over the series of FOLDER and
over those of MORE (CSVs and `windows.json`) and over made-up ones, causal except for the lines that say offline, and
the share of rows above the threshold.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from anomaly_quality import QUIET, ROOT, USUAL, files
from tqdm import tqdm

from fulgurite.anomaly.generator import KINDS, generate
from fulgurite.anomaly.hindsight import LEAD
from fulgurite.anomaly.judge.vus import vus, window_length
from fulgurite.anomaly.kinds import LONG, WINDOW
from fulgurite.anomaly.lasting import Lasting
from fulgurite.anomaly.past import Past
from fulgurite.anomaly.ranking import HIGH, TIMES
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.surroundings import WIDTHS
from fulgurite.anomaly.terms import LATENT, SMALLEST_SCALE, WEIGHTS
from fulgurite.anomaly.threshold import Threshold
from fulgurite.anomaly.window import WindowModel

Compress = Callable[[np.ndarray], np.ndarray]
NAMES = (*WEIGHTS, "latent")
LEVEL = Threshold.parse(WINDOW.threshold).number
OURS = {**WEIGHTS, "latent": LATENT}
TABLE = ("named", "more", "spike", "shift", "flat", "calendar", "clean")


@dataclass
class Case:
    """The terms of a series' calibration and test rows, and what is needed to judge their sums."""

    group: str
    window: int
    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    tolerance: int
    around: "Around"


@dataclass
class Around:
    """The distances (n, widths) of what is around a series' calibration and test rows, and which of these count."""

    calibration: np.ndarray
    test: np.ndarray
    whole: np.ndarray

    def measured(self, places: Sequence[int], one_past: bool = False) -> np.ndarray:
        """Scores of the test rows by the windows of the widths at ``places``, as far as there are such.

        With ``one_past`` it measures the sum of them, in place of one for each.
        """
        there = [place for place in places if place < self.test.shape[1]] or [0]
        scales = np.maximum(np.quantile(self.calibration[:, there], 0.99, axis=0), SMALLEST_SCALE)
        known, test = (np.log1p(rows[:, there] / scales) for rows in (self.calibration, self.test))
        if one_past:
            known, test = known.sum(axis=1, keepdims=True), test.sum(axis=1, keepdims=True)
        scores = [self._by_past(*pair) for pair in zip(known.T, test.T, strict=True)]
        return np.sqrt(np.mean(np.square(scores), axis=0))

    def _by_past(self, known: np.ndarray, test: np.ndarray) -> np.ndarray:
        past = Past(offline=True, lead=LEAD)
        past.update(known)
        return past.update(np.where(self.whole, test, np.nan))[self.whole]


@dataclass
class Line:
    """One choice that is another: ``past`` are arguments of `Past`.

    ``ranks`` says what ranks rows beside their own scores above ``high``, which count ``times`` as often: "shape" (the
    windows' shapes), "sum" (all terms, fading) or "around" (the surroundings, of the ``widths`` at these places).
    ``lasting`` is in windows.
    """

    weights: dict[str, float] = field(default_factory=lambda: dict(OURS))
    past: dict = field(default_factory=dict)
    quantile: float = 0.99
    compress: Compress = np.log1p
    ranks: str = "shape"
    high: float = HIGH
    times: float = TIMES
    widths: Sequence[int] = range(len(WIDTHS))
    one_past: bool = False
    lasting: int = LONG
    unfolds: bool = True


def case(group: str, series: Series, seed: int, unfolds: bool) -> Case:
    half = len(series) // 2
    cut = int(half * 0.8)
    model, memory = WindowModel(seed=seed), {}
    model._build = partial(model._build, unfolds=unfolds)  # no setting of the model: files alone have it
    model.fit(series.rows(0, cut), QUIET)
    model.score(series.rows(0, cut), memory)
    whole = np.isfinite(series.value)
    calibration = model.raw_terms(series.rows(cut, half), memory)[whole[cut:half]]
    test = model.raw_terms(series.rows(half), memory)[whole[half:]]
    around = around_of(model, series, cut, half)
    labels = series.label[half:][whole[half:]]
    return Case(group, model.window, calibration, test, labels, window_length(series.value), around)


def around_of(model: WindowModel, series: Series, cut: int, half: int) -> Around:
    surroundings, memory = model.surroundings(series.rows(0, cut)), {}
    surroundings.distances(series.rows(0, cut), memory)
    whole = np.isfinite(series.value)
    calibration = surroundings.distances(series.rows(cut, half), memory)[whole[cut:half], :, 0]
    test = surroundings.centred(surroundings.distances(series.rows(half), memory))[:, :, 0]
    return Around(calibration, test, whole[half:])


def judged(cases: dict[bool, list[Case]], line: Line) -> dict[str, float]:
    """Mean VUS-PR for each group that has anomalies, and mean flagged shares."""
    found: dict[str, list[float]] = {}
    for each in cases[line.unfolds]:
        score, own = scored(each, line)
        if each.labels.any():
            found.setdefault(each.group, []).append(vus(each.labels, score, each.tolerance)[0])
        news = Lasting(line.lasting * each.window).update(own)
        found.setdefault(f"{each.group}, flagged", []).append(float((news > LEVEL).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def scored(each: Case, line: Line) -> tuple[np.ndarray, np.ndarray]:
    """The scores of a case's test rows, and their own ones."""
    scales = np.maximum(np.quantile(each.calibration, line.quantile, axis=0), SMALLEST_SCALE)
    known, test = (line.compress(terms / scales) for terms in (each.calibration, each.test))
    weights = np.array([line.weights[name] for name in NAMES])
    past = Past(**{"lead": each.window // 4 if line.past.get("offline") else 0, **line.past})
    past.update(known @ weights)
    score, own = past.measure(test @ weights)
    if line.ranks == "sum":
        return score, own
    if line.ranks == "around":
        around = each.around.measured(line.widths, line.one_past)
    else:
        windows = Past(**line.past)
        windows.update(known[:, NAMES.index("shape")])
        around = windows.update(test[:, NAMES.index("shape")])
    return np.maximum(np.where(own > line.high, own, 0), around / line.times), own


def choices() -> dict[str, Line]:
    """What each line is called, and what is another in it."""
    lines = {"as it is": Line()}
    lines |= {f"without {name}": Line({**OURS, name: 0.0}) for name in NAMES}
    others = (("shape", 1.0), ("shape", 3.0), ("flat", 1.0), ("shift", 1.0), ("latent", 1.0))
    lines |= {f"weight of {name} {weight:g}": Line({**OURS, name: weight}) for name, weight in others}
    lines |= {f"mean of {rows} rows": Line(past={"rows": rows}) for rows in (1, 5, 20)}
    lines |= {f"margin {margin:g}": Line(past={"margin": margin}) for margin in (1.0, 3.0, 99.0)}
    lines |= {f"fades in {hold:g} rows": Line(past={"hold": hold}) for hold in (0.01, 24.0, 96.0)}
    lines |= {f"scale: quantile {quantile:g}": Line(quantile=quantile) for quantile in (0.5, 0.9, 0.999)}
    lines |= {"not compressed": Line(compress=lambda terms: terms), "square root": Line(compress=np.sqrt)}
    lines |= {f"own above {high:g}": Line(high=high) for high in (0.0, 1.0, 2.0, 2.5, 3.0, np.inf)}
    lines |= {f"own {times:g} times": Line(times=times) for times in (1.0, 2.0, 5.0)}
    lines |= {"ranked by the sum": Line(ranks="sum"), "a lasting change flags on": Line(lasting=0)}
    lines |= {f"lasting: {windows} windows": Line(lasting=windows) for windows in (2, 8)}
    alone = {name: {**dict.fromkeys(NAMES, 0.0), name: 1.0} for name in NAMES}
    lines |= {f"sum of {name} alone": Line(weights, ranks="sum") for name, weights in alone.items()}
    lines |= {"tails by their logarithms": Line(unfolds=False), "the same, own above 2": Line(unfolds=False, high=2.0)}
    return lines | offline()


def offline() -> dict[str, Line]:
    widths = {"1": (0,), "2": (1,), "4": (2,), "1, 2": (0, 1), "2, 4": (1, 2)}
    lines = {"offline": Line(ranks="around")}
    lines |= {f"offline, widths {told}": Line(ranks="around", widths=places) for told, places in widths.items()}
    lines |= {f"offline, own above {high:g}": Line(ranks="around", high=high) for high in (0.0, 1.0, 3.0, np.inf)}
    lines |= {"offline, one past": Line(ranks="around", one_past=True)}
    lines |= {"offline, tails by their logarithms": Line(ranks="around", unfolds=False)}
    return lines | {"offline, means alone": Line(past={"offline": True}, ranks="sum")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=USUAL)
    parser.add_argument("more", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    rows = [("named", series) for series in files(options.folder, []).values()] if options.folder.is_dir() else []
    if options.more is not None:
        rows += [("more", series) for series in files(options.more, []).values()]
    for seed in range(2):
        rows += [(kind, generate(kinds=(kind,), seed=seed)) for kind in KINDS if kind != "missing"]
        rows.append(("clean", generate(kinds=(), seed=seed)))
    cases: dict[bool, list[Case]] = {True: [], False: []}
    for group, series in tqdm(rows, file=sys.stderr):
        for seed in range(options.seeds):
            for unfolds, found in cases.items():
                found.append(case(group, series, seed, unfolds))
    results = {name: judged(cases, line) for name, line in choices().items()}
    print(f"{'':36}" + "".join(f"{column:>10}" for column in (*TABLE[:-1], "flagged", "clean")))
    for name, found in results.items():
        cells = [found.get(column, float("nan")) for column in TABLE[:-1]]
        shares = [100 * found.get(f"{group}, flagged", float("nan")) for group in ("named", "clean")]
        print(
            f"{name:36}" + "".join(f"{cell:10.3f}" for cell in cells) + "".join(f"{share:8.2f} %" for share in shares)
        )
    path = ROOT / "benchmarks" / "results" / "anomaly_choices.json"
    path.write_text(json.dumps({"seeds": options.seeds, "series": len(rows), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
