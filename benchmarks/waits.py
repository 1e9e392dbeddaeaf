"""How often a training step makes the host wait for the GPU.

    python benchmarks/waits.py [--out benchmarks/results/waits.json]

Counted are the operations that `torch.cuda.set_sync_debug_mode` tells, in 100 steps with two rows among them. On a
machine without a GPU a stand-in for one is used, which knows the same operations (`tests/support/stand_in`; it needs a
C++ compiler). The counts are the same in each run; only a bar on a terminal, which is redrawn by time, adds some.
Lightning takes part where it is installed: ``pip install -e ".[bench]"``.
"""

import argparse
import contextlib
import io
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

FIRST, LAST = 50, 150  # the steps that are counted
CASES = {
    "nothing logged": {},
    "3 values logged": {"logs": 3},
    "3 values, also on the bar": {"logs": 3, "bar": True},
    "10 values, also on the bar": {"logs": 10, "bar": True},
    "a moving average of the weights": {"average": True},
}


class Batches:
    """Equal batches in pinned memory; counting begins and ends between two of them."""

    def __len__(self) -> int:
        return LAST + 5

    def __iter__(self) -> Iterator[torch.Tensor]:
        batch = torch.ones(8, 4).pin_memory()
        for index in range(len(self)):
            if index in (FIRST, LAST):
                torch.cuda.set_sync_debug_mode("warn" if index == FIRST else "default")
            yield batch


def count(pl: Any, logs: int = 0, bar: bool = False, average: bool = False) -> float:
    """Waits in one step, on the average."""

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            loss = self.layer(batch).pow(2).mean()
            for index in range(logs):
                self.log(f"value_{index}", loss, prog_bar=bar)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as told:
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="gpu",
            devices=1,
            callbacks=[pl.callbacks.EMAWeightAveraging()] if average else [],
            logger=pl.loggers.CSVLogger(folder),
            enable_progress_bar=bar,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        module = Module()
        warnings.simplefilter("always")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.fit(module, Batches())
    return sum("synchroniz" in str(each.message) for each in told) / (LAST - FIRST)


def packages() -> dict[str, Any]:
    import fulgurite

    found: dict[str, Any] = {"fulgurite": fulgurite}
    with contextlib.suppress(ImportError):
        import lightning.pytorch

        found["lightning"] = lightning.pytorch
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return found


def with_a_stand_in() -> int:
    """Do this in a process that has one."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from support import stand_in

    return subprocess.run([sys.executable, *sys.argv], env=stand_in.environ()).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the counts to this file as JSON")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(with_a_stand_in())
    found = packages()
    counts = {case: {name: count(pl, **more) for name, pl in found.items()} for case, more in CASES.items()}
    device = torch.cuda.get_device_name()
    print(f"waits for the GPU ({device}) in a step".ljust(48), *(name.rjust(12) for name in found))
    for case, by_package in counts.items():
        print(case.ljust(48), *(f"{value:12.2f}" for value in by_package.values()))
    if arguments.out:
        arguments.out.write_text(json.dumps({"device": device, "torch": torch.__version__, "waits": counts}, indent=1))


if __name__ == "__main__":
    main()
