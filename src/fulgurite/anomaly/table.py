"""The document's dataset as tensors: continuous, categorical and target columns, read a batch at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from fulgurite.base.errors import DataError
from fulgurite.base.optional import require

Batch = tuple[Tensor, ...]
SPLITS = {"train": ("train",), "test": ("test",), "both": ("train", "test")}


class Table(TensorDataset):
    """Rows of three tensors: ``continuous`` (n, c) float32, ``categorical`` (n, k) int64, ``target`` (n, m) float32.

    ``table[i]`` is a row, ``table[start:stop]`` and ``table[indices]`` are batches. A DataLoader fetches a batch in one
    indexing; it must then take it as it is: ``DataLoader(table, batch_size=128, collate_fn=as_it_is)``.
    """

    def __init__(self, continuous: Tensor, categorical: Tensor, target: Tensor) -> None:
        rows = {len(continuous), len(categorical), len(target)}
        if len(rows) > 1:
            raise ValueError(
                f"The columns of a table have the same rows; there are {len(continuous):,} continuous ones, "
                f"{len(categorical):,} categorical ones and {len(target):,} targets."
            )
        super().__init__(continuous.float(), categorical.long(), target.float())

    @property
    def continuous(self) -> Tensor:
        return self.tensors[0]

    @property
    def categorical(self) -> Tensor:
        return self.tensors[1]

    @property
    def target(self) -> Tensor:
        return self.tensors[2]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return self[torch.as_tensor(indices)]

    @classmethod
    def read(
        cls,
        split: str,
        folder: str | Path,
        continuous: Sequence[str],
        categorical: Sequence[str] = (),
        target: Sequence[str] = ("target",),
    ) -> "Table":
        """The named columns of ``train.csv``, of ``test.csv``, or of ``both``, scaled and coded as they stand there."""
        if split not in SPLITS:
            raise ValueError(f"split={split!r}; it is one of {', '.join(map(repr, SPLITS))}.")
        pandas = require("pandas", "anomaly")
        files = [Path(folder) / f"{part}.csv" for part in SPLITS[split]]
        frame = pandas.concat([pandas.read_csv(file) for file in files], ignore_index=True)
        missing = [name for name in (*continuous, *categorical, *target) if name not in frame]
        if missing:
            raise DataError(
                f"{files[0]} has no column {', '.join(map(repr, missing))}. It has {', '.join(map(repr, frame))}."
            )
        groups = ((continuous, "float32"), (categorical, "int64"), (target, "float32"))
        return cls(*(torch.from_numpy(frame[list(names)].to_numpy(dtype=kind, copy=True)) for names, kind in groups))


def as_it_is(batch: Batch) -> Batch:
    """The ``collate_fn`` of a DataLoader whose dataset hands out whole batches."""
    return batch


class Slices:
    """A loader that cuts a table into batches: shuffled, all columns are put in order once, then only sliced.

    That takes the memory of a second table while an epoch lasts. The last batch holds what is left; a single row left
    goes to the batch before it, since batch normalisation cannot train on one row.
    """

    def __init__(
        self,
        table: TensorDataset,
        batch_size: int = 128,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size={batch_size}: give at least 2 rows, what batch normalisation needs.")
        self.dataset, self.batch_size, self.shuffle, self.generator = table, batch_size, shuffle, generator

    def __len__(self) -> int:
        return len(self._sizes())

    def __iter__(self) -> Iterator[Batch]:
        columns: Sequence[Tensor] = self.dataset.tensors
        if self.shuffle:
            order = torch.randperm(len(self.dataset), generator=self.generator)
            columns = [column[order] for column in columns]
        sizes = self._sizes()
        return zip(*(column.split(sizes) for column in columns), strict=True)

    def _sizes(self) -> list[int]:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        sizes = [self.batch_size] * whole
        if rest == 1 and sizes:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes
