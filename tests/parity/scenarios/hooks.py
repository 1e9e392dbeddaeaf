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


SCENARIOS.fit(
    "accumulate_val_all_hooks",
    train=partial(batches, 5),
    val=two_val,
    accumulate_grad_batches=2,
    val_check_interval=1,
    quiet_module=False,
)
SCENARIOS.fit("limit_sanity_and_val", val=partial(batches, 3, seed=1), num_sanity_val_steps=5, limit_val_batches=2)


@SCENARIOS
def val_loader_without_step(pl, folder):
    """A validation loader without ``validation_step`` is left alone."""

    def module(bench):
        class Training(pl.LightningModule):
            def __init__(self):
                super().__init__()
                torch.manual_seed(1)
                self.net = torch.nn.Linear(3, 1)

            def training_step(self, batch, batch_idx):
                return self.net(batch[0]).sum()

            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.1)

        return Training

    return fit(pl, folder, val=two_val, module=module)


@SCENARIOS
def transfer_hooks_change_the_batch(pl, folder):
    """What ``on_after_batch_transfer`` returns is what the step gets, in training and validation."""

    def module(bench):
        class Scaling(bench.Tiny):
            def on_before_batch_transfer(self, batch, dataloader_idx):
                return [batch[0] * 2, batch[1]]

            def on_after_batch_transfer(self, batch, dataloader_idx):
                return [batch[0] + dataloader_idx + 1, batch[1]]

            def validation_step(self, batch, batch_idx):
                self.log("val", self.loss(batch))

        return Scaling

    return fit(pl, folder, val=two_val, module=module)


@SCENARIOS
def datamodule_transfer_wins(pl, folder):
    """Transfer hooks of the DataModule take the place of the module's."""
    bench = Bench(pl, folder)

    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return batches(2)

        def on_after_batch_transfer(self, batch, dataloader_idx):
            return [batch[0] * 3, batch[1]]

    module = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(module, bench.datamodule(Data))
    return bench.record(trainer, module)


@SCENARIOS
def eval_mode_before_fit(pl, folder):
    """A model that comes in eval mode is trained in eval mode; validation leaves every mode as it was."""
    bench = Bench(pl, folder)
    module = bench.module(skip=SHAPING_HOOKS)
    module.eval()
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(module, batches(2), batches(1, seed=1))
    return bench.record(trainer, module)


@SCENARIOS
def without_inference_mode(pl, folder):
    """``inference_mode=False`` evaluates under ``no_grad``."""
    bench = Bench(pl, folder)
    module = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()], inference_mode=False)
    trainer.validate(module, batches(1), verbose=False)
    trainer.predict(module, batches(1))
    return bench.record(trainer, module)


@SCENARIOS
def samplers_learn_the_epoch(pl, folder):
    """``set_epoch`` is called on the samplers of the loaders, each epoch."""
    seen = []

    class Told(torch.utils.data.SequentialSampler):
        def __init__(self, rows, name):
            super().__init__(rows)
            self.name = name

        def set_epoch(self, epoch):
            seen.append([self.name, epoch])

    def loader(name, count, seed):
        rows = batches(count, seed=seed).dataset
        return torch.utils.data.DataLoader(rows, batch_size=2, sampler=Told(rows, name))

    bench = Bench(pl, folder)
    trainer = bench.trainer(max_epochs=3)
    trainer.fit(bench.Tiny(), loader("train", 2, 0), loader("val", 1, 1))
    trainer.validate(bench.Tiny(), loader("validate", 1, 1), verbose=False)
    trainer.test(bench.Tiny(), loader("test", 1, 1), verbose=False)
    trainer.predict(bench.Tiny(), loader("predict", 1, 1))
    return {"seen": seen}


@SCENARIOS
def numbers(pl, folder):
    """What a callback reads off the Trainer about sizes and positions."""
    bench = Bench(pl, folder)
    seen = []

    class Reading(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            names = "num_training_batches num_val_batches num_sanity_val_batches max_epochs max_steps"
            seen.append({name: getattr(trainer, name) for name in names.split()})
            names = (
                "val_check_interval check_val_every_n_epoch val_check_batch log_every_n_steps accumulate_grad_batches"
            )
            seen.append({name: getattr(trainer, name) for name in names.split()})
            seen.append(
                [
                    trainer.val_check_batch,
                    trainer.estimated_stepping_batches,
                    trainer.world_size,
                    trainer.is_global_zero,
                ]
            )

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            loop = trainer.fit_loop.epoch_loop
            seen.append([trainer.is_last_batch, loop.batch_idx, loop.total_batch_idx, loop._batches_that_stepped])
            seen.append([loop.batch_progress.current.ready, loop.batch_progress.current.completed, loop.global_step])
            seen.append([pl_module.global_step, pl_module.current_epoch])

        def on_validation_epoch_end(self, trainer, pl_module):
            seen.append([trainer.sanity_checking, trainer.training, trainer.validating, trainer.evaluating])

    trainer = bench.trainer(
        callbacks=[Reading()], max_epochs=2, val_check_interval=0.5, accumulate_grad_batches=2, limit_train_batches=5
    )
    trainer.fit(bench.Tiny(), batches(6), batches(3, seed=1))
    return {"seen": seen}
