r"""What the document's model finds on a series whose failures are known, and why: the figures of its page in `docs/`.

    python benchmarks/documents_model.py machine_temperature_system_failure.csv windows.json \
        [--seeds 5] [--split 0.7] [--epochs 60] [--out benchmarks/results/documents_model.json]

The model learns from the first rows without labels and scores the rest. Its two variants differ only in the calendar's
columns of numbers: the published analysis used three, the document's text one. Simple scores of the same rows stand
beside it.
"""

import argparse
import json
import logging
import statistics
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fulgurite.anomaly.judge.baselines import random_score, row_number, seasonal_profile, z_score
from fulgurite.anomaly.judge.vus import vus, window_length
from fulgurite.anomaly.labels import labels_of, read_windows
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.seed import SeedModel
from fulgurite.anomaly.series import Series

VARIANTS = {"published": ("hour_min", "gap_holiday", "t"), "document": ("t",)}
BASELINES = (random_score, row_number, z_score, seasonal_profile)
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def judged(model: SeedModel, train: Series, test: Series, window: int) -> dict[str, Any]:
    """The figures of one trained model; ``window`` is the tolerance of VUS-PR in rows."""
    own, scored = model.score(train, {}).raw, model.score(test, {})
    raw, value_part = scored.raw, scored.parts[:, 0]
    flagged = raw > np.quantile(raw, 0.999)
    year = np.timedelta64(52, "W")
    later = model.score(replace(test, time=test.time + year, clock=test.clock + year), {}).raw
    return {
        "test_loss": model.test(test),
        "training_loss": own.mean(),
        "flagged": int(flagged.sum()),
        "flagged_inside_a_window": int(test.label[flagged].sum()),
        "first_flagged": str(test.clock[flagged][0]),
        "last_flagged": str(test.clock[flagged][-1]),
        "above_training_quantile_0.99": (raw > np.quantile(own, 0.99)).mean(),
        "above_training_quantile_0.999": (raw > np.quantile(own, 0.999)).mean(),
        "vus_pr": vus(test.label, raw, window)[0],
        "vus_pr_of_the_values_part": vus(test.label, value_part, window)[0],
        "score_52_weeks_later": later.mean() / raw.mean(),
        **{f"part_{name}": part for name, part in zip(model.part_names, scored.parts.mean(axis=0), strict=True)},
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each number the median, the smallest and the largest; of words those of the first run."""
    found: dict[str, Any] = {}
    for name, value in runs[0].items():
        values = [float(run[name]) for run in runs if not isinstance(value, str)]
        found[name] = {
            "median": round(statistics.median(values), 5), "min": round(min(values), 5), "max": round(max(values), 5)
        } if values else value  # fmt: skip
    return found


def compared(series: Series, cut: int, window: int) -> dict[str, float]:
    """VUS-PR of the simple scores on the rows after ``cut``."""
    label = series.label[cut:]  # type: ignore[index]
    return {score.__name__: round(vus(label, score(series, cut, 0)[cut:], window)[0], 4) for score in BASELINES}


def measure(series: Series, split: float, epochs: int, seeds: Iterable[int]) -> dict[str, Any]:
    cut = int(len(series) * split)
    train, test, window = series.rows(0, cut), series.rows(cut), window_length(series.value)
    variants = {}
    for name, calendar in VARIANTS.items():
        runs = []
        for seed in seeds:
            model = SeedModel(epochs=epochs, seed=seed, calendar=calendar)
            model.fit(train, QUIET)
            runs.append(judged(model, train, test, window))
            print(f"{name}, seed {seed}: {json.dumps(runs[-1], default=float)}", flush=True)
        variants[name] = summary(runs)
    rows = {"training_rows": len(train), "test_rows": len(test), "rows_in_windows": int(test.label.sum())}  # type: ignore[union-attr]
    return {**rows, "epochs": epochs, "seeds": list(seeds), "models": variants, "vus_pr": compared(series, cut, window)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a CSV with a column of times and one of numbers")
    parser.add_argument("windows", type=Path, help="a JSON with the windows of its failures")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--split", type=float, default=0.7)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("fulgurite").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    series = read(arguments.data)
    series = replace(series, label=labels_of(series, read_windows(arguments.windows, arguments.data)))
    results = measure(series, arguments.split, arguments.epochs, range(arguments.seeds))
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
