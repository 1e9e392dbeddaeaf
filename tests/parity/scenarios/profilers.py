"""The names under which a profiler measures, and how often."""

from functools import partial
from typing import Any

import torch

from parity.scenarios.kit import SHAPING_HOOKS, Bench, Scenarios, batches

SCENARIOS = Scenarios()


def measured(pl, folder, *, run="fit", module=None, quiet=True, **options) -> dict[str, Any]:
    """Return how often each action was measured in a run whose module and callback listen to every hook."""
    bench = Bench(pl, folder)
    made = bench.module(module and module(bench), skip=SHAPING_HOOKS if quiet else ())
    profiler = pl.profilers.SimpleProfiler(dirpath=str(folder), filename="speed")
    trainer = bench.trainer(profiler=profiler, callbacks=[bench.callback()], **options)
    if run == "fit":
        trainer.fit(made, batches(4), batches(2))
    else:
        getattr(trainer, run)(made, batches(2))
    with trainer.profiler.profile("of my own"):
        pass
    counts = {name: len(durations) for name, durations in profiler.recorded_durations.items()}
    files = sorted(path.name for path in folder.glob("*.txt"))
    return {"actions": dict(sorted(counts.items())), "files": files}


def halving(bench):
    """A module whose learning rate is halved after each epoch."""

    class Halving(bench.Tiny):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)]

    return Halving


def by_hand(bench):
    """A module that optimises by hand."""

    class ByHand(bench.Tiny):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            optimizer.step()

    return ByHand


SCENARIOS["actions_of_fit"] = partial(measured, max_epochs=2, module=halving)
SCENARIOS["actions_of_every_hook"] = partial(measured, quiet=False)
SCENARIOS["actions_accumulating"] = partial(measured, accumulate_grad_batches=2, gradient_clip_val=1.0)
SCENARIOS["actions_by_hand"] = partial(measured, module=by_hand)
for _run in ("validate", "test", "predict"):
    SCENARIOS[f"actions_of_{_run}"] = partial(measured, run=_run)
