"""Where settings are found and set."""

from types import SimpleNamespace

from fulgurite import LightningDataModule, LightningModule
from fulgurite.tuner.settings import places_of, read, write


class Module(LightningModule):
    def __init__(self, lr=0.1, optim=None):
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr


def test_attribute_and_hyperparameter_are_set_together():
    """So no two of them disagree."""
    module = Module()

    write(places_of("lr", module), 0.5)

    assert (module.lr, module.hparams.lr) == (0.5, 0.5)


def test_dots_lead_inside():
    """Into hyperparameters, dicts and objects, however deep."""
    module = Module(optim={"adam": {"lr": 1.0}})
    module.settings = SimpleNamespace(rate=2.0)

    for name, found in {"hparams.lr": 0.1, "hparams.optim.adam.lr": 1.0, "settings.rate": 2.0}.items():
        places = places_of(name, module)
        assert read(places) == found
        write(places, 3.0)
        assert read(places_of(name, module)) == 3.0
    assert module.lr == 0.1


def test_a_datamodule_may_hold_it_alone():
    """And nobody may hold it."""
    data = LightningDataModule()
    data.batch_size = 4

    assert places_of("batch_size", Module(), data) == [(data, "batch_size")]
    assert places_of("batch_size", Module(), None) == []
    assert places_of("hparams.nothing.lr", Module()) == []
