"""How runs begin and end: the order of it, what is refused before anything runs, and hyperparameters on their way."""

import pytest

from fulgurite import LightningDataModule, LightningModule, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.testing import QUIET, TinyModule, batches, record_hooks
from support.observed import FullData, Noted, Witness

pytestmark = pytest.mark.filterwarnings("ignore:You ")


def quiet(**arguments):
    return Trainer(**{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def test_the_order_of_a_run():
    """Data before model, callbacks before the module, teardown last."""
    model, data, witness = TinyModule(), FullData(), Witness()
    calls = record_hooks(model, data, witness)
    quiet(callbacks=witness).fit(model, datamodule=data)

    at_the_edges = ("prepare_data", "setup", "teardown", "on_fit_start", "on_fit_end")
    edges = [one for one in calls if one.endswith(at_the_edges)]
    assert edges == [
        "FullData.prepare_data", "TinyModule.prepare_data", "FullData.setup", "Witness.setup", "TinyModule.setup",
        "Witness.on_fit_start", "TinyModule.on_fit_start", "Witness.on_fit_end", "TinyModule.on_fit_end",
        "FullData.teardown", "Witness.teardown", "TinyModule.teardown",
    ]  # fmt: skip


class Bare(LightningModule):
    pass


@pytest.mark.parametrize(
    ("verb", "missing"),
    [("fit", "training_step"), ("validate", "validation_step"), ("test", "test_step"), ("predict", "predict_step")],
)
def test_what_a_verb_needs(verb, missing):
    """The step that is missing is named before any data is asked for."""
    with pytest.raises(MisconfigurationException, match=missing):
        getattr(quiet(), verb)(Bare(), batches(1))


def test_fit_needs_optimizers():
    """``configure_optimizers`` must be there, though it may return None."""

    class Half(Bare):
        def training_step(self, batch, batch_idx):
            """Nothing."""

    with pytest.raises(MisconfigurationException, match="configure_optimizers"):
        quiet().fit(Half(), batches(1))


def hyper(owner, **values):
    class Has(owner):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters(values)

        def train_dataloader(self):
            return batches(1)

    return Has()


@pytest.mark.parametrize(
    ("modules", "datas", "sent"),
    [
        ({"lr": 0.1}, {"size": 2}, [{"lr": 0.1, "size": 2}]), ({"lr": 0.1}, {"lr": 0.1}, [{"lr": 0.1}]),
        ({}, {"size": 2}, [{"size": 2}]), ({}, {}, []),
    ],
)  # fmt: skip
def test_hyperparameters_of_module_and_datamodule_are_sent_as_one(modules, datas, sent):
    """Once for each logger."""
    loggers = [Noted(), Noted()]
    quiet(logger=loggers).fit(hyper(TinyModule, **modules), datamodule=hyper(LightningDataModule, **datas))

    assert [logger.hyperparameters for logger in loggers] == [sent, sent]


def test_hyperparameters_that_disagree():
    """The name and both values are told."""
    with pytest.raises(RuntimeError, match="'lr' is 0.1 in the module and 0.2 in the datamodule"):
        quiet(logger=Noted()).fit(hyper(TinyModule, lr=0.1), datamodule=hyper(LightningDataModule, lr=0.2))


def test_states_of_a_run():
    """As hooks see them, and afterwards."""
    seen = []

    class Looks(TinyModule):
        def look(self, *_):
            seen.append((str(self.trainer.state.fn), str(self.trainer.state.stage), str(self.trainer.state.status)))

        on_fit_start = on_validation_start = on_train_end = look

    trainer = quiet(num_sanity_val_steps=1)
    trainer.fit(Looks(), batches(1), batches(1))
    trainer.validate(Looks(), batches(1), verbose=False)

    assert seen == [
        ("fit", "train", "running"), ("fit", "sanity_check", "running"), ("fit", "validate", "running"),
        ("fit", "train", "running"), ("validate", "validate", "running"),
    ]  # fmt: skip
    assert (trainer.state.fn, trainer.state.stage, trainer.state.status) == ("validate", None, "finished")
    assert not (trainer.training or trainer.validating or trainer.sanity_checking or trainer.testing)
