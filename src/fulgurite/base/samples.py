"""Samples whose random numbers depend on nothing but the sample and the epoch."""

import hashlib
import random
import sys
from typing import Any, TypeVar

import torch
from torch.utils.data import Dataset

from fulgurite.base.seed import collect_rng_states, set_rng_states

T = TypeVar("T")


class SeededSamples(Dataset[T]):
    """``dataset`` with its augmentation seeded for each sample: the same in any worker, order and process.

    Sample ``i`` of epoch ``e`` is made with Python's, NumPy's and torch's generators seeded by (``seed``, ``e``,
    ``i``), and they are as before afterwards. So a run that goes on in the middle of an epoch has the samples that it
    would have had, however many workers there are; without this, what a worker draws depends on what it drew before.
    The Trainer tells the epoch by `set_epoch`. It costs about 30 µs a sample. A NumPy ``Generator`` that the dataset
    keeps for itself is not reached.
    """

    seeds_each_sample = True

    def __init__(self, dataset: Dataset[T], seed: int = 0) -> None:
        self.dataset, self.seed = dataset, seed
        # Shared, so that workers that outlive an epoch hear of the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)
        if callable(getattr(self.dataset, "set_epoch", None)):
            self.dataset.set_epoch(epoch)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> T:
        states = collect_rng_states(include_cuda=False)
        try:
            _seed(f"{self.seed} {int(self._epoch)} {index}")
            return self.dataset[index]
        finally:
            set_rng_states(states)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)


def _seed(text: str) -> None:
    mixed = hashlib.blake2b(text.encode(), digest_size=24).digest()
    random.seed(int.from_bytes(mixed[:8], "little"))
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(int.from_bytes(mixed[8:12], "little"))
    # The CPU's generator alone: samples are made there, and `manual_seed` would reach every device.
    torch.default_generator.manual_seed(int.from_bytes(mixed[16:], "little") >> 1)
