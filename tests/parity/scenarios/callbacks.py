"""Callbacks whose decisions users see: when EarlyStopping stops, what LearningRateMonitor writes, Timer's state."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity.scenarios.kit import Bench, Scenarios, all_metrics, batches

SCENARIOS = Scenarios()


def following(values: list[float], where: str) -> Callable:
    """Return a module that logs ``values[epoch]`` as ``v`` in training or validation."""

    def module(bench):
        class Following(bench.Tiny):
            def note(self):
                self.log("v", values[min(self.current_epoch, len(values) - 1)], on_step=False, on_epoch=True)

            def training_step(self, batch, batch_idx):
                if where == "train":
                    self.note()
                return super().training_step(batch, batch_idx)

            def validation_step(self, batch, batch_idx):
                if where == "val":
                    self.note()

        return Following

    return module


def stopping(pl, folder, *, values, where="val", trainer=None, **options) -> dict[str, Any]:
    """Fit until EarlyStopping says so; return where it stopped and what it remembers."""
    bench = Bench(pl, folder)
    stop = pl.callbacks.EarlyStopping("v", **options)
    running = bench.trainer(**{"max_epochs": 8, "callbacks": [stop], **(trainer or {})})
    running.fit(following(values, where)(bench)(), batches(2), batches(1, seed=1))
    attributes = "wait_count stopped_epoch best_score patience min_delta".split()
    return {
        "epoch": running.current_epoch,
        "step": running.global_step,
        "should_stop": running.should_stop,
        "key": stop.state_key,
        "attributes": {name: _number(getattr(stop, name)) for name in attributes},
        "state": {
            key: bool(value) if key.endswith("message") else _number(value) for key, value in stop.state_dict().items()
        },
        "reason": stop.stopping_reason.value if hasattr(stop.stopping_reason, "value") else stop.stopping_reason,
    }


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value


_flat = [1.0, 0.9, 0.95, 0.93, 0.94, 0.91, 0.8]
for _name, _options in {
    "patience_1": {"values": _flat, "patience": 1},
    "patience_3": {"values": _flat, "patience": 3},
    "patience_0": {"values": _flat, "patience": 0},
    "never": {"values": [1 / (1 + i) for i in range(9)]},
    "min_delta": {"values": [1.0, 0.99, 0.98, 0.97, 0.96], "min_delta": 0.05, "patience": 2},
    "mode_max": {"values": [1.0, 2.0, 1.5, 1.4], "mode": "max", "patience": 2},
    "not_finite": {"values": [1.0, float("nan")], "patience": 5},
    "not_finite_unchecked": {"values": [1.0, float("nan")], "patience": 3, "check_finite": False},
    "threshold": {"values": [1.0, 0.5, 0.2, 0.1], "stopping_threshold": 0.3},
    "divergence": {"values": [1.0, 3.0, 9.0], "divergence_threshold": 5.0},
    "in_training": {"values": _flat, "where": "train", "patience": 1},
    "at_train_epoch_end": {"values": _flat, "patience": 1, "check_on_train_epoch_end": True},
    "at_validation_end": {"values": _flat, "patience": 1, "check_on_train_epoch_end": False},
    "missing_not_strict": {"values": _flat, "where": "nowhere", "strict": False, "trainer": {"max_epochs": 2}},
    "min_epochs": {"values": _flat, "patience": 0, "trainer": {"min_epochs": 5}},
    "mid_epoch_validation": {"values": [1.0], "patience": 2, "trainer": {"val_check_interval": 1}},
    "validation_every_2": {"values": _flat, "patience": 1, "trainer": {"check_val_every_n_epoch": 2}},
}.items():
    SCENARIOS[f"stopping_{_name}"] = partial(stopping, **_options)


def rates(pl, folder, *, configure, monitor=None, train=3, **options) -> dict[str, Any]:
    """Fit with a LearningRateMonitor; return its rows and metrics."""
    bench = Bench(pl, folder)

    class Scheduled(bench.Tiny):
        def configure_optimizers(self):
            return configure(self)

    callback = pl.callbacks.LearningRateMonitor(**(monitor or {}))
    trainer = bench.trainer(**{"max_epochs": 2, "callbacks": [callback], **options})
    trainer.fit(Scheduled(), batches(train), batches(1, seed=1))
    return {"rows": bench.logger.rows, "metrics": all_metrics(trainer), "lrs": getattr(callback, "lrs", None)}


def _sgd(module, **options):
    return torch.optim.SGD(module.parameters(), lr=0.4, **options)


def _halving(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


def _each(interval: str, **more: Any) -> Callable:
    def configure(module):
        optimizer = _sgd(module, momentum=0.9, weight_decay=0.01)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": _halving(optimizer), "interval": interval, **more},
        }

    return configure


def _two_groups(module):
    groups = [{"params": [module.net.weight]}, {"params": [module.net.bias], "lr": 0.1}]
    optimizer = torch.optim.Adam(groups, lr=0.2)
    return [optimizer], [_halving(optimizer)]


def _named_groups(module):
    groups = [{"params": [module.net.weight], "name": "w"}, {"params": [module.net.bias], "name": "b"}]
    optimizer = torch.optim.SGD(groups, lr=0.2)
    return [optimizer], [{"scheduler": _halving(optimizer), "name": "mine"}]


for _name, _options in {
    "epoch": {"configure": _each("epoch")},
    "step": {"configure": _each("step")},
    "forced_epoch": {"configure": _each("step"), "monitor": {"logging_interval": "epoch"}},
    "forced_step": {"configure": _each("epoch"), "monitor": {"logging_interval": "step"}},
    "extras": {"configure": _each("epoch"), "monitor": {"log_momentum": True, "log_weight_decay": True}},
    "named": {"configure": _each("epoch", name="rate")},
    "two_groups": {"configure": _two_groups},
    "named_groups": {"configure": _named_groups},
    "without_scheduler": {"configure": _sgd},
    "every_2": {"configure": _each("step"), "log_every_n_steps": 2, "train": 5},
    "accumulating": {"configure": _each("step"), "accumulate_grad_batches": 2, "train": 5},
}.items():
    SCENARIOS[f"rates_{_name}"] = partial(rates, **_options)


@SCENARIOS
def rates_of_two_optimizers(pl, folder):
    """Two optimizers of one class are told apart by a number."""

    bench = Bench(pl, folder)

    class Manual(bench.Tiny):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(self.loss(batch))
                optimizer.step()

        def configure_optimizers(self):
            both = [torch.optim.SGD([self.net.weight], lr=0.1), torch.optim.SGD([self.net.bias], lr=0.2)]
            return both, [_halving(optimizer) for optimizer in both]

    trainer = bench.trainer(callbacks=[pl.callbacks.LearningRateMonitor()])
    trainer.fit(Manual(), batches(2))
    return {"rows": bench.logger.rows, "metrics": all_metrics(trainer)}


@SCENARIOS
def timer(pl, folder):
    """A Timer that has run out stops before the first batch; its state holds seconds per stage."""
    bench = Bench(pl, folder)
    clock = pl.callbacks.Timer(duration={"seconds": 0})
    trainer = bench.trainer(callbacks=[clock], max_epochs=3)
    trainer.fit(bench.Tiny(), batches(3), batches(1, seed=1))
    state = clock.state_dict()
    return {
        "epoch": trainer.current_epoch,
        "step": trainer.global_step,
        "keys": sorted(state),
        "stages": sorted(str(getattr(stage, "value", stage)) for stage in state["time_elapsed"]),
        "remaining": clock.time_remaining() <= 0,
        "key": clock.state_key,
    }


@SCENARIOS
def accumulation_schedule(pl, folder):
    """GradientAccumulationScheduler changes the window between epochs."""
    bench = Bench(pl, folder)
    steps = []

    class Counting(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            steps.append(trainer.global_step)

    schedule = pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 2, 2: 4})
    trainer = bench.trainer(callbacks=[schedule, Counting()], max_epochs=4)
    trainer.fit(bench.Tiny(), batches(5))
    return {"steps": steps}


@SCENARIOS
def lambda_callback(pl, folder):
    """LambdaCallback runs the functions it is given."""
    bench = Bench(pl, folder)
    called = []
    callback = pl.callbacks.LambdaCallback(
        setup=lambda trainer, module, stage: called.append("setup"),
        on_train_epoch_end=lambda trainer, module: called.append("epoch"),
        on_train_batch_end=lambda trainer, module, outputs, batch, batch_idx: called.append(batch_idx),
    )
    bench.trainer(callbacks=[callback]).fit(bench.Tiny(), batches(2))
    return {"called": called}
