"""Misuses of ``self.log``: values, names, flags and hooks."""

from collections.abc import Callable
from functools import partial

import torch

from parity.scenarios.errors import fit, in_step, overriding
from parity.scenarios.errors import group as group_into
from parity.scenarios.kit import Scenarios, batches, several_loaders

SCENARIOS = Scenarios()
group = partial(group_into, scenarios=SCENARIOS)

_bad_values = {"dict": {"a": 1}, "str": "1.0", "None": None, "vector": torch.ones(2), "list": [1.0]}
group(
    "log_values",
    {
        **{
            f"value {kind}": (in_step(lambda module, loss, value=value: module.log("x", value)), "x")
            for kind, value in _bad_values.items()
        },
        "neither": (in_step(lambda m, loss: m.log("x", loss, on_step=False, on_epoch=False)), "on_epoch"),
        "reduce_fx": (in_step(lambda m, loss: m.log("x", loss, reduce_fx="median")), "reduce_fx"),
        "reduce function": (in_step(lambda m, loss: m.log("x", loss, reduce_fx=torch.median)), "reduce_fx"),
        "reserved name": (in_step(lambda m, loss: m.log("x/dataloader_idx_0", loss)), "dataloader_idx"),
        "name not a str": (in_step(lambda m, loss: m.log(3, loss)), "str"),
        "twice differently": (in_step(lambda m, loss: (m.log("x", loss), m.log("x", loss, on_epoch=True))), "x"),
        "log_dict of a tensor": (in_step(lambda m, loss: m.log_dict(loss)), "dict"),
        "no batch size": (
            fit(
                overriding(
                    training_step=lambda self, batch, batch_idx: (
                        self.log("x", 1.0, on_epoch=True) or self.net.weight.sum()
                    )
                ),
                train=lambda: torch.utils.data.DataLoader(["a", "b"], batch_size=None),
            ),
            "batch_size",
        ),
    },
)


def _metric_elsewhere(pl, bench):
    import torchmetrics

    metric = torchmetrics.MeanMetric()
    in_step(lambda module, loss: module.log("x", metric))(pl, bench)


def _same_name_over_loaders(pl, bench):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("x", 1.0, add_dataloader_idx=False)

    fit(overriding(validation_step=validation_step), val=lambda: [batches(1), batches(1)])(pl, bench)


group(
    "log_metrics",
    {
        "metric not on the module": (_metric_elsewhere, "metric_attribute"),
        "one name over two loaders": (_same_name_over_loaders, "x"),
        "two loaders are fine": (
            fit(lambda pl, bench: several_loaders(bench.Tiny), val=lambda: [batches(1), batches(1)]),
            "",
        ),
    },
)


def _logs(self, *args, **kwargs):
    self.log("x", 1.0)


_forbidden = """
    setup prepare_data on_fit_start on_fit_end on_train_end on_validation_end configure_optimizers configure_model
    train_dataloader on_save_checkpoint on_before_batch_transfer on_after_batch_transfer transfer_batch_to_device
    on_validation_model_eval on_validation_model_zero_grad teardown configure_callbacks
""".split()
_allowed = """
    on_train_start on_train_epoch_start on_train_epoch_end on_train_batch_start on_train_batch_end
    on_validation_start on_validation_epoch_start on_validation_epoch_end on_validation_batch_start
    on_validation_batch_end on_before_zero_grad on_before_backward on_after_backward on_before_optimizer_step
""".split()
_epoch_only = [name for name in _allowed if "epoch" in name or name in ("on_train_start", "on_validation_start")]


def _in_hook(name: str) -> Callable:
    def case(pl, bench):
        def function(self, *args, **kwargs):
            self.log("x", 1.0)
            return getattr(super(cls, self), name)(*args, **kwargs)

        cls = type("Logging", (bench.Tiny,), {name: function})
        checkpoint = pl.callbacks.ModelCheckpoint(dirpath=bench.folder)
        trainer = bench.trainer(callbacks=[checkpoint], enable_checkpointing=True)
        loaders = {} if name == "train_dataloader" else {"train_dataloaders": batches(1)}
        trainer.fit(cls(), **loaders, val_dataloaders=batches(1))

    return case


group("log_in_hooks", {name: (_in_hook(name), name) for name in (*_forbidden, *_allowed)})
group(
    "log_on_step_in_epoch_hooks",
    {
        name: (
            fit(overriding(**{name: lambda self, *args: self.log("x", 1.0, on_step=True)}), val=lambda: batches(1)),
            "on_step",
        )
        for name in _epoch_only
    },
)
group(
    "log_in_predict",
    {
        name: (
            lambda pl, bench, name=name: bench.trainer().predict(type("P", (bench.Tiny,), {name: _logs})(), batches(1)),
            name,
        )
        for name in ("predict_step", "on_predict_start", "on_predict_batch_end", "on_predict_epoch_end")
    },
)
