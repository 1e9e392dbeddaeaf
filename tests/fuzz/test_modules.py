"""Modules that answer with values that nobody means: the run goes on, or the error says what was wrong."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fulgurite import LightningModule, Trainer
from fulgurite.base.errors import CheckpointError
from fulgurite.testing import QUIET, TinyModule, batches
from support.depth import examples
from support.strange import CLEAR, VALUES, check_refusal, parameters, values

pytestmark = pytest.mark.filterwarnings("ignore")
FLAGS = sorted(set(parameters(LightningModule.log)) - {"self", "name", "value", "sync_dist_group"})
#: What a user sees besides: torch's own word on what was handed to it, and the run's on what it can't use.
FROM_TORCH = (RuntimeError, IndexError)


def trained(module: LightningModule, loader: object = None, **arguments: object) -> Trainer:
    trainer = Trainer(**{**QUIET, "max_epochs": 1, **arguments})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, batches(2) if loader is None else loader, batches(1))
    return trainer


class Logs(TinyModule):
    """Logs in each step what it was made for."""

    def __init__(self, name: object, value: object, flags: dict[str, object]) -> None:
        super().__init__()
        self.what = name, value, flags

    def training_step(self, batch, batch_idx):
        name, value, flags = self.what
        self.log(name, value, **flags)
        return super().training_step(batch, batch_idx)


@examples()
@given(name=values | st.just("mine"), value=values, flags=st.dictionaries(st.sampled_from(FLAGS), values, max_size=2))
def test_a_value_is_logged_or_refused(name, value, flags):
    """Names, values and flags: the error names one of them."""
    try:
        trained(Logs(name, value, flags))
    except Exception as error:
        check_refusal(error, {"self.log": value, "log(": name, **flags})


class Configures(TinyModule):
    """Returns from ``configure_optimizers`` what a function makes of its parameters."""

    def __init__(self, make) -> None:
        super().__init__()
        self.make = make

    def configure_optimizers(self):
        return self.make(self)


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), 0.1)


PARTS = [
    *(lambda module, value=value: value for value in VALUES),
    *[sgd] * 12,
    lambda module: LambdaLR(sgd(module), lambda epoch: 1.0),
    lambda module: ReduceLROnPlateau(sgd(module)),
]
KEYS = [
    "optimizer",
    "lr_scheduler",
    "scheduler",
    "interval",
    "frequency",
    "monitor",
    "strict",
    "name",
    "optimizers",
    "x",
]
part = st.sampled_from(PARTS)
shapes = st.recursive(
    part,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: lambda module: [one(module) for one in each]),
        st.lists(inner, max_size=3).map(lambda each: lambda module: tuple(one(module) for one in each)),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4).map(
            lambda each: lambda module: {key: one(module) for key, one in each.items()}
        ),
    ),
    max_leaves=6,
)


@examples()
@given(make=shapes)
def test_what_configures_no_optimizer_is_refused(make):
    """All kinds of shapes around optimizers, schedulers and other things."""
    try:
        trained(Configures(make))
    except (*CLEAR, RuntimeError) as error:  # the last for several optimizers, as of old
        told = str(error)
        assert any(word in told for word in ("configure_optimizers", "scheduler", "optimizer")), told


class Returns(TinyModule):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def training_step(self, batch, batch_idx):
        return self.value


@examples()
@given(value=values | st.dictionaries(st.sampled_from(["loss", "x"]), values, max_size=2))
def test_a_step_returns_a_loss_or_is_told_what_to_return(value):
    """Anything but a loss, None, or a dict with a loss."""
    try:
        trained(Returns(value))
    except CLEAR as error:
        assert "training_step" in str(error) or "loss" in str(error), str(error)
    except FROM_TORCH as error:
        assert "grad" in str(error), str(error)


class Holds(TinyModule):
    def __init__(self, given: object = None) -> None:
        super().__init__()
        self.save_hyperparameters()


@examples()
@given(value=st.recursive(values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(values.filter(
    lambda key: type(key).__hash__ is not None and not isinstance(key, slice | torch.Tensor)), inner, max_size=2),
    max_leaves=4))  # fmt: skip
def test_any_hyperparameter_is_kept_or_left_out_with_a_word(value, tmp_path_factory):
    """The checkpoint is written, and can be read safely; what is missing has to be given."""
    path = tmp_path_factory.mktemp("any") / "a.ckpt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trained(Holds(value)).save_checkpoint(path)
        except Exception as error:
            check_refusal(error, {"given": value})
            return
        try:
            Holds.load_from_checkpoint(path)
        except TypeError as error:
            assert "given" in str(error)
        except CheckpointError as error:
            assert str(path) in str(error)


batch = st.recursive(
    values | st.just(torch.ones(2, 4)), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=2), inner, max_size=2) | st.tuples(inner, inner), max_leaves=5,
)  # fmt: skip


class TakesAny(TinyModule):
    """Logs, so that a batch size is looked for."""

    def training_step(self, batch, batch_idx):
        self.log("loss", 1.0, on_epoch=True)
        return sum(each.sum() for each in self.parameters())


@examples()
@given(given=st.lists(batch, min_size=1, max_size=2))
def test_a_batch_of_any_structure_reaches_the_step(given):
    """It is moved, and its size looked for; a size that can't be found is said."""
    try:
        trained(TakesAny(), given, log_every_n_steps=1)
    except CLEAR as error:
        assert "batch" in str(error), str(error)


@examples()
@given(path=values)
@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_a_ckpt_path_is_a_path_or_refused(verb, path):
    """Nothing of it is there."""
    trainer = Trainer(**{**QUIET, "max_epochs": 1})
    try:
        getattr(trainer, verb)(TinyModule(), batches(1), ckpt_path=path)
    except (CheckpointError, OSError) as error:
        assert str(path).rstrip("/")[:20] in str(error) or repr(path)[1:20] in str(error), str(error)
    except Exception as error:
        check_refusal(error, {"ckpt_path": path})


@examples()
@given(loader=values)
@pytest.mark.parametrize("verb", ["fit", "validate"])
def test_loaders_are_iterable_or_refused(verb, loader):
    """The error says what was given for the loader."""
    trainer = Trainer(**{**QUIET, "max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 2})
    module = TakesAny()
    module.validation_step = lambda batch, batch_idx: None
    try:
        getattr(trainer, verb)(module, loader)
    except CLEAR as error:
        assert "dataloader" in str(error) or "batch" in str(error), str(error)


@examples()
@given(model=values)
def test_a_model_is_a_module_or_refused(model):
    """Also where it is compiled or wrapped."""
    try:
        Trainer(**QUIET).fit(model)
    except CLEAR as error:
        assert "model" in str(error).lower() or "data" in str(error), str(error)
