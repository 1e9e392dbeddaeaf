"""Data modules: what they answer by themselves, and those made of datasets."""

import pickle

import pytest
import torch
from torch.utils.data import IterableDataset, RandomSampler, SequentialSampler, TensorDataset

from fulgurite.base.errors import MisconfigurationException
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.module import LightningModule

FIVE = TensorDataset(torch.arange(5.0))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([1.0, 2.0])


@pytest.mark.parametrize("owner", [LightningDataModule, LightningModule])
@pytest.mark.parametrize("stage", ["train", "val", "test", "predict"])
def test_a_loader_that_is_missing_is_named(owner, stage):
    """In both places where loaders may stand."""
    with pytest.raises(MisconfigurationException, match=f"`{stage}_dataloader` is missing"):
        getattr(owner(), f"{stage}_dataloader")()


def test_the_other_hooks_do_nothing_by_default():
    """Batches pass through, and go to their device."""
    data, batch = LightningDataModule(), {"x": torch.ones(1)}

    assert data.prepare_data() is data.setup("fit") is data.teardown("fit") is None
    assert data.on_before_batch_transfer(batch, 0) is batch is data.on_after_batch_transfer(batch, 0)
    assert data.transfer_batch_to_device(batch, torch.device("meta"), 0)["x"].is_meta
    assert data.state_dict() == {} and data.trainer is None and data.prepare_data_per_node


def test_datasets_make_a_data_module():
    """Training data are shuffled where that is possible; several datasets give several loaders."""
    data = LightningDataModule.from_datasets(FIVE, [FIVE, Stream()], {"a": FIVE}, batch_size=2)

    train, (val, stream), test = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()

    assert isinstance(train.sampler, RandomSampler) and isinstance(val.sampler, SequentialSampler)
    assert len(train) == 3 and sum(len(batch) for batch in stream) == 2 and list(test) == ["a"]
    assert isinstance(LightningDataModule.from_datasets(Stream()).train_dataloader().dataset, Stream)
    with pytest.raises(MisconfigurationException):
        data.predict_dataloader()
    assert len(pickle.loads(pickle.dumps(data)).train_dataloader()) == 3


def test_it_says_what_it_holds():
    """One line for each use, sizes where they are known, and never an error."""
    data = LightningDataModule.from_datasets(FIVE, [FIVE, Stream()], {"a": FIVE})
    data.predict_dataloader = lambda: data.not_set_up_yet

    assert str(data).splitlines() == [
        "{Train dataloader: size=5}",
        "{Validation dataloader: 1. size=5 ; 2. size=NA}",
        "{Test dataloader: a. size=5}",
        "{Predict dataloader: None}",
    ]


def test_a_subclass_gets_its_arguments():
    """``batch_size`` and ``num_workers`` too if it takes them."""

    class Mine(LightningDataModule):
        def __init__(self, batch_size, folder="a"):
            super().__init__()
            self.save_hyperparameters()

    data = Mine.from_datasets(FIVE, batch_size=3, folder="b")

    assert data.hparams == {"batch_size": 3, "folder": "b"} and len(data.train_dataloader()) == 2
    with pytest.raises(TypeError, match="unknown"):
        Mine.from_datasets(FIVE, unknown=1)
