"""``LightningDataModule``: all that concerns the data of a run in one class of the user's."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from fulgurite.base.format import Source
from fulgurite.core.hooks import DataHooks
from fulgurite.core.hparams import HyperparametersMixin
from fulgurite.core.loading import class_only, load_datamodule

Datasets = Dataset[Any] | Iterable[Dataset[Any]] | Mapping[str, Dataset[Any]]
_STAGES = {"Train": "train", "Validation": "val", "Test": "test", "Predict": "predict"}


class LightningDataModule(DataHooks, HyperparametersMixin):
    """Download, split, load: override ``prepare_data``, ``setup`` and the ``*_dataloader`` hooks you need."""

    CHECKPOINT_HYPER_PARAMS_KEY = "datamodule_hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "datamodule_hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "datamodule_hparams_type"

    name: str | None = None
    #: The trainer that uses this data module; None outside a run.
    trainer: Any = None

    @classmethod
    def from_datasets(
        cls,
        train_dataset: Datasets | None = None,
        val_dataset: Datasets | None = None,
        test_dataset: Datasets | None = None,
        predict_dataset: Datasets | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        **datamodule_kwargs: Any,
    ) -> Self:
        """A data module around datasets, one or several for each use; those to train on are shuffled if they can be.

        ``batch_size`` and ``num_workers`` also go to ``__init__`` if it takes them.
        """
        options = {"batch_size": batch_size, "num_workers": num_workers}
        taken = inspect.signature(cls.__init__).parameters
        datamodule = cls(**{name: value for name, value in options.items() if name in taken}, **datamodule_kwargs)
        given = {"train": train_dataset, "val": val_dataset, "test": test_dataset, "predict": predict_dataset}
        for stage, dataset in given.items():
            if dataset is not None:
                setattr(datamodule, f"{stage}_dataloader", _Loaders(dataset, options, stage == "train"))
        return datamodule

    @class_only
    def load_from_checkpoint(
        cls: Any,
        checkpoint_path: Source,
        map_location: Any = None,
        hparams_file: str | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return a new data module made with the hyperparameters in the checkpoint and given its state.

        ``kwargs`` go before what was saved. See ``LightningModule.load_from_checkpoint`` for the other arguments.
        """
        return load_datamodule(cls, checkpoint_path, map_location, hparams_file, weights_only, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint should hold of this data module."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""

    def on_exception(self, exception: BaseException) -> None:
        """Called when a run ends with ``exception``."""

    def __str__(self) -> str:
        lines = (f"{{{title} dataloader: {_sizes(self, stage)}}}" for title, stage in _STAGES.items())
        return "\n".join(lines)


@dataclass
class _Loaders:
    """A ``*_dataloader`` hook over given datasets; an object, so that the data module can be pickled."""

    datasets: Datasets
    options: dict[str, Any]
    shuffle: bool

    def __call__(self) -> Any:
        given = self.datasets
        if isinstance(given, Mapping):
            return {name: self._load(dataset) for name, dataset in given.items()}
        # A dataset may be iterable itself; only plain collections are several.
        if isinstance(given, Iterable) and not isinstance(given, Dataset):
            return [self._load(dataset) for dataset in given]
        return self._load(given)

    def _load(self, dataset: Any) -> DataLoader[Any]:
        shuffle = self.shuffle and not isinstance(dataset, IterableDataset)
        return DataLoader(dataset, shuffle=shuffle, pin_memory=torch.cuda.is_available(), **self.options)


def _sizes(datamodule: LightningDataModule, stage: str) -> str:
    """How many samples each loader of a stage holds, as far as that is known without setting anything up."""
    try:
        loaders = getattr(datamodule, f"{stage}_dataloader")()
    except Exception:
        return "None"
    if isinstance(loaders, Mapping):
        return " ; ".join(f"{name}. size={_size(loader)}" for name, loader in loaders.items())
    if isinstance(loaders, list | tuple):
        return " ; ".join(f"{place}. size={_size(loader)}" for place, loader in enumerate(loaders, 1))
    return f"size={_size(loaders)}"


def _size(loader: Any) -> int | str:
    try:
        return len(getattr(loader, "dataset", loader))
    except TypeError:
        return "NA"
