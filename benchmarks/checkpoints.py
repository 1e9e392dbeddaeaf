"""How long a training stands still for a checkpoint that is written at once, and for one that a thread writes.

    python benchmarks/checkpoints.py [--width 2048] [--rounds 3] [--out benchmarks/results/checkpoints.json]

A model of three wide layers and Adam trains on the CPU; every 12th batch `trainer.save_checkpoint` is called. A round
runs each package with its plain files and with its `AsyncCheckpointIO`. Counted are the seconds inside the call
(stall), and those of the batches while the thread writes against those without (drag). Printed are medians over all
saves of all rounds, with the smallest and the largest. Lightning takes part where it is installed:
``pip install -e ".[bench]"``. It does not flush its files to the disk; Fulgurite does, before a file gets its name.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from machine import machine

EVERY, SAVES = 12, 5


def package(name: str) -> Any:
    if name == "fulgurite":
        import fulgurite

        return fulgurite
    import lightning.pytorch

    return lightning.pytorch


def run(pl: Any, plugins: list[Any], width: int, folder: Path) -> dict[str, list[float]]:
    """Train once; return the seconds of each save, of batches right behind one and of the others."""

    class Wide(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(3)))

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            return self.layers(batch).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    seconds: dict[str, list[float]] = {"stall": [], "behind": [], "quiet": []}

    class Saving(pl.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            self.begun = time.perf_counter()

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            now, place = time.perf_counter(), (batch_idx + 1) % EVERY
            if batch_idx >= EVERY:
                seconds["behind" if place in (1, 2, 3) else "quiet"].append(now - self.begun)
            if place == 0:
                trainer.save_checkpoint(folder / f"{batch_idx}.ckpt")
                seconds["stall"].append(time.perf_counter() - now)

    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, plugins=plugins, callbacks=[Saving()], default_root_dir=folder, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    begun = time.perf_counter()
    trainer.fit(Wide(), torch.utils.data.DataLoader(torch.randn(64 * EVERY * SAVES, width), batch_size=64))
    seconds["whole run"] = [time.perf_counter() - begun]
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "smallest": min(values), "largest": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in ("fulgurite", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(arguments.rounds):
        for name in ("fulgurite", "lightning"):
            try:
                pl = package(name)
            except ImportError:
                continue
            for kind in ("plain", "async"):
                plugins = [pl.plugins.AsyncCheckpointIO()] if kind == "async" else []
                with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
                    for what, seconds in run(pl, plugins, arguments.width, Path(folder)).items():
                        found.setdefault(f"{name} {kind}", {}).setdefault(what, []).extend(seconds)
    results = {name: {what: spread(values) for what, values in each.items()} for name, each in found.items()}
    megabytes = 3 * 4 * 3 * (arguments.width**2 + arguments.width) / 1e6
    print(f"{megabytes:.0f} MB a checkpoint")
    for name, each in results.items():
        stall, drag = each["stall"], each["behind"]["median"] - each["quiet"]["median"]
        print(f"{name:16} stall {1000 * stall['median']:7.0f} ms ({1000 * stall['smallest']:.0f} to "
              f"{1000 * stall['largest']:.0f}), drag {1000 * drag:5.0f} ms a batch of "
              f"{1000 * each['quiet']['median']:.0f} ms, whole run {each['whole run']['median']:.1f} s")  # fmt: skip
    if arguments.out is not None:
        text = json.dumps({"machine": machine(), "megabytes": megabytes, "seconds": results}, indent=2)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
