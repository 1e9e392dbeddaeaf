"""What the run store takes in and how quickly it shows it, beside trackio, MLflow and TensorBoard, in one run.

    pip install -e ".[track,bench-track]"
    python benchmarks/ingest.py [--rounds 5] [--out benchmarks/results/ingest.json]

Everybody writes to one disk, in posts of 500 rows of three values:

- fulgurite: ``History.append``, which has each post on the disk (fsync) before it returns;
- trackio: ``SQLiteStorage.bulk_log``, the call behind its server's route, one for each post;
- MLflow: ``MlflowClient.log_batch`` with the SQLite backend, in the thousands that it allows, without its server;
- TensorBoard: ``SummaryWriter.add_scalar`` for each value, and ``flush`` at the end.

Contestants take turns that shift from round to round; given are medians with the smallest and largest, by the clock and
by the processor's time of this process alone (``cpu``), which a busy machine changes less. Peers get fewer points where
they need long: sizes stand beside the figures, and so does the machine's load. Charts have at most 2,000 stretches.
"""

import argparse
import contextlib
import importlib
import json
import logging
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from fulgurite.track.server.api.axes import View, line
from fulgurite.track.store.cells import FLOAT, Column
from fulgurite.track.store.store import Store

ROWS, KEYS = 500, ("loss", "accuracy", "lr")
BUCKETS = 2000
LONG = 10_000_000
PACE = 0.01  # seconds between two of its values
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
Post = list[tuple[int, dict[str, float]]]


def posts(count: int) -> list[Post]:
    """Posts of random values at rising steps."""
    values = random.Random(0)
    return [[(n * ROWS + i, {key: values.random() for key in KEYS}) for i in range(ROWS)] for n in range(count)]


def peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SystemExit(
            f"{name} is not installed: it is measured beside the store. Install it with: "
            'pip install -e ".[track,bench-track]"'
        ) from error


class Fulgurite:
    package, share = "fulgurite", 1.0  # share: of the posts that it gets

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "fulgurite")
        self.project = self.store.runs.project("bench", create=True)

    def take_in(self, name: str, sent: list[Post]) -> None:
        run, _ = self.store.runs.open(self.project, name)
        for post in sent:
            self.store.history.append(run.id, post)

    def count(self, name: str) -> int:
        run = self.store.runs.find(self.project, name)
        return sum(len(self.store.history.read(run.id, key)) for key in KEYS)

    def series(self, name: str) -> int:
        """Read one whole series as its page would, and say how many points were read."""
        return len(self.store.history.chart(self.store.runs.find(self.project, name).id, "loss", BUCKETS))


class Trackio:
    package, share = "trackio", 0.5

    def __init__(self, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder / "trackio")
        self.storage = peer("trackio.sqlite_storage").SQLiteStorage

    def take_in(self, name: str, sent: list[Post]) -> None:
        for post in sent:
            self.storage.bulk_log("bench", name, [row for _, row in post], steps=[step for step, _ in post])

    def count(self, name: str) -> int:
        return len(KEYS) * self.storage.get_log_count("bench", name)

    def series(self, name: str) -> int:
        return len(self.storage.get_logs("bench", name, max_points=BUCKETS))


class MLflow:
    package, share = "mlflow", 0.05

    def __init__(self, folder: Path) -> None:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["GIT_PYTHON_REFRESH"] = "quiet"
        (folder / "mlflow").mkdir(exist_ok=True)
        mlflow, self.metric = peer("mlflow"), peer("mlflow.entities").Metric
        self.client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
        self.runs: dict[str, str] = {}
        found = self.client.get_experiment_by_name("bench")
        self.experiment = found.experiment_id if found else self.client.create_experiment("bench")

    def run(self, name: str) -> str:
        if name not in self.runs:
            found = self.client.search_runs([self.experiment], f"attributes.run_name = '{name}'")
            run = found[0] if found else self.client.create_run(self.experiment, run_name=name)
            self.runs[name] = run.info.run_id
        return self.runs[name]

    def take_in(self, name: str, sent: list[Post]) -> None:
        run = self.run(name)
        for post in sent:
            metrics = [self.metric(key, value, 0, step) for step, row in post for key, value in row.items()]
            for start in range(0, len(metrics), 1000):
                self.client.log_batch(run, metrics[start : start + 1000])

    def count(self, name: str) -> int:
        return sum(len(self.client.get_metric_history(self.run(name), key)) for key in KEYS)

    def series(self, name: str) -> int:
        return len(self.client.get_metric_history(self.run(name), "loss"))


class TensorBoard:
    package, share = "tensorboard", 0.25

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self.writer = peer("torch.utils.tensorboard").SummaryWriter

    def take_in(self, name: str, sent: list[Post]) -> None:
        with self.writer(str(self.folder / name)) as writer:
            for post in sent:
                for step, row in post:
                    for key, value in row.items():
                        writer.add_scalar(key, value, step)

    def read(self, name: str, most: int) -> Any:
        module = peer("tensorboard.backend.event_processing.event_accumulator")
        events = module.EventAccumulator(str(self.folder / name), size_guidance={"scalars": most, "tensors": most})
        return events.Reload()

    def count(self, name: str) -> int:
        events = self.read(name, 0)
        return sum(len(events.Scalars(key)) for key in KEYS)

    def series(self, name: str) -> int:
        return len(self.read(name, BUCKETS).Scalars("loss"))  # a random sample of them


CONTESTANTS: dict[str, Any] = {each.package: each for each in (Fulgurite, Trackio, MLflow, TensorBoard)}


def spread(figures: list[float], digits: int = 0) -> dict[str, float]:
    found = {"median": statistics.median(figures), "min": min(figures), "max": max(figures)}
    return {name: round(figure, digits) for name, figure in found.items()}


def seconds(act: Callable[..., Any], *given: Any) -> tuple[float, float]:
    """How long it took, by the clock and by this process's use of the processor."""
    start, used = time.perf_counter(), time.process_time()
    act(*given)
    return time.perf_counter() - start, time.process_time() - used


def both(times: list[tuple[float, float]], digits: int, factor: float = 1.0) -> dict[str, Any]:
    clock, cpu = zip(*times, strict=True)
    return spread([factor * t for t in clock], digits) | {"cpu": round(factor * statistics.median(cpu), digits)}


def own_share(name: str, count: int) -> list[Post]:
    return posts(max(2, int(count * CONTESTANTS[name].share)))


def taken_in(contestants: dict[str, Any], count: int, rounds: int) -> dict[str, Any]:
    """Points a second that one process writes, by contestant."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for each in contestants.values():
        each.take_in("warm-up", posts(1))
    for number in range(rounds):
        names = list(times)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            sent, run = own_share(name, count), f"in-{number}"
            times[name].append(seconds(contestants[name].take_in, run, sent))
            assert contestants[name].count(run) == len(sent) * ROWS * len(KEYS), f"{name} lost points"
    results = {}
    for name, own in times.items():
        points = len(own_share(name, count)) * ROWS * len(KEYS)
        results[name] = {
            "points": points,
            "points_per_second": spread([points / clock for clock, _ in own]),
            "points_per_second_of_cpu": spread([points / cpu for _, cpu in own]),
        }
    return results


def at_once(names: list[str], folder: Path, count: int, processes: int) -> dict[str, Any]:
    """Points a second that many processes write together, each its own run; all of them must be there."""
    results = {}
    for name in names:
        sent = max(2, int(count * CONTESTANTS[name].share))
        command = [sys.executable, __file__, "--worker", name, str(folder), str(sent)]
        workers = [subprocess.Popen([*command, str(n)], text=True, **PIPES) for n in range(processes)]
        # One that fails before it begins counts as failed; peers say "locked" where too many come at once.
        begun = [worker for worker in workers if worker.stdout is not None and worker.stdout.readline() == "ready\n"]
        points = processes * sent * ROWS * len(KEYS)
        took, _ = seconds(release, begun)
        failed = sum(worker.wait() != 0 for worker in workers)
        rate = round(points / took) if not failed else None
        results[name] = {"processes": processes, "points": points, "failed": failed, "points_per_second": rate}
        if not failed:
            own = CONTESTANTS[name](folder)
            assert sum(own.count(f"at-once-{n}") for n in range(processes)) == points, f"{name} lost points"
    return results


def release(workers: list[subprocess.Popen[str]]) -> None:
    """Let all begin, and wait for all."""
    for worker in workers:
        assert worker.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write("go\n")
            worker.stdin.flush()
    for worker in workers:
        worker.communicate()


def work(name: str, folder: str, count: str, number: str) -> None:
    contestant, sent = CONTESTANTS[name](Path(folder)), posts(int(count))
    print("ready", flush=True)
    sys.stdin.readline()
    contestant.take_in(f"at-once-{number}", sent)


def charts(contestants: dict[str, Any], folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds for charts of a long series at several zooms, and for a peer's view of a series that it can bear."""
    own: Fulgurite = contestants["fulgurite"]
    run, _ = own.store.runs.open(own.project, "long")
    values = np.cumsum(np.random.default_rng(0).normal(size=LONG))
    took = []
    for start in range(0, LONG, 5000):
        steps = np.arange(start, start + 5000)
        part = {"loss": Column(steps, FLOAT, values[steps]), "_runtime": Column(steps, FLOAT, steps * PACE)}
        took.append(seconds(own.store.history.append_columns, run.id, part))
    result: dict[str, Any] = {"points": LONG, "written_in_s": [round(sum(each), 1) for each in zip(*took, strict=True)]}
    places = random.Random(1)
    for state in ("while it runs", "compacted"):
        zooms = {}
        for zoom in (1, 10, 100, 1000, 10_000):
            times = []
            for _ in range(rounds * 4):
                width = LONG // zoom
                low = places.randrange(LONG - width + 1)
                window = (run.id, "loss", BUCKETS, low, low + width - 1)
                times.append(seconds(own.store.history.chart, *window))
                chart = own.store.history.chart(*window)
                seen = values[low : low + width]
                assert len(chart) <= BUCKETS and (chart.low.min(), chart.high.max()) == (seen.min(), seen.max())
            zooms[f"1/{zoom}"] = both(times, 2, 1e3)
        result[f"ms, {state}"] = zooms
        own.store.history.compact(run.id)
    result["ms, over time"] = over_time(own, run.id, rounds)
    result["ms, opened anew"] = both([seconds(opened_anew, folder, "long")], 1, 1e3)
    result["whole series of"] = whole_series(contestants, rounds)
    return result


def over_time(own: Fulgurite, run: int, rounds: int) -> dict[str, Any]:
    """The same series with time as its axis, which is a series of its own."""
    zooms = {}
    for zoom in (1, 10, 100, 1000, 10_000):
        view = View("_runtime", BUCKETS, high=LONG * PACE / zoom)
        times = [seconds(line, own.store.history, run, "loss", view) for _ in range(rounds * 4)]
        zooms[f"1/{zoom}"] = both(times, 2, 1e3)
    return zooms


def opened_anew(folder: Path, name: str) -> int:
    return Fulgurite(folder).series(name)


def whole_series(contestants: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Everybody's way to look at all of a series: what comes back is a chart, a sample, or every point."""
    results = {}
    for name, each in contestants.items():
        sent = posts(200 if name != "mlflow" else 40)
        each.take_in("series", sent)
        times = [seconds(each.series, "series") for _ in range(rounds)]
        results[name] = {"points": len(sent) * ROWS, "given": each.series("series"), "ms": both(times, 1, 1e3)}
    return results


def project_of_many(contestants: dict[str, Any], folder: Path, runs: int, keys: int, rounds: int) -> dict[str, Any]:
    """Seconds from a closed store to the list of a project's runs with all their summaries."""
    own: Fulgurite = contestants["fulgurite"]
    project = own.store.runs.project("many", create=True)
    row = {f"group/metric_{i}": i / 7 for i in range(keys)}
    for number in range(runs):
        with own.store.database.writing():
            config = {f"setting_{i}": i for i in range(30)}
            run, _ = own.store.runs.open(project, f"run-{number}", summary=row, config=config)
            own.store.history.append(run.id, [(0, row)])

    def opened() -> None:
        store = Store(folder / "fulgurite")
        found = store.runs.all(store.runs.project("many"))
        assert sum(len(run.summary) for run in found) == runs * keys
        store.close()

    result = {"fulgurite": {"runs": runs, "keys": keys, "s": both([seconds(opened) for _ in range(rounds)], 3)}}
    if "mlflow" in contestants:
        result["mlflow"] = many_in_mlflow(contestants["mlflow"], max(2, runs // 10), row, rounds)
    return result


def many_in_mlflow(mlflow: MLflow, runs: int, row: dict[str, float], rounds: int) -> dict[str, Any]:
    experiment = mlflow.client.create_experiment("many")
    for _ in range(runs):
        run = mlflow.client.create_run(experiment)
        mlflow.client.log_batch(run.info.run_id, [mlflow.metric(key, value, 0, 0) for key, value in row.items()])

    def opened() -> None:
        found = mlflow.client.search_runs([experiment], max_results=runs)
        assert sum(len(run.data.metrics) for run in found) == runs * len(row)

    return {"runs": runs, "keys": len(row), "s": both([seconds(opened) for _ in range(rounds)], 3)}


def keeps(arguments: argparse.Namespace) -> bool:
    """Whether topics that are not measured now stay as they are."""
    return bool(arguments.topics and arguments.out is not None and arguments.out.exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--posts", type=int, default=200, help="of one round, for the quickest")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--topics", nargs="+", help="as in the results; all of them, if none is named")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--folder", type=Path, help="where to write: on the disk that is to be measured")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if arguments.worker:
        work(*arguments.worker)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        contestants = {each: CONTESTANTS[each](folder) for each in {"fulgurite": None, **dict.fromkeys(arguments.only)}}
        result: dict[str, Any] = json.loads(arguments.out.read_text()) if keeps(arguments) else {}
        result |= {
            "machine": machine() | {"numpy": np.__version__, "sqlite": sqlite3.sqlite_version},
            "versions": result.get("versions", {}) | {each: version(each) for each in contestants},
        }
        topics = {
            "taken in": lambda: taken_in(contestants, arguments.posts, arguments.rounds),
            "charts": lambda: charts(contestants, folder, arguments.rounds),
            "project of many runs": lambda: project_of_many(contestants, folder, 2000, 200, arguments.rounds),
            "processes at once": lambda: at_once(list(contestants), folder, arguments.posts // 4, arguments.processes),
        }
        for topic, measure in topics.items():
            if arguments.topics and topic not in arguments.topics:
                continue
            before = os.getloadavg()[0]
            result[topic] = measure() | {"load": [round(load, 1) for load in (before, os.getloadavg()[0])]}
            print(json.dumps({topic: result[topic]}, indent=2), flush=True)
            if arguments.out is not None:
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
