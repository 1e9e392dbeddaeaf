"""The order of hooks, the clock they see, and what a run leaves behind, over the ways to train and evaluate."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity.scenarios.kit import SHAPING_HOOKS, Bench, batches, several_loaders, stream

SCENARIOS: dict[str, Callable] = {}


def scenario(run: Callable) -> Callable:
    SCENARIOS[run.__name__] = run
    return run


def fit(pl, folder, *, train=None, val=None, module=None, quiet_module=True, **options) -> dict[str, Any]:
    """Fit once with a recording module and callback.

    ``train``, ``val`` and ``module`` are functions, so that every run builds its own; ``quiet_module`` leaves the
    hooks alone whose overriding changes the shape of the step.
    """
    bench = Bench(pl, folder)
    made = bench.module(module and module(bench), skip=SHAPING_HOOKS if quiet_module else ())
    trainer = bench.trainer(callbacks=[bench.callback()], **options)
    trainer.fit(made, (train or partial(batches, 3))(), val and val())
    return bench.record(trainer, made)


def add(name: str, **options: Any) -> None:
    SCENARIOS[name] = partial(fit, **options)


two_val = partial(batches, 2, seed=1)

add("fit_plain", val=two_val, max_epochs=2)
add("fit_plain_all_hooks", val=two_val, quiet_module=False)
add("no_val", max_epochs=2)
add("accumulate", train=partial(batches, 5), accumulate_grad_batches=2, max_epochs=2, quiet_module=False)
add("accumulate_val", train=partial(batches, 5), val=two_val, accumulate_grad_batches=2, val_check_interval=1)
add("max_steps_mid_epoch", train=partial(batches, 4), val=two_val, max_epochs=-1, max_steps=6)
add("max_steps_with_accumulation", train=partial(batches, 5), max_steps=4, max_epochs=5, accumulate_grad_batches=2)
add("val_every_2_batches", train=partial(batches, 5), val=two_val, val_check_interval=2, max_epochs=2)
add("val_every_half_epoch", train=partial(batches, 5), val=two_val, val_check_interval=0.5)
add(
    "val_every_7_across_epochs",
    train=partial(batches, 4),
    val=two_val,
    max_epochs=4,
    val_check_interval=7,
    check_val_every_n_epoch=None,
)
add("val_every_2_epochs", val=two_val, check_val_every_n_epoch=2, max_epochs=4)
add("stream_without_val", train=partial(stream, 3), max_epochs=2)
add("stream_with_val", train=partial(stream, 3), val=partial(stream, 2, seed=1), max_epochs=2)
add("stream_val_every_2", train=partial(stream, 3), val=two_val, val_check_interval=2, max_epochs=2)
add("fast_dev_run", val=two_val, fast_dev_run=2, max_epochs=3)
add("limits_int", train=partial(batches, 5), val=partial(batches, 4), limit_train_batches=2, limit_val_batches=1)
add("limits_float", train=partial(batches, 5), val=partial(batches, 4), limit_train_batches=0.5, limit_val_batches=0.5)
add("limit_val_0", val=two_val, limit_val_batches=0)
add("limit_train_0", val=two_val, limit_train_batches=0, max_epochs=2)
add("overfit_batches", train=partial(batches, 4, shuffle=True), val=two_val, overfit_batches=2, max_epochs=2)
add("min_epochs", max_epochs=2, min_epochs=2)
add("max_epochs_0", val=two_val, max_epochs=0)
add("max_steps_0", val=two_val, max_steps=0)
add("sanity_all", val=partial(batches, 3, seed=1), num_sanity_val_steps=-1)
add("sanity_none", val=two_val, num_sanity_val_steps=0)
add("clip_norm", train=partial(batches, 4), gradient_clip_val=0.1, quiet_module=False)
add("clip_value", train=partial(batches, 4), gradient_clip_val=0.05, gradient_clip_algorithm="value")
add("train_loaders_dict", train=lambda: {"a": batches(3), "b": batches(2, 1, seed=2)}, max_epochs=2)
add("train_loaders_list", train=lambda: [batches(2), batches(3, 1, seed=2)])
add("train_loaders_nested", train=lambda: {"a": [batches(2), batches(1)], "b": batches(3, 1, seed=2)})
add(
    "val_loaders_list",
    val=lambda: [batches(2, seed=1), batches(1, 3, seed=2)],
    module=lambda bench: several_loaders(bench.Tiny),
)
add(
    "val_loaders_dict",
    val=lambda: {"near": batches(2, seed=1), "far": batches(1, 3, seed=2)},
    module=lambda bench: several_loaders(bench.Tiny),
)
add(
    "val_loaders_limited",
    val=lambda: [batches(4, seed=1), batches(2, 3, seed=2)],
    module=lambda bench: several_loaders(bench.Tiny),
    limit_val_batches=0.5,
    num_sanity_val_steps=1,
)
add(
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


@scenario
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


@scenario
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


@scenario
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


@scenario
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


def two_optimizers(bench):
    class Manual(bench.Tiny):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.other = torch.nn.Linear(3, 1)

        def training_step(self, batch, batch_idx):
            first, second = self.optimizers()
            first.zero_grad()
            loss = self.loss(batch)
            self.manual_backward(loss)
            self.clip_gradients(first, gradient_clip_val=0.5)
            first.step()
            self.toggle_optimizer(second)
            held = [parameter.requires_grad for parameter in self.parameters()]
            second.zero_grad()
            other = (self.other(batch[0]) ** 2).mean()
            self.manual_backward(other)
            if batch_idx % 2 == 0:
                second.step()
            self.untoggle_optimizer(second)
            self.lr_schedulers().step()
            self.log("loss", loss, on_step=True, on_epoch=True)
            assert held == [False, False, True, True]
            return {"loss": loss, "extra": batch_idx}

        def configure_optimizers(self):
            first = torch.optim.SGD(self.net.parameters(), lr=0.1)
            second = torch.optim.Adam(self.other.parameters(), lr=0.01)
            return [first, second], [torch.optim.lr_scheduler.StepLR(first, 2, 0.5)]

    return Manual


add("manual", train=partial(batches, 4), val=two_val, module=two_optimizers, quiet_module=False, max_epochs=2)
add("manual_max_steps", train=partial(batches, 4), module=two_optimizers, max_steps=4, max_epochs=3)


@scenario
def manual_without_return(pl, folder):
    """Manual optimisation may return nothing; outputs at the batch's end are then empty."""

    def module(bench):
        class Manual(two_optimizers(bench)):
            def training_step(self, batch, batch_idx):
                super().training_step(batch, batch_idx)

        return Manual

    return fit(pl, folder, module=module)


def with_scheduler(make: Callable, log: str | None = None) -> Callable:
    def module(bench):
        class Scheduled(bench.Tiny):
            def training_step(self, batch, batch_idx):
                self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
                return super().training_step(batch, batch_idx)

            def validation_step(self, batch, batch_idx):
                loss = self.loss(batch)
                if log:
                    self.log(log, loss)

            def configure_optimizers(self):
                optimizer = torch.optim.SGD(self.parameters(), lr=0.4)
                return {"optimizer": optimizer, "lr_scheduler": make(optimizer)}

        return Scheduled

    return module


def _steps(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


def _plateau(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=10.0)


_scheduled = {
    "epoch": with_scheduler(_steps),
    "epoch_every_2": with_scheduler(lambda o: {"scheduler": _steps(o), "frequency": 2}),
    "step": with_scheduler(lambda o: {"scheduler": _steps(o), "interval": "step"}),
    "step_every_2": with_scheduler(lambda o: {"scheduler": _steps(o), "interval": "step", "frequency": 2}),
    "plateau": with_scheduler(lambda o: {"scheduler": _plateau(o), "monitor": "val"}, log="val"),
    "plateau_step": with_scheduler(
        lambda o: {"scheduler": _plateau(o), "monitor": "lr", "interval": "step", "frequency": 2}
    ),
    "plateau_not_strict": with_scheduler(lambda o: {"scheduler": _plateau(o), "monitor": "no", "strict": False}),
}
for _name, _module in _scheduled.items():
    for _noisy in (False, True):
        add(
            f"scheduler_{_name}{'_all_hooks' if _noisy else ''}",
            train=partial(batches, 5),
            val=two_val,
            module=_module,
            max_epochs=3,
            quiet_module=not _noisy,
        )
add(
    "scheduler_step_with_accumulation",
    train=partial(batches, 5),
    module=_scheduled["step"],
    accumulate_grad_batches=2,
    max_epochs=2,
)
add(
    "scheduler_epoch_max_steps",
    train=partial(batches, 5),
    module=_scheduled["epoch"],
    max_steps=7,
    max_epochs=4,
)


@scenario
def resume_at_epoch_end(pl, folder):
    """A second process continues from the checkpoint of the first epoch."""
    first = Bench(pl, folder)
    made = first.module(_scheduled["step"](first))
    trainer = first.trainer(max_epochs=1)
    trainer.fit(made, batches(3), batches(2, seed=1))
    trainer.save_checkpoint(folder / "one.ckpt")
    bench = Bench(pl, folder)
    made = bench.module(_scheduled["step"](bench))
    trainer = bench.trainer(callbacks=[bench.callback()], max_epochs=3)
    trainer.fit(made, batches(3), batches(2, seed=1), ckpt_path=folder / "one.ckpt")
    return bench.record(trainer, made)


def _resumed_from_file(**trigger):
    """Resume from the first file that a ModelCheckpoint with ``trigger`` wrote."""

    def run(pl, folder):
        first = Bench(pl, folder)
        save = pl.callbacks.ModelCheckpoint(dirpath=folder, save_top_k=-1, **trigger)
        trainer = first.trainer(callbacks=[save], enable_checkpointing=True, max_epochs=2, val_check_interval=1.0)
        trainer.fit(first.module(_scheduled["step"](first)), batches(4), batches(2, seed=1))
        bench = Bench(pl, folder)
        made = bench.module(_scheduled["step"](bench), skip=SHAPING_HOOKS)
        trainer = bench.trainer(callbacks=[bench.callback()], max_epochs=2)
        trainer.fit(made, batches(4), batches(2, seed=1), ckpt_path=min(folder.glob("*.ckpt")))
        return bench.record(trainer, made)

    return run


SCENARIOS["resume_from_epoch_end"] = _resumed_from_file(save_on_train_epoch_end=True)
SCENARIOS["resume_from_validation_end"] = _resumed_from_file(save_on_train_epoch_end=False)
SCENARIOS["resume_from_batch_3"] = _resumed_from_file(every_n_train_steps=3)


@scenario
def resume_when_finished(pl, folder):
    """Resuming a run that reached its last epoch trains nothing."""
    first = Bench(pl, folder)
    trainer = first.trainer()
    trainer.fit(first.module(), batches(3), batches(2, seed=1))
    trainer.save_checkpoint(folder / "one.ckpt")
    bench = Bench(pl, folder)
    made = bench.module()
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(made, batches(3), batches(2, seed=1), ckpt_path=folder / "one.ckpt")
    return bench.record(trainer, made)


@scenario
def second_fit(pl, folder):
    """A second fit on the same Trainer continues counting; more epochs must be asked for."""
    bench = Bench(pl, folder)
    made = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(made, batches(2), batches(1, seed=1))
    bench.journal.lines.append("-- second fit, nothing left to do")
    trainer.fit(made, batches(2), batches(1, seed=1))
    bench.journal.lines.append("-- third fit, two more epochs")
    trainer.fit_loop.max_epochs = 3
    trainer.fit(made, batches(3), batches(1, seed=1))
    return bench.record(trainer, made)


@scenario
def should_stop_in_batch(pl, folder):
    """``should_stop`` ends the epoch after the batch; validation still runs."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_train_batch_end(self, outputs, batch, batch_idx):
                if self.trainer.current_epoch == 1 and batch_idx == 1:
                    self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, max_epochs=4)


@scenario
def should_stop_before_min_epochs(pl, folder):
    """``should_stop`` waits for ``min_epochs``."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_train_batch_end(self, outputs, batch, batch_idx):
                self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, val=two_val, module=module, max_epochs=4, min_epochs=2)


@scenario
def should_stop_before_min_steps(pl, folder):
    """``should_stop`` waits for ``min_steps``, in mid-epoch."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_train_batch_end(self, outputs, batch, batch_idx):
                self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, max_epochs=4, min_steps=6)


@scenario
def should_stop_in_validation(pl, folder):
    """``should_stop`` set at the end of a mid-epoch validation ends the epoch there."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_validation_end(self):
                if not self.trainer.sanity_checking:
                    self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, val_check_interval=2, max_epochs=3)


@scenario
def skip_rest_of_epoch(pl, folder):
    """``on_train_batch_start`` returning -1 skips the rest of the epoch."""

    def module(bench):
        class Skipping(bench.Tiny):
            def on_train_batch_start(self, batch, batch_idx):
                return -1 if batch_idx == 2 else None

        return Skipping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, max_epochs=2)


@scenario
def step_returns_none(pl, folder):
    """A step without loss is skipped: no backward, but the optimizer's hooks and counters?"""

    def module(bench):
        class Sparse(bench.Tiny):
            def training_step(self, batch, batch_idx):
                return None if batch_idx == 1 else super().training_step(batch, batch_idx)

        return Sparse

    return fit(pl, folder, train=partial(batches, 4), module=module, quiet_module=False)


@scenario
def step_returns_none_quiet(pl, folder):
    """The same, through the path without overridden optimizer hooks."""

    def module(bench):
        class Sparse(bench.Tiny):
            def training_step(self, batch, batch_idx):
                return None if batch_idx == 1 else super().training_step(batch, batch_idx)

        return Sparse

    return fit(pl, folder, train=partial(batches, 4), module=module)


@scenario
def step_returns_dict(pl, folder):
    """Extras in the returned dict reach ``on_train_batch_end``; the loss there is divided by the window."""

    def module(bench):
        class Rich(bench.Tiny):
            def training_step(self, batch, batch_idx):
                return {"loss": self.loss(batch), "extra": batch_idx, "more": torch.arange(2)}

        return Rich

    return fit(pl, folder, train=partial(batches, 4), module=module, accumulate_grad_batches=2)


def lbfgs(bench):
    class Quasi(bench.Tiny):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=0.5, max_iter=3)

    return Quasi


add("lbfgs", module=lbfgs, quiet_module=False)
add("lbfgs_quiet", module=lbfgs, train=partial(batches, 4), max_epochs=2)


@scenario
def own_optimizer_step(pl, folder):
    """An overridden ``optimizer_step`` owns the closure: here every second step is left out."""

    def module(bench):
        class Own(bench.Tiny):
            def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
                if batch_idx % 2 == 0:
                    optimizer.step(closure=optimizer_closure)
                else:
                    optimizer_closure()

        return Own

    return fit(pl, folder, train=partial(batches, 4), module=module)


@scenario
def own_gradient_clipping(pl, folder):
    """An overridden ``configure_gradient_clipping`` sees the trainer's values and may clip by its own."""

    def module(bench):
        class Own(bench.Tiny):
            def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
                self.log("seen", 0.0 if gradient_clip_val is None else gradient_clip_val)
                self.clip_gradients(optimizer, gradient_clip_val=gradient_clip_val, gradient_clip_algorithm="norm")

        return Own

    return fit(pl, folder, module=module, gradient_clip_val=0.2)


@scenario
def no_optimizer(pl, folder):
    """``configure_optimizers`` returning None runs the loop without updates."""

    def module(bench):
        class Frozen(bench.Tiny):
            def configure_optimizers(self):
                return None

        return Frozen

    return fit(pl, folder, module=module)


@scenario
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


@scenario
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


@scenario
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


def _evaluate(kind: str, several: bool, quiet: bool):
    def run(pl, folder):
        bench = Bench(pl, folder)

        class Logging(several_loaders(bench.Tiny) if several else bench.Tiny):
            def on_validation_epoch_end(self):
                self.log("at_end", 1.0)

            def on_test_epoch_end(self):
                self.log("at_end", 2.0)

        def step(self, batch, batch_idx, dataloader_idx=0):
            self.log("loss", self.loss(batch))

        def single(self, batch, batch_idx):
            self.log("loss", self.loss(batch))

        if kind != "predict":
            setattr(Logging, f"{kind if kind == 'test' else 'validation'}_step", step if several else single)
        module = bench.module(Logging, skip=SHAPING_HOOKS if quiet else ())
        trainer = bench.trainer(callbacks=[bench.callback()])
        loaders = [batches(2, short=1), batches(1, 3, seed=1)] if several else batches(3, short=1)
        options = {} if kind == "predict" else {"verbose": False}
        returned = getattr(trainer, kind)(module, loaders, **options)
        return bench.record(trainer, module, returned=_shape(returned) if kind == "predict" else returned)

    return run


def _shape(outputs: Any) -> Any:
    return [_shape(part) for part in outputs] if isinstance(outputs, list) else outputs.tolist()


for _kind in ("validate", "test", "predict"):
    for _several in (False, True):
        SCENARIOS[f"{_kind}_{'two' if _several else 'one'}"] = _evaluate(_kind, _several, quiet=_several)


@scenario
def predict_without_return(pl, folder):
    """``return_predictions=False`` returns nothing."""
    bench = Bench(pl, folder)
    module = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    returned = trainer.predict(module, batches(2), return_predictions=False)
    return bench.record(trainer, module, returned=returned)


@scenario
def predict_by_forward(pl, folder):
    """Without ``predict_step``, predict calls the module."""

    class Plain(pl.LightningModule):
        def forward(self, batch):
            return batch[0].sum()

    bench = Bench(pl, folder)
    module = bench.module(Plain, skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    return bench.record(trainer, module, returned=_shape(trainer.predict(module, batches(2))))


@scenario
def exception_in_fit(pl, folder):
    """An exception reaches the callbacks and the logger, then the user."""
    bench = Bench(pl, folder)

    class Failing(bench.Tiny):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1:
                raise ArithmeticError("lost")
            return super().training_step(batch, batch_idx)

    module = bench.module(Failing, skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    raised = None
    try:
        trainer.fit(module, batches(3), batches(1, seed=1))
    except ArithmeticError as error:
        raised = str(error)
    return bench.record(trainer, module, raised=raised)


@scenario
def modes_survive_validation(pl, folder):
    """Submodules that the user put into eval mode are still so after validation."""

    def module(bench):
        class Half(bench.Tiny):
            def __init__(self):
                super().__init__()
                self.dropped = torch.nn.Dropout()
                self.frozen = torch.nn.BatchNorm1d(3).eval()

            def training_step(self, batch, batch_idx):
                self.log("dropped", float(self.dropped.training))
                self.log("frozen", float(self.frozen.training))
                return super().training_step(batch, batch_idx)

            def validation_step(self, batch, batch_idx):
                self.log("in_val", float(self.dropped.training))

            def configure_optimizers(self):
                return torch.optim.SGD(self.net.parameters(), lr=0.1)

        return Half

    return fit(pl, folder, val=two_val, module=module, max_epochs=2, val_check_interval=1)


@scenario
def odd_batch_hooks(pl, folder):
    """Hooks and steps may leave out ``batch_idx`` or ``dataloader_idx``."""
    bench = Bench(pl, folder)
    seen = []

    class Odd(bench.Tiny):
        def training_step(self, batch):
            return self.loss(batch)

        def validation_step(self, batch):
            self.log("loss", self.loss(batch))

        def on_validation_batch_start(self, batch, batch_idx, dataloader_idx=0):
            seen.append([batch_idx, dataloader_idx])

    module = Odd()
    trainer = bench.trainer(num_sanity_val_steps=0)
    trainer.fit(module, batches(2), batches(2, seed=1))
    return bench.record(trainer, module, seen=seen)


@scenario
def estimated_stepping_batches(pl, folder):
    """The number of optimizer steps is known inside ``configure_optimizers``."""
    seen = []

    def module(bench):
        class Asking(bench.Tiny):
            def configure_optimizers(self):
                seen.append(self.trainer.estimated_stepping_batches)
                return super().configure_optimizers()

        return Asking

    record = fit(pl, folder, train=partial(batches, 5), module=module, max_epochs=3, accumulate_grad_batches=2)
    return {**record, "seen": seen}
