"""How many Python functions a training step enters, and how deep the user's `training_step` lies.

    python benchmarks/frames.py [--out benchmarks/results/frames.json]

Counted are functions whose code belongs to the package itself (for Lightning also `lightning_utilities` and
`torchmetrics`, which its logging is made of); torch, the standard library and the user's own code are not. The counts
are the same on every machine. Lightning takes part where it is installed: ``pip install -e ".[bench]"``.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

FIRST, LAST = 20, 40  # the steps that are counted
CASES = {"silent": (0, 0), "3 logs": (3, 0), "10 logs": (10, 0), "5 silent callbacks": (0, 5)}
FOLDERS = {"fulgurite": ("fulgurite",), "lightning": ("lightning", "lightning_utilities", "torchmetrics")}


class Counter:
    """Counts calls into the package while it is on."""

    def __init__(self, package: str) -> None:
        self.folders = tuple(
            f"{Path(found.origin).parent}{os.sep}" for found in map(find_spec, FOLDERS[package]) if found
        )
        self.calls = 0

    def owns(self, filename: str) -> bool:
        return filename.startswith(self.folders)

    def profile(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call" and self.owns(frame.f_code.co_filename):
            self.calls += 1


class Batches:
    """Equal batches; counting begins and ends between two of them."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter

    def __len__(self) -> int:
        return LAST + 5

    def __iter__(self) -> Iterator[torch.Tensor]:
        batch = torch.ones(8, 4)
        for index in range(len(self)):
            if index == FIRST:
                sys.setprofile(self.counter.profile)
            elif index == LAST:
                sys.setprofile(None)
            yield batch


def depth_below_fit(counter: Counter) -> dict[str, int]:
    """Calls between `trainer.fit` and the caller, and the package's files they stand in."""
    frame, files, depth = sys._getframe(2), set(), 0
    while frame is not None:
        depth += 1
        name = frame.f_code.co_filename
        if counter.owns(name):
            files.add(name)
            if frame.f_code.co_name == "fit" and name.endswith("trainer.py"):
                break
        frame = frame.f_back
    return {"depth": depth, "files": len(files)}


def count(pl: Any, package: str, logs: int, callbacks: int, folder: str) -> dict[str, float]:
    counter = Counter(package)
    found: dict[str, float] = {}

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            if batch_idx == LAST + 1:
                found.update(depth_below_fit(counter))
            loss = self.layer(batch).pow(2).mean()
            for index in range(logs):
                self.log(f"value_{index}", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[pl.Callback() for _ in range(callbacks)],
        logger=pl.loggers.CSVLogger(folder),
        log_every_n_steps=1000,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), Batches(counter))
    return {"frames": counter.calls / (LAST - FIRST), **found}


def packages() -> dict[str, Any]:
    import fulgurite

    found: dict[str, Any] = {"fulgurite": fulgurite}
    with contextlib.suppress(ImportError):
        import lightning.pytorch

        found["lightning"] = lightning.pytorch
    for name in ("fulgurite", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, pl in packages().items():
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                results[package] = {name: count(pl, package, *case, folder) for name, case in CASES.items()}
            for name, result in results[package].items():
                print(f"{package:10} {name:20} {result['frames']:7.1f} functions a step", end="")
                print(f"   training_step lies {result['depth']:.0f} calls deep in {result['files']:.0f} files")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
