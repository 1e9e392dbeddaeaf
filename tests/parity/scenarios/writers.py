"""What prediction writers are given, and the file that is left when a fit fails."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from parity.scenarios.errors import group
from parity.scenarios.kit import Bench, Rows, Scenarios, batches, stream

SCENARIOS = Scenarios()


def written(pl, folder, *, interval, loaders, keep=None, **options) -> dict[str, Any]:
    """Predict with a writer; return its calls and what ``predict`` returned."""
    bench = Bench(pl, folder)
    calls: list[Any] = []

    class Writer(pl.callbacks.BasePredictionWriter):
        def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
            calls.append([prediction, batch_indices, batch_idx, dataloader_idx])

        def write_on_epoch_end(self, trainer, pl_module, predictions, batch_indices):
            calls.append([predictions, batch_indices])

    class Numbers(bench.Tiny):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return torch.as_tensor(batch[1]).tolist()

    writer = Writer(interval)
    trainer = bench.trainer(callbacks=[writer], **options)
    returned = trainer.predict(Numbers(), loaders(), return_predictions=keep)
    return {"calls": calls, "returned": returned, "key": writer.state_key}


class Pairs:
    """A batch sampler of one's own."""

    sampler = None

    def __iter__(self):
        return iter([[0, 3], [2, 1]])

    def __len__(self) -> int:
        return 2


def _seeded() -> DataLoader:
    torch.manual_seed(5)
    return batches(3, shuffle=True)


_pairs = partial(batches, 3, short=1)
for _name, _options in {
    "each_batch": {"interval": "batch", "loaders": _pairs},
    "each_epoch": {"interval": "epoch", "loaders": _pairs},
    "both": {"interval": "batch_and_epoch", "loaders": _pairs},
    "batch_kept_by_nobody": {"interval": "batch", "loaders": _pairs, "keep": False},
    "epoch_kept_by_nobody": {"interval": "epoch", "loaders": _pairs, "keep": False},
    "several_loaders": {"interval": "batch_and_epoch", "loaders": lambda: [batches(2), batches(1)]},
    "one_in_a_list": {"interval": "batch_and_epoch", "loaders": lambda: [batches(2)]},
    "limited": {"interval": "batch_and_epoch", "loaders": partial(batches, 5), "limit_predict_batches": 2},
    "shuffled": {"interval": "batch_and_epoch", "loaders": _seeded},
    "own_batches": {
        "interval": "batch_and_epoch",
        "loaders": lambda: DataLoader(Rows(4), batch_sampler=Pairs()),
    },
    "stream": {"interval": "batch_and_epoch", "loaders": partial(stream, 2)},
    "without_batches": {"interval": "batch_and_epoch", "loaders": lambda: DataLoader(Rows(3), batch_size=None)},
    "workers": {
        "interval": "batch_and_epoch",
        "loaders": lambda: DataLoader(Rows(8), batch_size=2, num_workers=2),
    },
}.items():
    SCENARIOS[_name] = partial(written, **_options)


@SCENARIOS
def on_exception(pl, folder):
    """The file of a fit that failed, and what it holds."""
    bench = Bench(pl, folder)

    class Failing(bench.Tiny):
        def training_step(self, batch, batch_idx):
            if self.global_step == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    save = pl.callbacks.OnExceptionCheckpoint(folder / "kept")
    trainer = bench.trainer(callbacks=[save], enable_checkpointing=True)
    try:
        trainer.fit(Failing(), batches(4))
    except ZeroDivisionError:
        found = torch.load(folder / "kept" / "on_exception.ckpt", weights_only=False)
    return {
        "files": sorted(path.name for path in (folder / "kept").iterdir()),
        "step": [found["epoch"], found["global_step"]],
        "weights": [value.flatten().tolist() for value in found["state_dict"].values()],
        "callbacks": [type(each).__name__ for each in trainer.checkpoint_callbacks],
        "key": save.state_key,
    }


def _made(name: str, *args: Any) -> Callable:
    return lambda pl, bench: getattr(pl.callbacks, name)(*args)


group(
    "misuse",
    {
        "interval": (_made("BasePredictionWriter", "day"), "write_interval"),
        "empty name": (_made("OnExceptionCheckpoint", ".", ""), "filename"),
    },
    SCENARIOS,
)
