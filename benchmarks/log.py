"""What logging costs the training thread: the run store, CSV and event files, and the wandb client, in one run.

    python benchmarks/log.py [--calls 5000] [--rounds 5] [--out benchmarks/results/log.json]

Each round logs the same rows of three scalars to each logger, as often as asked for, once without a pause and once with
a millisecond of the thread's own work between the calls, as a training has. Counted is the time inside the call, per
scalar. Printed are medians over the rounds, with the smallest and the largest; then how long the last row took to be
in the store for another connection. Who is not installed takes no part: wandb, tensorboard, and Lightning's own
TensorBoardLogger, which is flushed after each row, as Lightning's trainer does.
"""

import argparse
import contextlib
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from machine import machine

SCALARS = ("loss", "accuracy", "rate")
WORK = 1e-3  # seconds of work between two calls
Log = Callable[[dict[str, float], int], None]


@contextlib.contextmanager
def to_the_store(folder: Path) -> Iterator[Log]:
    from fulgurite.loggers import TrackLogger

    logger = TrackLogger(folder, store=folder / "store", console=False)
    logger.experiment.open()
    time.sleep(1.0)  # what is found out about the machine is found out once
    yield logger.log_metrics
    logger.finalize("success")


@contextlib.contextmanager
def to_csv(folder: Path) -> Iterator[Log]:
    from fulgurite.loggers import CSVLogger

    logger = CSVLogger(folder)
    _ = logger.experiment
    yield logger.log_metrics
    logger.finalize("success")


@contextlib.contextmanager
def to_tensorboard(folder: Path) -> Iterator[Log]:
    from fulgurite.loggers import TensorBoardLogger

    logger = TensorBoardLogger(folder)
    _ = logger.experiment
    yield logger.log_metrics
    logger.finalize("success")


@contextlib.contextmanager
def to_lightnings_tensorboard(folder: Path) -> Iterator[Log]:
    from lightning.pytorch.loggers import TensorBoardLogger

    logger = TensorBoardLogger(folder)
    _ = logger.experiment

    def log(row: dict[str, float], step: int) -> None:
        logger.log_metrics(row, step)
        logger.save()

    yield log
    logger.finalize("success")


@contextlib.contextmanager
def to_summary_writer(folder: Path) -> Iterator[Log]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)

    def log(row: dict[str, float], step: int) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, step)

    yield log
    writer.close()


@contextlib.contextmanager
def to_wandb(folder: Path) -> Iterator[Log]:
    import wandb

    run = wandb.init(project="benchmark", mode="offline", dir=str(folder))
    yield lambda row, step: run.log(row, step=step)
    run.finish()


CONTESTANTS = {
    "store": to_the_store,
    "csv": to_csv,
    "tensorboard": to_tensorboard,
    "SummaryWriter": to_summary_writer,
    "Lightning's": to_lightnings_tensorboard,
    "wandb offline": to_wandb,
}


def microseconds_per_scalar(log: Log, calls: int, work: float) -> float:
    inside = 0.0
    for step in range(calls):
        row = dict.fromkeys(SCALARS, step / calls)
        started = time.perf_counter()
        log(row, step)
        inside += time.perf_counter() - started
        busy_until = time.perf_counter() + work
        while time.perf_counter() < busy_until:
            pass
    return 1e6 * inside / calls / len(SCALARS)


def seconds_until_durable() -> float:
    """From the call to the row in the store, as another connection sees it."""
    from fulgurite.track.store.store import Store
    from fulgurite.track.writer.run import RunWriter

    with tempfile.TemporaryDirectory() as folder:
        store, writer = Store(folder), RunWriter("benchmark", "one", store=folder, facts=False)
        writer.log({"loss": 1.0}, 0)
        writer.flush()
        run = store.runs.find(store.runs.project("benchmark"), "one")
        writer.log({"loss": 1.0}, 1)
        started = time.perf_counter()
        while store.history.keys(run.id)["loss"]["last"] != 1:
            time.sleep(0.005)
        waited = time.perf_counter() - started
        writer.finish()
        store.close()
        return waited


def measure(calls: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        names = list(CONTESTANTS)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for case, work in (("without a pause", 0.0), ("between work", WORK)):
                try:
                    with tempfile.TemporaryDirectory() as folder, CONTESTANTS[name](Path(folder)) as log:
                        cost = microseconds_per_scalar(log, calls if not work else min(calls, 2000), work)
                except ImportError:
                    continue
                found.setdefault(name, {}).setdefault(case, []).append(cost)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("WANDB_SILENT", "true")
    logging.getLogger("fulgurite").setLevel(logging.WARNING)
    print(machine())
    costs = measure(arguments.calls, arguments.rounds)
    for name, cases in costs.items():
        for case, values in cases.items():
            spread = f"({min(values):.2f}–{max(values):.2f})"
            print(f"{name:14} {case:16} {statistics.median(values):7.2f} µs per scalar {spread}")
    durable = [seconds_until_durable() for _ in range(arguments.rounds)]
    print(f"in the store after {statistics.median(durable):.2f} s ({min(durable):.2f}–{max(durable):.2f})")
    if arguments.out is not None:
        whole = {"machine": machine(), "argv": sys.argv[1:], "microseconds": costs, "durable": durable}
        arguments.out.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
