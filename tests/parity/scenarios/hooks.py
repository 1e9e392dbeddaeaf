"""The order of hooks, the clock they see and the weights they leave, over loaders, limits and cadences."""

from functools import partial

import torch

from parity.scenarios.kit import SHAPING_HOOKS, Bench, Scenarios, batches, fit, several_loaders, stream

SCENARIOS = Scenarios()


two_val = partial(batches, 2, seed=1)

SCENARIOS.fit("fit_plain", val=two_val, max_epochs=2)
SCENARIOS.fit("fit_plain_all_hooks", val=two_val, quiet_module=False)
SCENARIOS.fit("no_val", max_epochs=2)
SCENARIOS.fit("accumulate", train=partial(batches, 5), accumulate_grad_batches=2, max_epochs=2, quiet_module=False)
SCENARIOS.fit("accumulate_val", train=partial(batches, 5), val=two_val, accumulate_grad_batches=2, val_check_interval=1)
SCENARIOS.fit("max_steps_mid_epoch", train=partial(batches, 4), val=two_val, max_epochs=-1, max_steps=6)
SCENARIOS.fit(
    "max_steps_with_accumulation", train=partial(batches, 5), max_steps=4, max_epochs=5, accumulate_grad_batches=2
)
SCENARIOS.fit("val_every_2_batches", train=partial(batches, 5), val=two_val, val_check_interval=2, max_epochs=2)
SCENARIOS.fit("val_every_half_epoch", train=partial(batches, 5), val=two_val, val_check_interval=0.5)
SCENARIOS.fit(
    "val_every_7_across_epochs",
    train=partial(batches, 4),
    val=two_val,
    max_epochs=4,
    val_check_interval=7,
    check_val_every_n_epoch=None,
)
SCENARIOS.fit("val_every_2_epochs", val=two_val, check_val_every_n_epoch=2, max_epochs=4)
SCENARIOS.fit("stream_without_val", train=partial(stream, 3), max_epochs=2)
SCENARIOS.fit("stream_with_val", train=partial(stream, 3), val=partial(stream, 2, seed=1), max_epochs=2)
SCENARIOS.fit("stream_val_every_2", train=partial(stream, 3), val=two_val, val_check_interval=2, max_epochs=2)
SCENARIOS.fit("fast_dev_run", val=two_val, fast_dev_run=2, max_epochs=3)
SCENARIOS.fit(
    "limits_int", train=partial(batches, 5), val=partial(batches, 4), limit_train_batches=2, limit_val_batches=1
)
SCENARIOS.fit(
    "limits_float", train=partial(batches, 5), val=partial(batches, 4), limit_train_batches=0.5, limit_val_batches=0.5
)
SCENARIOS.fit("limit_val_0", val=two_val, limit_val_batches=0)
SCENARIOS.fit("limit_train_0", val=two_val, limit_train_batches=0, max_epochs=2)
SCENARIOS.fit("overfit_batches", train=partial(batches, 4, shuffle=True), val=two_val, overfit_batches=2, max_epochs=2)
SCENARIOS.fit("min_epochs", max_epochs=2, min_epochs=2)
SCENARIOS.fit("max_epochs_0", val=two_val, max_epochs=0)
SCENARIOS.fit("max_steps_0", val=two_val, max_steps=0)
SCENARIOS.fit("sanity_all", val=partial(batches, 3, seed=1), num_sanity_val_steps=-1)
SCENARIOS.fit("sanity_none", val=two_val, num_sanity_val_steps=0)
SCENARIOS.fit("clip_norm", train=partial(batches, 4), gradient_clip_val=0.1, quiet_module=False)
SCENARIOS.fit("clip_value", train=partial(batches, 4), gradient_clip_val=0.05, gradient_clip_algorithm="value")
SCENARIOS.fit("train_loaders_dict", train=lambda: {"a": batches(3), "b": batches(2, 1, seed=2)}, max_epochs=2)
SCENARIOS.fit("train_loaders_list", train=lambda: [batches(2), batches(3, 1, seed=2)])
SCENARIOS.fit("train_loaders_nested", train=lambda: {"a": [batches(2), batches(1)], "b": batches(3, 1, seed=2)})
SCENARIOS.fit(
    "val_loaders_list",
    val=lambda: [batches(2, seed=1), batches(1, 3, seed=2)],
    module=lambda bench: several_loaders(bench.Tiny),
)
SCENARIOS.fit(
    "val_loaders_dict",
    val=lambda: {"near": batches(2, seed=1), "far": batches(1, 3, seed=2)},
    module=lambda bench: several_loaders(bench.Tiny),
)
SCENARIOS.fit(
    "val_loaders_limited",
    val=lambda: [batches(4, seed=1), batches(2, 3, seed=2)],
    module=lambda bench: several_loaders(bench.Tiny),
    limit_val_batches=0.5,
    num_sanity_val_steps=1,
)
SCENARIOS.fit(
    "both_val_hooks_module_loaders",
    val=lambda: [batches(1, seed=1), batches(1, seed=2)],
    module=lambda bench: several_loaders(bench.Tiny),
    quiet_module=False,
)


def combined(mode):
    def run(pl, folder):
        loaders = {"a": batches(3), "b": batches(2, 1, seed=2)}
        return fit(pl, folder, train=lambda: pl.utilities.CombinedLoader(loaders, mode), max_epochs=2)

    return run


for _mode in ("min_size", "max_size", "max_size_cycle"):
    SCENARIOS[f"combined_{_mode}"] = combined(_mode)


@SCENARIOS
def shuffled(pl, folder):
    """The random stream is spent as Lightning spends it: same order of rows, same dropout masks."""

    def module(bench):
        class Dropping(bench.Tiny):
            def training_step(self, batch, batch_idx):
                x, number = batch
                return self.loss([torch.nn.functional.dropout(x, 0.5), number])

        return Dropping

    def train():
        pl.seed_everything(5)
        return batches(4, shuffle=True)

    return fit(pl, folder, train=train, val=partial(batches, 2, seed=1), module=module, max_epochs=3)


@SCENARIOS
def datamodule(pl, folder):
    """A DataModule's hooks come before the module's; its loaders and transfer hooks are used."""
    bench = Bench(pl, folder)

    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return batches(2)

        def val_dataloader(self):
            return batches(1, seed=1)

        def test_dataloader(self):
            return batches(1, seed=2)

        def predict_dataloader(self):
            return batches(1, seed=3)

    module, data = bench.module(), bench.datamodule(Data)
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(module, datamodule=data)
    trainer.validate(module, datamodule=data, verbose=False)
    trainer.test(module, datamodule=data, verbose=False)
    trainer.predict(module, datamodule=data)
    return bench.record(trainer, module)


@SCENARIOS
def loaders_on_module(pl, folder):
    """Loaders defined on the module are asked for when they are first needed."""

    def module(bench):
        class Own(bench.Tiny):
            def train_dataloader(self):
                return batches(2)

            def val_dataloader(self):
                return batches(1, seed=1)

        return Own

    bench = Bench(pl, folder)
    made = bench.module(module(bench))
    trainer = bench.trainer(callbacks=[bench.callback()], max_epochs=2)
    trainer.fit(made)
    return bench.record(trainer, made)


@SCENARIOS
def reload_every_epoch(pl, folder):
    """Loaders are asked for again at each epoch."""
    bench = Bench(pl, folder)

    class Own(bench.Tiny):
        def train_dataloader(self):
            return batches(2, seed=self.current_epoch)

        def val_dataloader(self):
            return batches(1, seed=1)

    made = bench.module(Own, skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()], max_epochs=3, reload_dataloaders_every_n_epochs=1)
    trainer.fit(made)
    return bench.record(trainer, made)


@SCENARIOS
def own_callbacks(pl, folder):
    """``configure_callbacks`` adds callbacks and replaces those of the same type."""
    bench = Bench(pl, folder)
    kinds = []

    class Kept(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            kinds.append("kept")

    class Replaced(pl.Callback):
        def __init__(self, origin="trainer"):
            self.origin = origin

        def on_train_start(self, trainer, pl_module):
            kinds.append(f"replaced from {self.origin}")

    class Own(bench.Tiny):
        def configure_callbacks(self):
            return [
                Replaced("module"),
                pl.callbacks.EarlyStopping("x", strict=False, check_on_train_epoch_end=True),
            ]

    module = bench.module(Own, skip=SHAPING_HOOKS)
    checkpoint = pl.callbacks.ModelCheckpoint(dirpath=folder)
    trainer = bench.trainer(callbacks=[checkpoint, Replaced(), Kept()], enable_checkpointing=True)
    trainer.fit(module, batches(2))
    names = [type(callback).__name__ for callback in trainer.callbacks]
    return bench.record(trainer, module, kinds=kinds, callbacks=names)


@SCENARIOS
def monitoring_callbacks_last(pl, folder):
    """At ``on_train_epoch_end`` the module comes before EarlyStopping and checkpoints, elsewhere after all."""
    bench = Bench(pl, folder)

    class Logging(bench.Tiny):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("loss", loss, on_epoch=True)
            return loss

    module = bench.module(Logging, skip=SHAPING_HOOKS)
    stop = bench.callback(pl.callbacks.EarlyStopping, "stop", monitor="loss", check_on_train_epoch_end=True)
    save = bench.callback(pl.callbacks.ModelCheckpoint, "save", dirpath=folder, monitor="loss")
    trainer = bench.trainer(callbacks=[save, stop, bench.callback()], enable_checkpointing=True)
    trainer.fit(module, batches(2), batches(1, seed=1))
    return bench.record(trainer, module)


@SCENARIOS
def saving_in_validation(pl, folder):
    """A checkpoint saved at the end of a mid-epoch validation: where in the order, with which clock."""
    bench = Bench(pl, folder)

    class Logging(bench.Tiny):
        def validation_step(self, batch, batch_idx):
            self.log("val", self.loss(batch))

    module = bench.module(Logging, skip=SHAPING_HOOKS)
    save = bench.callback(pl.callbacks.ModelCheckpoint, "save", dirpath=folder, monitor="val")
    trainer = bench.trainer(callbacks=[bench.callback(), save], enable_checkpointing=True, val_check_interval=2)
    trainer.fit(module, batches(4), batches(1, seed=1))
    return bench.record(trainer, module, files=sorted(path.name for path in folder.glob("*.ckpt")))
