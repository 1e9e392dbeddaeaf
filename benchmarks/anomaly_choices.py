"""What each choice in the window model and in the past of its score is worth: the same series, one choice changed.

    python benchmarks/anomaly_choices.py [FOLDER] [--seeds 2]

The network is trained once for each series and seed; the terms of its windows are then weighed anew for every line.
Printed is the mean VUS-PR over the series of FOLDER (CSVs and `windows.json`) and over made-up ones, causal except for
the lines that say offline, and the share of rows above the threshold.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from anomaly_quality import QUIET, ROOT, USUAL, files
from tqdm import tqdm

from fulgurite.anomaly.generator import KINDS, generate
from fulgurite.anomaly.hindsight import LEAD
from fulgurite.anomaly.judge.vus import vus, window_length
from fulgurite.anomaly.kinds import WINDOW
from fulgurite.anomaly.past import MOST, Past
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.surroundings import WIDTHS
from fulgurite.anomaly.terms import LATENT, SMALLEST_SCALE, WEIGHTS
from fulgurite.anomaly.threshold import Threshold
from fulgurite.anomaly.window import WindowModel

Compress = Callable[[np.ndarray], np.ndarray]
NAMES = (*WEIGHTS, "latent")
LEVEL = Threshold.parse(WINDOW.threshold).number
OURS = {**WEIGHTS, "latent": LATENT}
TABLE = ("named", "spike", "shift", "flat", "calendar", "clean")


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

    def measured(self, places: Sequence[int]) -> np.ndarray:
        """Scores of the test rows by the windows of the widths at ``places``, as far as there are such."""
        there = [place for place in places if place < self.test.shape[1]] or [0]
        scales = np.maximum(np.quantile(self.calibration[:, there], 0.99, axis=0), SMALLEST_SCALE)
        past = Past(offline=True, lead=LEAD)
        past.update(np.log1p(self.calibration[:, there] / scales).sum(axis=1))
        test = np.log1p(self.test[:, there] / scales).sum(axis=1)
        return past.update(np.where(self.whole, test, np.nan))[self.whole]


def case(group: str, series: Series, seed: int) -> Case:
    half = len(series) // 2
    cut = int(half * 0.8)
    model, memory = WindowModel(seed=seed), {}
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


def judged(
    cases: list[Case],
    weights: dict[str, float],
    past: dict,
    quantile: float = 0.99,
    compress: Compress = np.log1p,
    widths: Sequence[int] = (),
    top: float = MOST,
) -> dict[str, float]:
    """Mean VUS-PR for each group that has anomalies, and mean flagged shares.

    With ``widths``, places among those of the surroundings, these rank, and rows' own scores above ``top`` come on top.
    """
    found: dict[str, list[float]] = {}
    weighed = np.array([weights[name] for name in NAMES])
    for each in cases:
        scales = np.maximum(np.quantile(each.calibration, quantile, axis=0), SMALLEST_SCALE)
        lead = each.window // 4 if past.get("offline") else 0
        measured = Past(**{"lead": lead, **past})
        measured.update(compress(each.calibration / scales) @ weighed)
        score, own = measured.measure(compress(each.test / scales) @ weighed)
        if widths:
            score = each.around.measured(widths) + np.where(own > top, own, 0)
        if each.labels.any():
            found.setdefault(each.group, []).append(vus(each.labels, score, each.tolerance)[0])
        found.setdefault(f"{each.group}, flagged", []).append(float((own > LEVEL).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def choices() -> dict[str, tuple]:
    """Name, weights, arguments of `Past`, and where they are others, quantile, compression, widths, top of a line."""
    lines = {"as it is": (OURS, {}, 0.99)}
    lines |= {f"without {name}": ({**OURS, name: 0.0}, {}, 0.99) for name in NAMES}
    lines |= {f"{name} alone": ({**dict.fromkeys(NAMES, 0.0), name: 1.0}, {}, 0.99) for name in NAMES}
    others = (("shape", 1.0), ("shape", 3.0), ("flat", 1.0), ("shift", 1.0), ("latent", 1.0))
    lines |= {f"weight of {name} {weight:g}": ({**OURS, name: weight}, {}, 0.99) for name, weight in others}
    lines |= {f"mean of {rows} rows": (OURS, {"rows": rows}, 0.99) for rows in (1, 5, 20)}
    lines |= {f"margin {margin:g}": (OURS, {"margin": margin}, 0.99) for margin in (1.0, 1.5, 3.0, 99.0)}
    lines |= {f"fades in {hold:g} rows": (OURS, {"hold": hold}, 0.99) for hold in (0.01, 16.0, 32.0, 64.0)}
    lines |= {f"scale: quantile {quantile:g}": (OURS, {}, quantile) for quantile in (0.5, 0.9, 0.999)}
    lines |= {"not compressed": (OURS, {}, 0.99, lambda terms: terms), "square root": (OURS, {}, 0.99, np.sqrt)}
    return lines | offline()


def offline() -> dict[str, tuple]:
    usual = (OURS, {}, 0.99, np.log1p)
    widths = {"1": (0,), "2": (1,), "4": (2,), "1, 2": (0, 1), "2, 4": (1, 2)}
    lines = {"offline": (*usual, range(len(WIDTHS)))}
    lines |= {f"offline, widths {told}": (*usual, places) for told, places in widths.items()}
    lines |= {f"offline, own above {top:g}": (*usual, range(len(WIDTHS)), top) for top in (0.0, 2.0, 4.0, np.inf)}
    return lines | {"offline, means alone": (OURS, {"offline": True}, 0.99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=USUAL)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    rows = [("named", series) for series in files(options.folder, []).values()] if options.folder.is_dir() else []
    for seed in range(2):
        rows += [(kind, generate(kinds=(kind,), seed=seed)) for kind in KINDS if kind != "missing"]
        rows.append(("clean", generate(kinds=(), seed=seed)))
    cases = [
        case(group, series, seed) for group, series in tqdm(rows, file=sys.stderr) for seed in range(options.seeds)
    ]
    results = {name: judged(cases, *line) for name, line in choices().items()}
    print(f"{'':22}" + "".join(f"{column:>10}" for column in (*TABLE[:-1], "flagged", "clean")))
    for name, found in results.items():
        cells = [found.get(column, float("nan")) for column in TABLE[:-1]]
        shares = [100 * found.get(f"{group}, flagged", float("nan")) for group in ("named", "clean")]
        print(
            f"{name:22}" + "".join(f"{cell:10.3f}" for cell in cells) + "".join(f"{share:8.2f} %" for share in shares)
        )
    path = ROOT / "benchmarks" / "results" / "anomaly_choices.json"
    path.write_text(json.dumps({"seeds": options.seeds, "series": len(rows), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
