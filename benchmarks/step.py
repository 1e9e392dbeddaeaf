"""What a training step costs here, by hand, and in Lightning: one model, its data and optimizer, in one run.

    python benchmarks/step.py [--steps 2000] [--rounds 9] [--out benchmarks/results/step.json]

Each round runs every contestant once, in an order that turns from round to round; each figure is a ratio within
its round: the machine's speed may drift without changing it. Printed are medians over the rounds with their smallest
and largest. Lightning takes part where it is installed: ``pip install -e ".[bench]"``.

The hand-written loop computes, steps and nothing else: no logging and no bar, also where the others log and draw.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from machine import machine
from torch.nn.functional import mse_loss

Batch = tuple[torch.Tensor, torch.Tensor]
WARM_UP = 100  # steps at the beginning of each run that are not counted

# (values logged in a step, silent callbacks, progress bar)
CASES = [(0, 0, False), (3, 0, False), (10, 0, False), (0, 5, False), (3, 5, False), (3, 0, True)]


def build_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))


def build_data(batches: int = 100, rows: int = 128) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(rows, 32, generator=generator), torch.randn(rows, 1, generator=generator)) for _ in range(batches)
    ]


class Clocked:
    """The batches, over and over; notes the time at which each is asked for."""

    def __init__(self, data: list[Batch], steps: int) -> None:
        self.data, self.steps = data, steps
        self.times: list[float] = []

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        data, times = self.data, self.times
        for index in range(self.steps):
            times.append(time.perf_counter())
            yield data[index % len(data)]
        times.append(time.perf_counter())

    def microseconds(self) -> float:
        """The mean time between two batches: rows and redraws count, seldom as they are."""
        return 1e6 * (self.times[-1] - self.times[WARM_UP]) / (self.steps - WARM_UP)


def run_by_hand(loader: Clocked) -> None:
    model = build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for inputs, targets in loader:
        loss = mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def run_trainer(pl: Any, loader: Clocked, logs: int, callbacks: int, bar: bool, folder: str) -> None:
    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = build_model()

        def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
            inputs, targets = batch
            loss = mse_loss(self.model(inputs), targets)
            for index in range(logs):
                self.log(f"value_{index}", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    drawn = [pl.callbacks.TQDMProgressBar()] if bar else []
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=logger_for(pl, folder),
        callbacks=[pl.Callback() for _ in range(callbacks)] + drawn,
        enable_progress_bar=bar,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader)


def logger_for(pl: Any, folder: str) -> Any:
    """Fulgurite's default logger, with a store of its own; Lightning's logger of the same kind that needs no extra."""
    if hasattr(pl.loggers, "TrackLogger"):
        return pl.loggers.TrackLogger(folder, store=folder)
    return pl.loggers.CSVLogger(folder)


class Terminal(io.StringIO):
    """Takes what a bar draws as a terminal would, and forgets it."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def contestants() -> dict[str, Any]:
    import fulgurite

    found = {"fulgurite": fulgurite}
    with contextlib.suppress(ImportError):
        import lightning.pytorch

        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        found["lightning"] = lightning.pytorch
    logging.getLogger("fulgurite").setLevel(logging.ERROR)
    return found


def measure(steps: int, rounds: int) -> list[dict[str, Any]]:
    """One result a case: microseconds by contestant and round, and the ratios to the hand-written loop."""
    data, packages, results = build_data(), contestants(), []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            times: dict[str, list[float]] = {"by hand": [], **{name: [] for name in packages}}
            for number in range(rounds):
                names = list(times)
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    loader = Clocked(data, steps)
                    with contextlib.redirect_stderr(Terminal()), contextlib.redirect_stdout(Terminal()):
                        run_by_hand(loader) if name == "by hand" else run_trainer(packages[name], loader, *case, folder)
                    times[name].append(loader.microseconds())
            results.append(summary(case, times))
            show(results[-1])
    return results


def summary(case: tuple[int, int, bool], times: dict[str, list[float]]) -> dict[str, Any]:
    by_hand = times["by hand"]
    others = {name: own for name, own in times.items() if name != "by hand"}
    ratios = {name: [a / b for a, b in zip(own, by_hand, strict=True)] for name, own in others.items()}
    return {
        "logs": case[0],
        "silent_callbacks": case[1],
        "bar": case[2],
        "microseconds": {name: round(statistics.median(own), 1) for name, own in times.items()},
        "ratio": {
            name: {"median": round(statistics.median(own), 3), "min": round(min(own), 3), "max": round(max(own), 3)}
            for name, own in ratios.items()
        },
    }


def show(result: dict[str, Any]) -> None:
    case = f"{result['logs']:2d} logs, {result['silent_callbacks']} callbacks, bar {'on ' if result['bar'] else 'off'}"
    ratios = "   ".join(
        f"{name} {own['median']:.3f} × ({own['min']:.3f}–{own['max']:.3f})" for name, own in result["ratio"].items()
    )
    print(f"{case}   by hand {result['microseconds']['by hand']:.0f} µs   {ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.steps <= WARM_UP:
        parser.error(f"--steps must be more than {WARM_UP}, the steps that are not counted.")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    print(machine(), file=sys.stderr)
    results = measure(arguments.steps, arguments.rounds)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"machine": machine(), "cases": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
