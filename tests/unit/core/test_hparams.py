"""What ``save_hyperparameters`` keeps, for whom, and what it does not."""

import argparse
import copy
import pickle
import sys
import threading
from dataclasses import dataclass

import pytest
import torch

from fulgurite.base import rank
from fulgurite.core.hparams import AttributeDict, HyperparametersMixin, pack_hyper_parameters
from fulgurite.core.module import LightningModule


@pytest.fixture(autouse=True)
def forget_warnings():
    rank._warned.clear()


class Plain(LightningModule):
    def __init__(self, a, b=2, *rest, c=3, **more):
        super().__init__()
        self.save_hyperparameters()


class Takes(LightningModule):
    def __init__(self, conf, other=None, **saving):
        super().__init__()
        self.save_hyperparameters(conf, **saving)


@dataclass
class Config:
    lr: float = 0.1
    width: int = 4


def test_an_attribute_dict_is_a_dict_with_dots():
    """Reading, setting, deleting; it can be copied and pickled, and names what is missing."""
    d = AttributeDict(a=1, nested=AttributeDict(b=2))
    d.c = 3
    del d.a

    assert d.nested.b == 2 and d["c"] == 3 and "c" in dir(d)
    assert copy.deepcopy(d) == pickle.loads(pickle.dumps(d)) == d
    assert type(copy.deepcopy(d).nested) is AttributeDict
    assert repr(AttributeDict(a="x")) == "\"a\": 'x'"
    with pytest.raises(AttributeError, match="'lr'"):
        d.lr
    assert not hasattr(d, "__deepcopy__")


def test_all_arguments_are_kept():
    """Defaults, keyword arguments and ``**more``; neither ``self`` nor ``*rest``."""
    model = Plain(1, 5, 7, c=9, z=10)

    assert model.hparams == {"a": 1, "b": 5, "c": 9, "z": 10}
    assert model.hparams.z == 10 and model._hparams_name == "kwargs" and model._log_hyperparams


def test_without_a_call_there_are_none():
    """And nothing is logged or saved."""
    model, checkpoint = LightningModule(), {}

    pack_hyper_parameters(model, checkpoint)

    assert model.hparams == {} == model.hparams_initial and not model._log_hyperparams and checkpoint == {}


def test_a_subclass_is_saved_with_its_base():
    """The base class calls; the arguments of both are kept, those of the object's own class first."""

    class Child(Plain):
        def __init__(self, depth, a=0):
            super().__init__(a=depth + 1)

    assert Child(3).hparams == {"depth": 3, "a": 0, "b": 2, "c": 3}


def test_arguments_of_the_surrounding_object_stay_out():
    """A module made in another's ``__init__`` keeps its own arguments alone."""

    class Outer(LightningModule):
        def __init__(self, a="outer", secret=1):
            super().__init__()
            self.inner = Plain("inner")

    assert Outer().inner.hparams.a == "inner" and "secret" not in Outer().inner.hparams


def test_mixins_may_save_too():
    """A class of the hierarchy that is no module itself."""

    class Mixin:
        def __init__(self, m=1, **more):
            super().__init__(**more)
            self.save_hyperparameters()

    class Model(Mixin, LightningModule):
        def __init__(self, a):
            super().__init__(m=5)

    assert Model(2).hparams == {"m": 5, "a": 2}


def test_names_select():
    """Strings name arguments; an unknown name is an error."""

    class Some(LightningModule):
        def __init__(self, a, b, name="b"):
            super().__init__()
            self.save_hyperparameters("a", name)

    assert Some(1, 2).hparams == {"a": 1, "b": 2}
    with pytest.raises(KeyError, match="'zzz'.*a, b, name"):
        Some(1, 2, "zzz")


def test_values_select_their_own_names():
    """Several objects are found by identity, so equal ones are not mixed up."""

    class Some(LightningModule):
        def __init__(self, a, b, c):
            super().__init__()
            self.save_hyperparameters(b, c)

    assert Some([], [], {}).hparams == {"b": [], "c": {}}


@pytest.mark.parametrize(
    "conf",
    [{"lr": 0.1, "width": 4}, argparse.Namespace(lr=0.1, width=4), Config()],
    ids=["dict", "namespace", "dataclass"],
)
def test_one_object_gives_all_hyperparameters(conf):
    """Its contents are the hyperparameters; the argument's name is remembered."""
    model = Takes(conf)

    assert model.hparams == {"lr": 0.1, "width": 4} and model.hparams.lr == 0.1
    assert model._hparams_name == "conf"


def test_the_name_is_that_of_the_very_object():
    """Two equal dicts are two arguments."""

    class Second(LightningModule):
        def __init__(self, first, second):
            super().__init__()
            self.save_hyperparameters(second)

    assert Second({"a": 1}, {"a": 1})._hparams_name == "second"


@pytest.mark.parametrize("conf", [1, 0.5, True, None, [1], torch.zeros(1)])
def test_a_single_value_is_refused(conf):
    """Hyperparameters have names."""
    with pytest.raises(ValueError, match="Pass a dict"):
        Takes(conf)


def test_later_calls_add():
    """And ``hparams_initial`` has them all."""
    model = LightningModule()
    model.save_hyperparameters({"a": 1})
    model.save_hyperparameters({"b": 2}, logger=False)

    assert model.hparams == model.hparams_initial == {"a": 1, "b": 2}
    assert not model._log_hyperparams


@pytest.mark.parametrize("ignore", ["x", ["x"], ("x", "absent")])
def test_ignored_names_are_left_out_and_taken_back(ignore):
    """Also what a base class saved."""

    class Base(LightningModule):
        def __init__(self, x=1, y=2):
            super().__init__()
            self.save_hyperparameters()

    class Child(Base):
        def __init__(self, z=3):
            super().__init__(x=5, y=6)
            self.save_hyperparameters(ignore=ignore)

    model = Child()

    assert model.hparams == model.hparams_initial == {"y": 6, "z": 3}
    assert Takes({"x": 1, "y": 2}, ignore=ignore).hparams == {"y": 2}


def test_a_dataclass_module_saves_in_post_init():
    """Its ``__init__`` is generated."""

    @dataclass(eq=False)
    class Model(LightningModule):
        width: int = 1
        depth: int = 2

        def __post_init__(self):
            super().__init__()
            self.save_hyperparameters()

    assert Model(4).hparams == {"width": 4, "depth": 2}


def test_the_call_may_stand_before_super_init():
    """Nothing is registered as a parameter or a submodule."""

    class Early(LightningModule):
        def __init__(self, a, net=None):
            self.save_hyperparameters("a")
            super().__init__()

    model = Early(1)

    assert model.hparams == {"a": 1} and not list(model.children()) and not model.state_dict()


def test_a_frame_may_be_given():
    """Where another object does the saving."""

    class Model(LightningModule):
        def __init__(self, a):
            super().__init__()
            threads = threading.Thread(target=self.save_hyperparameters, kwargs={"frame": sys._getframe()})
            threads.start()
            threads.join()

    assert Model(3).hparams == {"a": 3}


def test_outside_init_there_is_nothing_to_save():
    """Which is said."""
    model = LightningModule()

    with pytest.warns(UserWarning, match="outside `__init__`"):
        model.save_hyperparameters()

    assert model.hparams == {}


def test_later_changes_of_arguments_do_not_leak():
    """Neither into the hyperparameters nor into their initial values."""
    layers, conf = [1, {"a": [2]}], {"lr": [1]}
    model, other = Plain(layers), Takes(conf)

    layers[1]["a"].append(3)
    conf["new"] = 1
    conf["lr"].append(2)

    assert model.hparams.a == model.hparams_initial.a == [1, {"a": [2]}]
    assert other.hparams == other.hparams_initial == {"lr": [1]}


def test_initial_values_stay():
    """Through changes of ``hparams`` and of what ``hparams_initial`` returned."""
    model = Plain(1)
    model.hparams.a = 2
    model.hparams_initial["a"] = 3

    assert model.hparams_initial.a == 1 and model.hparams.a == 2


def test_what_cannot_be_copied_is_shared_with_one_warning():
    """A lock, say."""
    lock = threading.Lock()

    with pytest.warns(UserWarning, match="'a' cannot be copied") as said:
        model = Plain(lock)
        assert model.hparams_initial.a is lock

    assert len(said) == 1


def test_modules_are_advised_against():
    """Their weights would be kept twice; with ``pickle`` it is meant."""
    with pytest.warns(UserWarning, match=r"ignore=\['a'\]"):
        Plain(torch.nn.Linear(1, 1))


def test_pickling_is_noted_for_the_checkpoint(recwarn):
    """Together with the arguments that only base classes take."""

    class Base(LightningModule):
        def __init__(self, x):
            super().__init__()
            self.save_hyperparameters()

    class Child(Base):
        def __init__(self, net):
            super().__init__(x=1)
            self.save_hyperparameters(pickle="net")

    model, checkpoint = Child(torch.nn.ReLU()), {}
    pack_hyper_parameters(model, checkpoint)

    assert checkpoint["hyper_parameters"].keys() == {"net", "x"} and checkpoint["hparams_name"] == "kwargs"
    assert checkpoint["fulgurite"] == {"hyper_parameters": {"inherited": ["x"], "pickle": ["net"]}}
    with pytest.raises(ValueError, match="nothing.*a"):
        Takes({"a": 1}, pickle=["nothing"])


def test_the_mixin_needs_no_init():
    """Any class may have hyperparameters."""

    class Thing(HyperparametersMixin):
        def __init__(self, a):
            self.save_hyperparameters()

    thing = Thing(1)

    assert pickle.loads(pickle.dumps(thing.hparams)) == copy.deepcopy(thing).hparams == {"a": 1}
