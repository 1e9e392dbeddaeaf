"""Modules and data modules that come back from a checkpoint."""

import argparse
import enum
import pathlib
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional

from fulgurite.base import rank
from fulgurite.base.errors import CheckpointError, UntrustedCheckpoint
from fulgurite.base.format import read, write
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.hparams import AttributeDict, pack_hyper_parameters
from fulgurite.core.module import LightningModule


class Kind(enum.Enum):
    SMALL = "small"


@dataclass
class Config:
    width: int = 4
    folder: pathlib.Path = pathlib.Path("a")


class Net(LightningModule):
    def __init__(self, width=2, kind=Kind.SMALL, folder=pathlib.Path("a")):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)
        self.events = []

    def configure_model(self):
        self.events.append("configure_model")

    def on_load_checkpoint(self, checkpoint):
        self.events.append(checkpoint["epoch"])


class Open(Net):
    def __init__(self, **kwargs):
        super().__init__(folder=pathlib.Path("fixed"), **kwargs)


class Conf(LightningModule):
    def __init__(self, conf, extra=1):
        super().__init__()
        self.save_hyperparameters(conf)
        self.conf, self.extra = conf, extra
        self.layer = torch.nn.Linear(self.hparams.width, 1)


class Sub(Conf):
    def __init__(self, width, **more):
        super().__init__({"width": width, **more})


class Forwarding(Conf):
    def __init__(self, **more):
        super().__init__(**more)


class Data(LightningDataModule):
    def __init__(self, folder, size=1):
        super().__init__()
        self.save_hyperparameters()
        self.seen = 0

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


@pytest.fixture(autouse=True)
def forget_warnings():
    rank._warned.clear()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.ckpt"


def save(path, *owners):
    """What a trainer saves of its module and data module."""
    checkpoint = {"epoch": 1, "state_dict": owners[0].state_dict()}
    for owner in owners:
        pack_hyper_parameters(owner, checkpoint)
        if isinstance(owner, LightningDataModule):
            checkpoint[type(owner).__qualname__] = owner.state_dict()
    write(checkpoint, path)


def test_a_module_comes_back_with_weights_and_hyperparameters(path):
    """Of their own types; the hooks are called in Lightning's order."""
    net = Net(width=3, folder=pathlib.Path("b"))
    save(path, net)

    back = Net.load_from_checkpoint(path)

    assert torch.equal(back.layer.weight, net.layer.weight)
    assert back.hparams == {"width": 3, "kind": Kind.SMALL, "folder": pathlib.Path("b")}
    assert back.events == ["configure_model", 1]


def test_the_callers_arguments_go_first(path):
    """And saved ones that ``__init__`` does not take are passed by."""
    net = Net(width=3)
    net.hparams["unknown"] = 1
    save(path, net)

    assert Net.load_from_checkpoint(path, kind="other").hparams.kind == "other"


def test_a_class_with_open_arguments_gets_what_it_was_given(path):
    """Not what it gave to its base class by itself, which it would give twice."""
    net = Open(width=3)
    assert net.hparams.folder == pathlib.Path("fixed")
    save(path, net)

    assert Open.load_from_checkpoint(path).hparams == net.hparams


@pytest.mark.parametrize("saved", [True, 3, [1]])
@pytest.mark.parametrize("name", ["kwargs", "conf"])
def test_hyperparameters_that_are_no_arguments_are_told(path, saved, name):
    """Saved as one object that the class does not take, or damaged."""
    save(path, Net(width=3))
    checkpoint = read(path)
    write({**checkpoint, "hyper_parameters": saved, "hparams_name": name}, path)

    with pytest.raises(CheckpointError, match="checkpoint's hyperparameters are.*Net has no argument"):
        Net.load_from_checkpoint(path)


@pytest.mark.parametrize(
    "conf",
    [{"width": 3}, argparse.Namespace(width=3), Config(3, pathlib.Path("b")), AttributeDict(width=3)],
    ids=["dict", "namespace", "dataclass", "attributes"],
)
def test_one_argument_of_hyperparameters_comes_back_as_such(path, conf):
    """A dataclass as that dataclass, its contents overridden by name."""
    save(path, Conf(conf))

    back = Conf.load_from_checkpoint(path, extra=2)

    assert back.conf == conf and back.extra == 2
    assert type(back.conf) is (AttributeDict if isinstance(conf, dict) else type(conf))
    assert Conf.load_from_checkpoint(path, strict=False, conf={"width": 3, "x": 1}).conf["x"] == 1


def test_an_argument_is_found_in_the_right_class(path):
    """A dict that a subclass made for its base is no argument of its own; one that it passed on is."""
    save(path, Sub(3, depth=2))
    assert Sub.load_from_checkpoint(path).hparams == {"width": 3, "depth": 2}

    save(path, Forwarding(conf={"width": 3}, extra=5))
    back = Forwarding.load_from_checkpoint(path, extra=6)
    assert back.conf == {"width": 3} and back.extra == 6


def test_what_was_left_out_must_be_given(path):
    """The error says so."""

    class Wrap(LightningModule):
        def __init__(self, net, scale=1.0):
            super().__init__()
            self.save_hyperparameters(ignore="net")
            self.net = net

    save(path, Wrap(torch.nn.Linear(2, 1), 2.0))

    with pytest.raises(TypeError, match=r"'net'.*load_from_checkpoint\(path, net=\.\.\.\)"):
        Wrap.load_from_checkpoint(path)
    assert Wrap.load_from_checkpoint(path, net=torch.nn.Linear(2, 1)).hparams.scale == 2.0


class Blocks(LightningModule):
    def __init__(self, act=torch.nn.ReLU, loss=functional.mse_loss, opt=torch.optim.SGD, net=None, when=slice(1, 2)):
        super().__init__()
        self.save_hyperparameters()
        self.net = net


class Swish(torch.nn.Module):
    pass


class Twofold(LightningModule):
    def __init__(self, net=None, **more):
        super().__init__()
        self.save_hyperparameters()


def my_loss(a, b):
    return a - b


CHOSEN = {
    "act": torch.nn.GELU,
    "loss": functional.l1_loss,
    "opt": torch.optim.AdamW,
    "net": [torch.tanh, functional.gelu, Swish, {"schedule": torch.optim.lr_scheduler.StepLR}],
    "when": slice(0, None, 2),
}


def test_building_blocks_come_back_by_name(path, recwarn):
    """Classes and functions of torch, and imported modules, are the very same; readers that know no names miss them."""
    save(path, Blocks(**CHOSEN))

    assert Blocks.load_from_checkpoint(path).hparams == CHOSEN
    assert Blocks.load_from_checkpoint(path, weights_only=False, act=torch.nn.ReLU).hparams.act is torch.nn.ReLU
    assert torch.load(path, weights_only=True)["hyper_parameters"] == {"when": [0, None, 2]}
    assert not recwarn.list


@pytest.mark.parametrize("value", [my_loss, torch.nn.Linear(1, 1), len, Kind, torch.load, functional.boolean_dispatch])
def test_what_was_no_plain_data_is_asked_for(path, value):
    """No default takes its place in silence: the error says what it was, and the ways to load and to save it."""
    with pytest.warns(UserWarning, match="left out"):
        save(path, Blocks(loss=value))

    with pytest.raises(
        TypeError, match=r"'loss'.*load_from_checkpoint\(path, loss=\.\.\.\).*pickle=.*ignore="
    ) as raised:
        Blocks.load_from_checkpoint(path)

    assert getattr(value, "__name__", type(value).__name__) in str(raised.value)
    assert Blocks.load_from_checkpoint(path, loss=value).hparams.loss is value


def test_what_was_left_out_deeper_is_asked_for(path):
    """By the argument that held it, whatever way the hyperparameters take to ``__init__``."""
    with pytest.warns(UserWarning, match="left out"):
        save(path, Twofold(net={"depth": 1, "loss": my_loss}, opened=my_loss))
    with pytest.raises(TypeError, match=r"hyper_parameters\['net'\]\['loss'\].*net=\.\.\., opened=\.\.\."):
        Twofold.load_from_checkpoint(path)
    assert Twofold.load_from_checkpoint(path, net=1, opened=2).hparams == {"net": 1, "opened": 2}

    with pytest.warns(UserWarning, match="left out"):
        save(path, Conf({"width": 1, "other": my_loss}))
    with pytest.raises(TypeError, match=r"'other'"):
        Conf.load_from_checkpoint(path)
    assert Conf.load_from_checkpoint(path, other=3).conf == {"width": 1, "other": 3}
    assert Conf.load_from_checkpoint(path, conf={"width": 1}).conf == {"width": 1}


def test_what_init_does_not_take_is_not_asked_for(path):
    """Nor is what ``ignore`` left out."""
    net = Net(width=3)
    net.hparams["unknown"] = my_loss
    with pytest.warns(UserWarning, match="left out"):
        save(path, net)

    assert Net.load_from_checkpoint(path).hparams.width == 3


def test_a_hparams_file_answers_for_what_was_left_out(path, tmp_path):
    """Its values count as given."""
    with pytest.warns(UserWarning, match="left out"):
        save(path, Blocks(net=my_loss))
    (tmp_path / "hparams.yaml").write_text("net: 5")

    assert Blocks.load_from_checkpoint(path, hparams_file=tmp_path / "hparams.yaml").hparams.net == 5


def test_a_module_class_that_is_not_imported_is_asked_for(path, monkeypatch):
    """A file's name brings nothing in."""
    save(path, Blocks(act=Swish))
    monkeypatch.delitem(globals(), "Swish")

    with pytest.raises(TypeError, match=r"Swish.*[Ii]mport.*act=\.\.\."):
        Blocks.load_from_checkpoint(path)


@pytest.mark.parametrize(
    "name",
    [
        *("os:system", "builtins:exec", "torch:load", "torch.nn.functional:warnings", "torch.nn.functional:importlib"),
        *("torch.nn.functional:boolean_dispatch", "torch.nn:Module.cuda", "torch.nn:modules", "subprocess:Popen"),
        *("torch.optim:Optimizer.step", "torch.hub:load", "torch.nn.functional:handle_torch_function", "torch:nn", 3),
    ],
)
def test_a_forged_name_brings_nothing(path, name):
    """Only building blocks may be named, whatever else the program has imported."""
    save(path, Blocks(act=torch.nn.GELU))
    file = torch.load(path, weights_only=True)
    (place,) = [place for place in file["fulgurite"]["types"] if place[0][-1] == "act"]
    place[1][1] = name
    torch.save(file, path)

    with pytest.raises(TypeError, match=r"act=\.\.\."):
        Blocks.load_from_checkpoint(path)


def test_pickled_hyperparameters_need_two_words(path):
    """One when saving, one when loading."""

    class Wrap(LightningModule):
        def __init__(self, act):
            super().__init__()
            self.save_hyperparameters(pickle="act")

    save(path, Wrap(torch.nn.functional.relu))

    with pytest.raises(UntrustedCheckpoint, match="relu"):
        Wrap.load_from_checkpoint(path)
    assert Wrap.load_from_checkpoint(path, weights_only=False).hparams.act is torch.nn.functional.relu


def test_strictness(path):
    """Given, or the module's own, but not one against the other."""
    save(path, Net())
    checkpoint = read(path)
    checkpoint["state_dict"]["more"] = torch.zeros(1)
    write(checkpoint, path)

    with pytest.raises(RuntimeError, match="more"):
        Net.load_from_checkpoint(path)
    assert isinstance(Net.load_from_checkpoint(path, strict=False), Net)
    with pytest.raises(ValueError, match="strict=True contradicts"):
        Loose.load_from_checkpoint(path, strict=True)
    assert isinstance(Loose.load_from_checkpoint(path), Loose)


class Loose(Net):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.strict_loading = False


def test_it_is_called_on_the_class(path):
    """On an instance the result would be lost."""
    for owner in (Net(), Data("a")):
        with pytest.raises(TypeError, match="load_from_checkpoint"):
            owner.load_from_checkpoint(path)


def test_a_file_of_bare_weights_is_no_checkpoint(path):
    """The error says how such a file is loaded."""
    torch.save(Net().state_dict(), path)

    with pytest.raises(CheckpointError, match="no 'state_dict'"):
        Net.load_from_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("h.yaml", "width: 3\nkind: x\n"), ("h.csv", "key,value\nwidth,3\nkind,x\n")],
    ids=["yaml", "csv"],
)
def test_hyperparameters_may_come_from_a_file(tmp_path, path, name, text):
    """It takes the place of those in the checkpoint."""
    net = Net(width=3)
    save(path, net)
    (tmp_path / name).write_text(text)

    back = Net.load_from_checkpoint(path, hparams_file=tmp_path / name)

    assert back.hparams == {"width": 3, "kind": "x", "folder": pathlib.Path("a")}


def test_a_file_with_code_is_no_hyperparameters(tmp_path, path):
    """YAML tags that build objects are refused."""
    save(path, Net())
    (tmp_path / "h.yaml").write_text("width: !!python/object/apply:os.getcwd []\n")

    with pytest.raises(CheckpointError, match="no plain YAML"):
        Net.load_from_checkpoint(path, hparams_file=tmp_path / "h.yaml")


def test_a_data_module_comes_back_with_its_state(path):
    """Beside the module, under keys of its own."""
    data = Data(pathlib.Path("d"), size=3)
    data.seen = 7
    save(path, Net(), data)

    back = Data.load_from_checkpoint(path, size=4)

    assert back.hparams == {"folder": pathlib.Path("d"), "size": 4} and back.seen == 7
    assert read(path)["hyper_parameters"].keys() == {"width", "kind", "folder"}


@pytest.mark.slow
def test_lightning_reads_what_is_written_and_the_reverse(tmp_path):
    """A file of Lightning's with a path, a namespace and a NumPy number, written again here: Lightning resumes it."""
    pl = pytest.importorskip("lightning.pytorch")
    import numpy as np

    class Model(pl.LightningModule):
        def __init__(self, folder="a", space=None, lr=0.1):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            return self.layer(batch).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=float(self.hparams.lr), momentum=0.9)

    def trainer(epochs):
        off = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
        return pl.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=tmp_path, **dict.fromkeys(off, False))

    loader = torch.utils.data.DataLoader(torch.ones(4, 2), batch_size=2)
    theirs, ours = tmp_path / "theirs.ckpt", tmp_path / "ours.ckpt"
    first = trainer(1)
    model = Model(pathlib.Path("b"), argparse.Namespace(a=1), np.float64(0.5))
    first.fit(model, loader)
    first.save_checkpoint(theirs)

    write(read(theirs), ours)
    second = trainer(2)
    second.fit(Model(lr=0.5), loader, ckpt_path=ours, weights_only=True)

    assert second.global_step == 4
    assert Model.load_from_checkpoint(ours, weights_only=True).hparams.folder == "b"
    back = read(ours)
    assert back["hyper_parameters"] == {"folder": pathlib.Path("b"), "space": argparse.Namespace(a=1), "lr": 0.5}
    assert type(back["hyper_parameters"]["lr"]) is np.float64 and type(back["state_dict"]) is OrderedDict
