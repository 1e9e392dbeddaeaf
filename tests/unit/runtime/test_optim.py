"""What `configure_optimizers` returned, and how it is stepped."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim import lr_scheduler as schedulers

from fulgurite.base.errors import MisconfigurationException
from fulgurite.core.module import LightningModule
from fulgurite.core.precision import Precision
from fulgurite.metrics import Board, Moment
from fulgurite.progress import Progress
from fulgurite.runtime.optim import (
    LightningOptimizer,
    LRSchedulerConfig,
    NoOptimizer,
    clip,
    configure,
    optimizer_to_device,
    parameters_of,
    step_schedulers,
)
from fulgurite.runtime.plan import Plan
from fulgurite.runtime.session import Session
from fulgurite.strategies.single import SingleDeviceStrategy


class Model(LightningModule):
    """Returns from `configure_optimizers` whatever ``make(sgd)`` gives."""

    def __init__(self, make=lambda sgd: sgd, automatic=True):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.make, self.automatic_optimization = make, automatic
        self.sgd = SGD(self.layer.parameters(), lr=1.0)

    def configure_optimizers(self):
        return self.make(self.sgd)


class OwnStep(Model):
    def lr_scheduler_step(self, scheduler, metric):
        scheduler.step(7)


class Halving:
    """A scheduler that torch did not write."""

    def __init__(self, optimizer):
        self.optimizer, self.steps = optimizer, []

    def step(self):
        self.steps.append(None)

    def state_dict(self):
        return {}

    def load_state_dict(self, state): ...


class ByEpoch(Halving):
    def step(self, epoch):
        self.steps.append(epoch)


def every(sgd, **kwargs):
    return schedulers.StepLR(sgd, 1, gamma=0.1, **kwargs)


def plateau(sgd):
    return schedulers.ReduceLROnPlateau(sgd, patience=0, factor=0.1)


def session(model, metrics=None):
    """A run of ``model`` as far as schedulers see it."""
    optimizers, configs = configure(model)
    return Session(
        trainer=SimpleNamespace(callback_metrics=metrics or {}), module=model, plan=Plan(), progress=Progress(),
        board=Board(), moment=Moment(), strategy=SingleDeviceStrategy(), precision=Precision(),
        callbacks=[], loggers=[],
        optimizers=optimizers, schedulers=configs,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda sgd: sgd, 0),
        (lambda sgd: [sgd], 0),
        (lambda sgd: (sgd,), 0),
        (lambda sgd: ([sgd], []), 0),
        (lambda sgd: ([sgd], [every(sgd)]), 1),
        (lambda sgd: ([sgd], every(sgd)), 1),
        (lambda sgd: ([sgd], [{"scheduler": every(sgd)}, every(sgd)]), 2),
        (lambda sgd: {"optimizer": sgd}, 0),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": None}, 0),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": every(sgd)}, 1),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": {"scheduler": every(sgd)}}, 1),
        (lambda sgd: [{"optimizer": sgd, "lr_scheduler": every(sgd)}], 1),
    ],
    ids=range(12),
)
def test_every_form_of_return(make, count):
    """Each documented form gives the optimizer and its schedulers, with Lightning's defaults, without a word."""
    model = Model(make)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizers, configs = configure(model)

    assert optimizers == [model.sgd]
    assert configs == [LRSchedulerConfig(config.scheduler) for config in configs] and len(configs) == count


def test_a_dict_says_when_the_scheduler_steps():
    """All fields of a scheduler's dict arrive; the monitor may stand beside the scheduler."""
    model = Model(lambda sgd: {
        "optimizer": sgd, "monitor": "loss",
        "lr_scheduler": {"scheduler": plateau(sgd), "interval": "step", "frequency": 2, "strict": False, "name": "lr"},
    })  # fmt: skip

    (config,) = configure(model)[1]

    assert (config.interval, config.frequency, config.strict, config.name) == ("step", 2, False, "lr")
    assert (config.monitor, config.reduce_on_plateau) == ("loss", True)


def test_none_trains_without_an_optimizer():
    """None is allowed with a warning: the closure is computed, nothing else happens, and nothing is saved."""
    with pytest.warns(UserWarning, match="without an optimizer"):
        (optimizer,), configs = configure(Model(lambda sgd: None))

    assert isinstance(optimizer, NoOptimizer) and isinstance(optimizer, Optimizer) and configs == []
    assert optimizer.step(lambda: 5) == 5 and optimizer.step() is None
    assert optimizer.state_dict() == {} and parameters_of(optimizer) == []


@pytest.mark.parametrize("make", [
    lambda sgd: 3, lambda sgd: [], lambda sgd: {}, lambda sgd: [3], lambda sgd: ([], []), lambda sgd: (sgd, every(sgd)),
    lambda sgd: {"optimizer": [sgd]}, lambda sgd: [sgd, {"optimizer": sgd}],
], ids=range(8))  # fmt: skip
def test_unknown_forms_are_refused_with_the_known_ones(make):
    """Whatever else is returned is shown, with the forms that are understood."""
    with pytest.raises(
        MisconfigurationException, match="Unknown configuration for model optimizers.*Return an optimizer"
    ):
        configure(Model(make))


@pytest.mark.parametrize(("entry", "message"), [
    (lambda sgd: {"interval": "step"}, 'must have the key "scheduler"; found: interval'),
    (lambda sgd: {"scheduler": every(sgd), "interval": "batch"}, "interval='batch' of StepLR"),
    (lambda sgd: {"scheduler": every(sgd), "frequency": 0}, "frequency=0 of StepLR"),
    (lambda sgd: plateau(sgd), "ReduceLROnPlateau needs a metric to watch"),
    (lambda sgd: {"scheduler": every(sgd), "reduce_on_plateau": True}, "StepLR needs a metric to watch"),
    (lambda sgd: every(SGD([torch.zeros(1)], lr=1.0)), "did not return"),
    (lambda sgd: ByEpoch(sgd), "ByEpoch does not follow torch's API"),
    (lambda sgd: [every(sgd)], "list does not follow torch's API"),
], ids=range(8))  # fmt: skip
def test_wrong_schedulers_are_named(entry, message):
    """A scheduler that could not be stepped is refused before the run."""
    with pytest.raises(MisconfigurationException, match=message):
        configure(Model(lambda sgd: {"optimizer": sgd, "lr_scheduler": entry(sgd)}))


@pytest.mark.parametrize("make", [
    lambda sgd: schedulers.OneCycleLR(sgd, 0.1, total_steps=9), lambda sgd: schedulers.CyclicLR(sgd, 0.1, 0.2),
], ids=["OneCycleLR", "CyclicLR"])  # fmt: skip
def test_per_batch_schedulers_warn_when_they_step_per_epoch(make):
    """The warning shows the interval to set; with it, nothing is said."""
    with pytest.warns(RuntimeWarning, match='"interval": "step"'):
        configure(Model(lambda sgd: {"optimizer": sgd, "lr_scheduler": make(sgd)}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configure(Model(lambda sgd: {"optimizer": sgd, "lr_scheduler": {"scheduler": make(sgd), "interval": "step"}}))


def test_misspelt_keys_warn():
    """Keys that mean nothing are named and left out, in both dicts."""
    model = Model(lambda sgd: {"optimizer": sgd, "lr": 1, "lr_scheduler": {"scheduler": every(sgd), "freq": 2}})

    with pytest.warns(RuntimeWarning, match="lr_scheduler dict.*freq"), pytest.warns(match="optimizer dict.*lr"):
        assert configure(model)[1][0].frequency == 1


def test_the_refusal_shows_the_shape():
    """The error shows the nesting by class names instead of the optimizers' whole settings."""
    with pytest.raises(MisconfigurationException, match=r"returned \(SGD, \{'a': \[StepLR\]\}\)\. Return"):
        configure(Model(lambda sgd: (sgd, {"a": [every(sgd)]})))


def test_two_optimizers_need_manual_optimisation():
    """The automatic loop refuses them and says how to go on; by hand they are fine."""
    both = lambda sgd: [sgd, SGD([torch.zeros(1)], lr=1.0)]  # noqa: E731

    with pytest.raises(RuntimeError, match="automatic_optimization = False"):
        configure(Model(both))
    assert len(configure(Model(both, automatic=False))[0]) == 2


def test_manual_optimisation_asks_nothing_of_schedulers():
    """By hand any scheduler goes, a plateau without monitor too; keys that only the loop reads are named."""
    assert configure(Model(lambda sgd: ([sgd], [plateau(sgd), ByEpoch(sgd)]), automatic=False))[1][0].monitor is None
    with pytest.warns(RuntimeWarning, match="monitor, strict"):
        configure(Model(lambda sgd: ([sgd], [{"scheduler": plateau(sgd), "monitor": "x", "strict": True}]), False))


def test_other_libraries_schedulers_step():
    """What steps without arguments and keeps a state is stepped; what needs arguments, by the override."""
    run = session(Model(lambda sgd: ([sgd], [Halving(sgd)])))
    step_schedulers(run, "epoch")
    own = session(OwnStep(lambda sgd: ([sgd], [ByEpoch(sgd)])))
    step_schedulers(own, "epoch")

    assert run.schedulers[0].scheduler.steps == [None]
    assert own.schedulers[0].scheduler.steps == [7]


@pytest.mark.parametrize(("frequency", "rates"), [(1, [0.1, 0.01, 0.001, 0.0001]), (3, [1.0, 1.0, 0.1, 0.1])])
@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_schedulers_step_by_their_interval_and_frequency(interval, frequency, rates):
    """Step schedulers count the epoch's batches from one, epoch schedulers the epochs; others do not move."""
    entry = lambda sgd: {"scheduler": every(sgd), "interval": interval, "frequency": frequency}  # noqa: E731
    run, seen = session(Model(lambda sgd: ([sgd], [entry(sgd)]))), []
    run.optimizers[0].step()
    for index in range(4):
        run.progress.batches_ready, run.progress.epoch = index + 1, index
        step_schedulers(run, interval)
        step_schedulers(run, "epoch" if interval == "step" else "step")
        step_schedulers(run, interval, plateau=True)
        seen.append(run.optimizers[0].param_groups[0]["lr"])

    assert seen == pytest.approx(rates)
    assert run.progress.scheduler_steps == 4 // frequency


def test_nothing_steps_while_gradients_accumulate():
    """In the middle of a window step schedulers wait."""
    run = session(Model(lambda sgd: ([sgd], [{"scheduler": every(sgd), "interval": "step"}])))
    run.progress.batches_ready = 1
    step_schedulers(run, "step", closes=False)

    assert run.progress.scheduler_steps == 0


def test_a_plateau_follows_its_metric():
    """The watched value decides; it is looked up when the scheduler is due."""
    run = session(Model(lambda sgd: {"optimizer": sgd, "lr_scheduler": plateau(sgd), "monitor": "loss"}))
    for loss in (1.0, 2.0):
        run.trainer.callback_metrics = {"loss": torch.tensor(loss)}
        step_schedulers(run, "epoch", plateau=True)

    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1)


def test_a_missing_metric_is_an_error_or_a_warning():
    """Strict schedulers stop the run and name what was logged; others keep the learning rate and say so."""
    entry = lambda sgd, strict: {"scheduler": plateau(sgd), "monitor": "val", "strict": strict}  # noqa: E731
    strict = session(Model(lambda sgd: ([sgd], [entry(sgd, True)])), {"loss": 1.0, "acc": 0.5})
    lax = session(Model(lambda sgd: ([sgd], [entry(sgd, False)])))

    with pytest.raises(
        MisconfigurationException, match="monitor='val', which was not logged. Logged so far: acc, loss"
    ):
        step_schedulers(strict, "epoch", plateau=True)
    with pytest.warns(RuntimeWarning, match="Logged so far: nothing"):
        step_schedulers(lax, "epoch", plateau=True)
    assert lax.progress.scheduler_steps == 0


def test_a_wrapped_optimizer_passes_for_the_optimizer():
    """Class, attributes and state are the optimizer's; the wrapper is still known as itself."""
    model = Model()
    wrapped = LightningOptimizer(model.sgd)

    assert isinstance(wrapped, SGD) and isinstance(wrapped, LightningOptimizer) and not isinstance(wrapped, Adam)
    assert wrapped.optimizer is model.sgd and wrapped.param_groups is model.sgd.param_groups
    assert wrapped.state_dict() == model.sgd.state_dict() and repr(wrapped).startswith("LightningSGD")
    model.layer(torch.ones(1, 2)).sum().backward()
    wrapped.zero_grad()
    assert model.layer.weight.grad is None


def test_a_wrapped_step_goes_through_the_run():
    """The run's function gets the optimizer, the closure and further arguments, and its answer comes back."""
    seen, model = [], Model()
    wrapped = LightningOptimizer(model.sgd, on_step=lambda *args, **kwargs: seen.append((args, kwargs)) or "answer")
    closure = lambda: 1.0  # noqa: E731

    assert wrapped.step(closure, extra=2) == "answer"
    assert seen == [((model.sgd, closure), {"extra": 2})]
    assert LightningOptimizer(model.sgd).step(closure) == 1.0
    with pytest.raises(MisconfigurationException, match="got 3 .int.; the closure must be callable"):
        wrapped.step(3)


def test_a_scheduler_can_be_built_on_a_wrapped_optimizer():
    """torch takes the wrapper for an optimizer, and stepping changes the real learning rate."""
    model = Model()
    wrapped = LightningOptimizer(model.sgd)
    scheduler = every(wrapped)
    wrapped.step()
    scheduler.step()

    assert model.sgd.param_groups[0]["lr"] == pytest.approx(0.1)


def test_toggling_leaves_only_the_optimizers_parameters_trainable():
    """Inside, the other parameters need no gradients; afterwards all are as before, after an error too."""
    model = Model()
    model.other = nn.Linear(1, 1)
    optimizers = [model.sgd, SGD(model.other.parameters(), lr=1.0)]
    model.trainer = SimpleNamespace(optimizers=optimizers, strategy=SingleDeviceStrategy("cpu"))
    wrapped = LightningOptimizer(model.sgd, module=model)

    with pytest.raises(KeyError), wrapped.toggle_model():
        assert model.layer.weight.requires_grad and not model.other.weight.requires_grad
        raise KeyError
    assert model.other.weight.requires_grad


@pytest.mark.parametrize(("value", "algorithm", "clipped"), [
    (1.0, "norm", [0.6, 0.8]), (1.0, None, [0.6, 0.8]), (3.5, "value", [3.0, 3.5]), (None, "norm", [3.0, 4.0]),
    (0, "norm", [3.0, 4.0]), (-1, "value", [3.0, 4.0]),
])  # fmt: skip
def test_clipping(value, algorithm, clipped):
    """By norm or by value, and not at all for None, zero and less."""
    parameter = torch.zeros(2, requires_grad=True)
    parameter.grad = torch.tensor([3.0, 4.0])
    clip(SGD([parameter], lr=1.0), value, algorithm, Precision())

    assert torch.allclose(parameter.grad, torch.tensor(clipped), atol=1e-5)


def test_an_unknown_clipping_is_refused():
    """Only the two algorithms are known."""
    with pytest.raises(MisconfigurationException, match="gradient_clip_algorithm='sum': choose 'norm' or 'value'"):
        clip(SGD([torch.zeros(1)], lr=1.0), 1.0, "sum", Precision())


def test_an_optimizers_memory_moves_and_its_counts_stay():
    """Moments go to the device; Adam's step count stays on the CPU unless the optimizer computes with it there."""
    parameter = torch.zeros(2, requires_grad=True)
    for capturable, home in ((False, "cpu"), (True, "meta")):
        adam = Adam([parameter])
        parameter.grad = torch.ones(2)
        adam.step()
        adam.param_groups[0]["capturable"] = capturable
        optimizer_to_device(adam, torch.device("meta"))
        state = adam.state[parameter]

        assert state["exp_avg"].device.type == "meta" and state["step"].device.type == home
