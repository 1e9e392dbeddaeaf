"""What a training step of two ranks costs here, in a DDP loop by hand, and in Lightning: all in the same processes.

    python benchmarks/ddp.py [--ranks 2] [--steps 500] [--rounds 7] [--out benchmarks/results/ddp.json]

Each rank is a process on the CPU, with one thread, over gloo. Each round runs every contestant once, in an order that
turns from round to round; each figure is a ratio within its round, as rank 0 measures it (in step with the others, as
gradients are exchanged in each step). Printed are medians over the rounds with their smallest and largest. Lightning
takes part where it is installed: ``pip install -e ".[bench]"``. On a machine with fewer processors than ranks the
ratios say nothing.
"""

import argparse
import contextlib
import json
import os
import socket
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from machine import machine
from step import WARM_UP, Batch, Clocked, Terminal, build_data, build_model, contestants, logger_for, show, summary
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel

# (values logged in a step, with sync_dist)
CASES = [(0, False), (3, False), (3, True)]


def run_by_hand(loader: Clocked) -> None:
    model = DistributedDataParallel(build_model())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for inputs, targets in loader:
        loss = mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def run_trainer(pl: Any, loader: Clocked, logs: int, sync_dist: bool, folder: str, ranks: int) -> None:
    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = build_model()

        def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
            inputs, targets = batch
            loss = mse_loss(self.model(inputs), targets)
            for index in range(logs):
                self.log(f"value_{index}", loss, on_step=not sync_dist, on_epoch=sync_dist, sync_dist=sync_dist)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=ranks,
        strategy="ddp",
        use_distributed_sampler=False,
        logger=logger_for(pl, folder),
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader)


def rank_main(rank: int, arguments: argparse.Namespace, port: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=arguments.ranks)
    data, packages, results = build_data(), contestants(), []
    with tempfile.TemporaryDirectory() as folder:
        for logs, sync_dist in CASES:
            times: dict[str, list[float]] = {"by hand": [], **{name: [] for name in packages}}
            for number in range(arguments.rounds):
                names = list(times)
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    loader = Clocked(data, arguments.steps)
                    dist.barrier()
                    with contextlib.redirect_stderr(Terminal()), contextlib.redirect_stdout(Terminal()):
                        if name == "by hand":
                            run_by_hand(loader)
                        else:
                            run_trainer(packages[name], loader, logs, sync_dist, folder, arguments.ranks)
                    times[name].append(loader.microseconds())
            result = summary((logs, 0, False), times) | {"sync_dist": sync_dist}
            results.append(result)
            if rank == 0:
                print("with sync_dist" if sync_dist else "each its own", end="  ")
                show(result)
    if rank == 0 and arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        told = {"machine": machine(), "ranks": arguments.ranks, "cases": results}
        arguments.out.write_text(json.dumps(told, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.steps <= WARM_UP:
        parser.error(f"--steps must be more than {WARM_UP}, the steps that are not counted.")
    print(machine(), file=sys.stderr)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    torch.multiprocessing.start_processes(rank_main, (arguments, port), nprocs=arguments.ranks, start_method="spawn")


if __name__ == "__main__":
    main()
