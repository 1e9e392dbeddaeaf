"""How long a run that goes on in the middle of an epoch takes to its next batch, and whether it is the right one.

    python benchmarks/resume.py [--samples 1000000] [--rounds 3] [--out benchmarks/results/resume.json]

An epoch of shuffled samples is broken off after ``--samples`` of them. Then a new trainer goes on from the checkpoint:
timed is from the call of ``fit`` to the first batch, less what a run from the beginning takes to its own. Beside ours:
the sampler's indices alone, which is the least that can be done; Lightning; and in both trainers torchdata's
StatefulDataLoader. What is not installed is left out: ``pip install -e ".[bench]"``.
"""

import argparse
import contextlib
import importlib
import io
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from machine import machine
from torch.utils.data import DataLoader, Dataset

BATCH = 500


class Numbers(Dataset):
    """Each sample is its own number; how many were loaded is counted."""

    def __init__(self, length: int) -> None:
        self.length, self.loaded = length, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        self.loaded += 1
        return torch.tensor([float(index)])


def loader(kind: str, length: int) -> Any:
    """A shuffling loader of torch's or torchdata's; the order is drawn by a seed of its own."""
    made = (
        DataLoader
        if kind == "DataLoader"
        else importlib.import_module("torchdata.stateful_dataloader").StatefulDataLoader
    )
    return made(Numbers(length), batch_size=BATCH, shuffle=True)


def begin(pl: Any, kind: str, length: int, folder: Path, stop: int, path: Path | None) -> dict[str, Any]:
    """Fit up to batch ``stop``, from a checkpoint if there is one; what it saw, and how long the first batch took."""
    seen: dict[str, Any] = {"batches": []}

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            if not seen["batches"]:
                seen["first after"] = time.perf_counter() - begun
            seen["batches"].append((batch_idx, batch[:3, 0].tolist()))
            return self.layer(batch).sum() * 0

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    class Until(pl.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if path is None and batch_idx + 1 == stop > 1:
                trainer.save_checkpoint(folder / "middle.ckpt")
            if batch_idx + 1 == stop + 1 or path is not None:
                trainer.should_stop = True

    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=folder, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Until()],
    )  # fmt: skip
    made = loader(kind, length)
    begun = time.perf_counter()
    trainer.fit(Module(), made, ckpt_path=path)
    return {**seen, "loaded": made.dataset.loaded}


def resumed(pl: Any, kind: str, samples: int) -> dict[str, Any]:
    """Break off and go on, once."""
    length, stop = samples + 20 * BATCH, samples // BATCH
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(name)
        torch.manual_seed(0)
        whole = begin(pl, kind, length, folder, stop, None)
        torch.manual_seed(1)
        fresh = begin(pl, kind, length, folder, 1, None)
        torch.manual_seed(1)
        again = begin(pl, kind, length, folder, stop, folder / "middle.ckpt")
    return {
        "seconds": again["first after"] - fresh["first after"],
        "right": again["batches"][0] == whole["batches"][stop],
        "loaded": again["loaded"],
    }


def indices_alone(samples: int) -> float:
    """Draw the order and take as many indices from it."""
    sampler = DataLoader(Numbers(samples + 20 * BATCH), batch_size=BATCH, shuffle=True).batch_sampler
    begun = time.perf_counter()
    deque(islice(iter(sampler), samples // BATCH), maxlen=0)
    return time.perf_counter() - begun


def contestants() -> list[tuple[str, Any, str]]:
    found = []
    for name, package in (("fulgurite", "fulgurite"), ("lightning", "lightning.pytorch")):
        for kind, needs in (("DataLoader", "torch"), ("StatefulDataLoader", "torchdata.stateful_dataloader")):
            with contextlib.suppress(ImportError):
                importlib.import_module(needs)
                found.append((f"{name}, {kind}", importlib.import_module(package), kind))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in ("fulgurite", "lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(arguments.rounds):
        found.setdefault("indices alone", []).append({"seconds": indices_alone(arguments.samples)})
        for name, pl, kind in contestants():
            found.setdefault(name, []).append(resumed(pl, kind, arguments.samples))
    results = {}
    for name, each in found.items():
        seconds = sorted(one["seconds"] for one in each)
        results[name] = {"median": statistics.median(seconds), "smallest": seconds[0], "largest": seconds[-1],
                         **{key: each[0][key] for key in ("right", "loaded") if key in each[0]}}  # fmt: skip
        right = {True: "the right batch", False: "a wrong batch", None: ""}[each[0].get("right")]
        loaded = f", {each[0]['loaded']:,} samples loaded" if "loaded" in each[0] else ""
        print(f"{name:32} {results[name]['median']:7.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})  {right}{loaded}")
    if arguments.out is not None:
        figures = {"machine": machine(), "samples": arguments.samples, "to the first batch": results}
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
