"""Where a run takes its batches from: sources, nests of loaders, streams, and the way to the device."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from fulgurite import LightningDataModule, LightningModule, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.runtime.combined import CombinedLoader
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = pytest.mark.filterwarnings("ignore:You ")


class Sees(TinyModule):
    """Keeps what it is trained and validated on."""

    def __init__(self):
        super().__init__()
        self.trained, self.validated = [], []

    def training_step(self, batch, batch_idx):
        self.trained.append(batch)
        return self.layer.weight.sum()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.validated.append((dataloader_idx, batch_idx))


class Data(LightningDataModule):
    def train_dataloader(self):
        return batches(2)

    def val_dataloader(self):
        return batches(1)


def quiet(**arguments):
    return Trainer(**{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def numbers(count, start=0):
    return DataLoader(range(start, start + count), batch_size=1)


def plain(batch):
    """The numbers in a batch, in the batch's own shape."""
    if isinstance(batch, dict):
        return {name: plain(each) for name, each in batch.items()}
    if isinstance(batch, list | tuple):
        return [plain(each) for each in batch]
    return batch.item()


@pytest.mark.parametrize(
    ("loaders", "seen"),
    [
        (lambda: [numbers(2), numbers(3, 10)], [[0, 10], [1, 11], [0, 12]]),
        (lambda: {"a": numbers(1), "b": numbers(2, 10)}, [{"a": 0, "b": 10}, {"a": 0, "b": 11}]),
        (lambda: {"a": [numbers(1), numbers(1, 5)], "b": numbers(1, 10)}, [{"a": [0, 5], "b": 10}]),
        (lambda: CombinedLoader([numbers(2), numbers(3, 10)], "min_size"), [[0, 10], [1, 11]]),
        (lambda: numbers(2), [0, 1]),
        (lambda: [torch.tensor([7]), torch.tensor([8])], [[7, 8]]),
    ],
    ids=["list", "dict", "nest", "min_size", "one", "tensors are iterable"],
)  # fmt: skip
def test_nests_of_train_loaders(loaders, seen):
    """A batch has the nest's shape; shorter loaders begin again unless the mode says otherwise."""
    model, trainer = Sees(), quiet()
    trainer.fit(model, loaders())

    assert [plain(batch) for batch in model.trained] == seen
    assert trainer.num_training_batches == len(seen)


def test_sequential_loaders_cannot_train():
    """A step has no end in it."""
    with pytest.raises(ValueError, match="sequential"):
        quiet().fit(Sees(), CombinedLoader([numbers(1)], "sequential"))


def test_evaluation_loaders_come_one_after_another():
    """In order, each from its own beginning; a combined one gives one batch of all."""
    model = Sees()
    quiet().validate(model, {"a": batches(2), "b": batches(1)}, verbose=False)
    assert model.validated == [(0, 0), (0, 1), (1, 0)]

    model = Sees()
    quiet().validate(model, CombinedLoader([batches(2), batches(1)], "max_size_cycle"), verbose=False)
    assert model.validated == [(0, 0), (0, 1)]


def test_a_datamodule_goes_before_the_module():
    """And may come in the loaders' place."""
    model = Sees()
    model.train_dataloader = lambda: batches(7)
    for arguments in ({"datamodule": Data()}, {"train_dataloaders": Data()}):
        trainer = quiet()
        trainer.fit(model, **arguments)
        assert (trainer.num_training_batches, trainer.num_val_batches) == (2, [1])


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({}, MisconfigurationException, "train_dataloader"),
        ({"train_dataloaders": batches(1), "datamodule": Data()}, MisconfigurationException, "both"),
        ({"train_dataloaders": Data(), "datamodule": Data()}, MisconfigurationException, "datamodule"),
        ({"datamodule": batches(1)}, TypeError, "LightningDataModule"),
        ({"train_dataloaders": 5}, TypeError, "5"),
        ({"train_dataloaders": [batches(1), 5]}, TypeError, "5"),
        ({"train_dataloaders": batches(1), "val_dataloaders": 5}, TypeError, "5"),
    ],
    ids=["nothing", "both", "two datamodules", "no datamodule", "no loader", "no loader among two", "no val loader"],
)
def test_wrong_sources(arguments, kind, words):
    """The error says what was given or what is missing."""
    with pytest.raises(kind, match=words):
        quiet().fit(Sees(), **arguments)


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_evaluation_needs_data(verb):
    """It names the method to define and the argument to pass."""
    with pytest.raises(MisconfigurationException, match="dataloader"):
        getattr(quiet(), verb)(TinyModule())


class Stream(IterableDataset):
    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return iter([torch.ones(1, 4)] * self.count)


def test_streams_end_by_themselves():
    """The last batch is known as the last one, so the window closes, and validation follows."""
    model, trainer = Sees(), quiet(accumulate_grad_batches=2, max_epochs=2)
    trainer.fit(model, DataLoader(Stream(3), batch_size=None), DataLoader(Stream(2), batch_size=None))

    assert (len(model.trained), trainer.global_step, len(model.validated)) == (6, 4, 4)
    assert trainer.num_training_batches == float("inf") and trainer.is_last_batch


@pytest.mark.parametrize("loader", [DataLoader([], batch_size=1), DataLoader(Stream(0), batch_size=None)])
def test_nothing_to_train_on(loader):
    """A run over no batches ends at once, with a warning where that can be known."""
    trainer = quiet()
    trainer.fit(Sees(), loader)

    assert trainer.global_step == 0 and trainer.state.status == "finished"


def test_batches_pass_through_the_hooks_to_the_device():
    """In their order, on training and evaluation, the datamodule's before the module's."""
    calls = []

    class Transfers(Data):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            calls.append(("before", dataloader_idx))
            return batch + 1

        def transfer_batch_to_device(self, batch, device, dataloader_idx):
            calls.append(("move", str(device)))
            return batch.to(device)

        def on_after_batch_transfer(self, batch, dataloader_idx):
            calls.append(("after", dataloader_idx))
            return batch * 2

    model = Sees()
    trainer = quiet()
    trainer.fit(model, datamodule=Transfers())

    assert calls == [("before", 0), ("move", str(trainer.strategy.root_device)), ("after", 0)] * 3
    assert torch.equal(model.trained[0].cpu(), (next(iter(batches(2))) + 1) * 2)


def test_a_module_without_loaders_can_be_given_some():
    """Loaders passed to the method go before the module's."""
    model = Sees()
    model.val_dataloader = lambda: batches(5)
    quiet().validate(model, batches(2), verbose=False)

    assert len(model.validated) == 2


def test_halves_are_warned_of():
    """A step without data, or data without a step, is seldom meant."""
    with pytest.warns(UserWarning, match="no `val_dataloader`"):
        quiet().fit(TinyModule(), batches(1))

    class NoStep(TinyModule):
        validation_step = LightningModule.validation_step

    with pytest.warns(UserWarning, match="no `validation_step`"):
        quiet().fit(NoStep(), batches(1), batches(1))


def test_a_loader_that_ends_early_is_told():
    """A stream shorter than its limit ends the epoch; that the work of a last batch was left out is said."""

    class Stream:
        def __iter__(self):
            return iter(batches(3))

    trainer = Trainer(**QUIET, max_epochs=1, limit_train_batches=5)

    with pytest.warns(UserWarning, match="ended after 3 batches, but 5"):
        trainer.fit(TinyModule(), Stream())

    assert trainer.global_step == 3
