"""Ways to step: manual, scheduled, accumulated, skipped, with a closure called several times."""

from collections.abc import Callable
from functools import partial

import torch

from parity.scenarios.kit import Scenarios, batches, fit

SCENARIOS = Scenarios()


two_val = partial(batches, 2, seed=1)


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


SCENARIOS.fit("manual", train=partial(batches, 4), val=two_val, module=two_optimizers, quiet_module=False, max_epochs=2)
SCENARIOS.fit("manual_max_steps", train=partial(batches, 4), module=two_optimizers, max_steps=4, max_epochs=3)


@SCENARIOS
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


scheduled = {
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
for _name, _module in scheduled.items():
    for _noisy in (False, True):
        SCENARIOS.fit(
            f"scheduler_{_name}{'_all_hooks' if _noisy else ''}",
            train=partial(batches, 5),
            val=two_val,
            module=_module,
            max_epochs=3,
            quiet_module=not _noisy,
        )
SCENARIOS.fit(
    "scheduler_step_with_accumulation",
    train=partial(batches, 5),
    module=scheduled["step"],
    accumulate_grad_batches=2,
    max_epochs=2,
)
SCENARIOS.fit(
    "scheduler_epoch_max_steps",
    train=partial(batches, 5),
    module=scheduled["epoch"],
    max_steps=7,
    max_epochs=4,
)


@SCENARIOS
def step_returns_none(pl, folder):
    """A step without loss is skipped: no backward, but the optimizer's hooks and counters?"""

    def module(bench):
        class Sparse(bench.Tiny):
            def training_step(self, batch, batch_idx):
                return None if batch_idx == 1 else super().training_step(batch, batch_idx)

        return Sparse

    return fit(pl, folder, train=partial(batches, 4), module=module, quiet_module=False)


@SCENARIOS
def step_returns_none_quiet(pl, folder):
    """The same, through the path without overridden optimizer hooks."""

    def module(bench):
        class Sparse(bench.Tiny):
            def training_step(self, batch, batch_idx):
                return None if batch_idx == 1 else super().training_step(batch, batch_idx)

        return Sparse

    return fit(pl, folder, train=partial(batches, 4), module=module)


@SCENARIOS
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


SCENARIOS.fit("lbfgs", module=lbfgs, quiet_module=False)
SCENARIOS.fit("lbfgs_quiet", module=lbfgs, train=partial(batches, 4), max_epochs=2)


@SCENARIOS
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


@SCENARIOS
def own_gradient_clipping(pl, folder):
    """An overridden ``configure_gradient_clipping`` sees the trainer's values and may clip by its own."""

    def module(bench):
        class Own(bench.Tiny):
            def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
                self.log("seen", 0.0 if gradient_clip_val is None else gradient_clip_val)
                self.clip_gradients(optimizer, gradient_clip_val=gradient_clip_val, gradient_clip_algorithm="norm")

        return Own

    return fit(pl, folder, module=module, gradient_clip_val=0.2)


@SCENARIOS
def no_optimizer(pl, folder):
    """``configure_optimizers`` returning None runs the loop without updates."""

    def module(bench):
        class Frozen(bench.Tiny):
            def configure_optimizers(self):
                return None

        return Frozen

    return fit(pl, folder, module=module)


@SCENARIOS
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


@SCENARIOS
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


for _precision in ("bf16-mixed", "bf16-true", "64-true"):
    SCENARIOS.fit(f"precision_{_precision}", precision=_precision, val=two_val, max_epochs=2)


def _adam(bench):
    class Adaptive(bench.Tiny):
        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.05, weight_decay=0.1)
            scheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, 0.1, total_steps=self.trainer.estimated_stepping_batches
            )
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    return Adaptive


SCENARIOS.fit("adamw_one_cycle", train=partial(batches, 5), module=_adam, max_epochs=3, gradient_clip_val=0.5)
