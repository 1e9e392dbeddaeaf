"""Misuses: which exception is raised, and whether its message names what was wrong.

Each case is a function of (pl, bench) and a word that a helpful message holds. The record is the exception's type
name, or ``accepted``, and whether the word was there; the sentences themselves are not compared.
"""

import traceback
from collections.abc import Callable
from typing import Any

import torch

from parity.scenarios.kit import Bench, Scenarios, batches, stream

SCENARIOS = Scenarios()


def outcome(pl: Any, folder: Any, case: Callable, word: str) -> dict[str, Any]:
    """Run one misuse; return what was raised and whether the message holds ``word``."""
    try:
        case(pl, Bench(pl, folder))
    except Exception as error:
        # Only what the user reads counts: without the stack, with chained causes.
        message = "".join(traceback.format_exception_only(error))
        return {"raises": type(error).__name__, "names it": word.lower() in message.lower()}
    return {"raises": "accepted", "names it": False}


def group(name: str, cases: dict[str, tuple[Callable, str]], scenarios: Scenarios = SCENARIOS) -> None:
    """Add one scenario that runs ``cases`` in turn."""

    def run(pl, folder):
        return {title: outcome(pl, folder, case, word) for title, (case, word) in cases.items()}

    scenarios[name] = run


def trainer(**options: Any) -> Callable:
    return lambda pl, bench: bench.trainer(**options)


def fit(
    cls: Callable | None = None, *, train: Callable = lambda: batches(2), val: Any = None, **options: Any
) -> Callable:
    """Return a case that fits ``cls(pl, bench)`` (else Tiny)."""

    def case(pl, bench):
        module = (cls(pl, bench) if cls else bench.Tiny)()
        bench.trainer(**options).fit(module, train(), val() if val else None)

    return case


def overriding(**members: Any) -> Callable:
    """Return a class maker: Tiny with ``members``."""
    return lambda pl, bench: type("Wrong", (bench.Tiny,), members)


def in_step(body: Callable) -> Callable:
    """Return a case whose ``training_step`` does ``body(module, loss)`` first."""

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        body(self, loss)
        return loss

    return fit(overriding(training_step=training_step))


def configuring(make: Callable, **options: Any) -> Callable:
    """Return a case whose ``configure_optimizers`` returns ``make(module, SGD)``."""

    def configure_optimizers(self):
        return make(self, torch.optim.SGD(self.parameters(), lr=0.1))

    return fit(overriding(configure_optimizers=configure_optimizers), **options)


TRAINER_ARGUMENTS = {
    "accelerator": (dict(accelerator="toaster"), "toaster"),
    "strategy": (dict(strategy="divide"), "divide"),
    "devices 0": (dict(devices=0), "devices"),
    "devices '0'": (dict(devices="0"), "devices"),
    "devices []": (dict(devices=[]), "devices"),
    "num_nodes 0": (dict(num_nodes=0), "num_nodes"),
    "precision": (dict(precision="17-mixed"), "precision"),
    "fast_dev_run -1": (dict(fast_dev_run=-1), "fast_dev_run"),
    "max_epochs -2": (dict(max_epochs=-2), "max_epochs"),
    "max_steps -2": (dict(max_steps=-2), "max_steps"),
    "max_time": (dict(max_time="tomorrow"), "tomorrow"),
    "limit_train_batches 1.5": (dict(limit_train_batches=1.5), "limit_train_batches"),
    "limit_train_batches -1": (dict(limit_train_batches=-1), "limit_train_batches"),
    "limit_val_batches -0.5": (dict(limit_val_batches=-0.5), "limit_val_batches"),
    "limit_test_batches 2.5": (dict(limit_test_batches=2.5), "limit_test_batches"),
    "limit_predict_batches -3": (dict(limit_predict_batches=-3), "limit_predict_batches"),
    "overfit_batches -1": (dict(overfit_batches=-1), "overfit_batches"),
    "overfit_batches 1.5": (dict(overfit_batches=1.5), "overfit_batches"),
    "val_check_interval 1.5": (dict(val_check_interval=1.5), "val_check_interval"),
    "check_val_every_n_epoch float": (dict(check_val_every_n_epoch=0.5), "check_val_every_n_epoch"),
    "check_val None with fraction": (dict(check_val_every_n_epoch=None, val_check_interval=0.5), "val_check_interval"),
    "gradient_clip_val str": (dict(gradient_clip_val="1"), "gradient_clip_val"),
    "gradient_clip_algorithm": (dict(gradient_clip_val=1.0, gradient_clip_algorithm="cut"), "cut"),
    "profiler": (dict(profiler="guess"), "profiler"),
    "reload -1": (dict(reload_dataloaders_every_n_epochs=-1), "reload_dataloaders_every_n_epochs"),
    "plugins str": (dict(plugins="fast"), "plugins"),
    "barebones with logger": (dict(barebones=True, enable_progress_bar=None, enable_checkpointing=None), "logger"),
    "unknown argument": (dict(max_epoch=3), "max_epoch"),
}
group("trainer_arguments", {title: (trainer(**options), word) for title, (options, word) in TRAINER_ARGUMENTS.items()})

group(
    "trainer_callbacks",
    {
        "checkpoint while disabled": (
            lambda pl, bench: bench.trainer(callbacks=[pl.callbacks.ModelCheckpoint()], enable_checkpointing=False),
            "enable_checkpointing",
        ),
        "bar while disabled": (
            lambda pl, bench: bench.trainer(callbacks=[pl.callbacks.TQDMProgressBar()], enable_progress_bar=False),
            "progress",
        ),
        "two bars": (
            lambda pl, bench: bench.trainer(
                callbacks=[pl.callbacks.TQDMProgressBar(), pl.callbacks.TQDMProgressBar()], enable_progress_bar=True
            ),
            "progress bar",
        ),
        "stateful twice": (
            lambda pl, bench: bench.trainer(
                callbacks=[pl.callbacks.EarlyStopping("v"), pl.callbacks.EarlyStopping("v")]
            ),
            "state_key",
        ),
        "positional": (lambda pl, bench: pl.Trainer("cpu"), "positional"),
    },
)


def _without(*names: str) -> Callable:
    """Return a class maker: a bare module with what Tiny has but ``names``."""

    def make(pl, bench):
        kept = {
            name: bench.Tiny.__dict__[name]
            for name in ("loss", "forward", "training_step", "validation_step", "configure_optimizers")
            if name not in names
        }

        def __init__(self):
            super(cls, self).__init__()
            self.net = torch.nn.Linear(3, 1)

        cls = type("Lacking", (pl.LightningModule,), {**kept, "__init__": __init__, "learning_rate": 0.1})
        return cls

    return make


def _manual(pl, bench):
    def __init__(self):
        super(cls, self).__init__()
        self.automatic_optimization = False

    cls = type("Manual", (bench.Tiny,), {"__init__": __init__})
    return cls


def _predicting(pl, bench):
    class Mute(pl.LightningModule):
        pass

    bench.trainer().predict(Mute(), batches(1))


def _both_loaders(pl, bench):
    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return batches(1)

    bench.trainer().fit(bench.Tiny(), batches(1), datamodule=Data())


def _stop(monitor: str, **options: Any) -> Callable:
    def case(pl, bench):
        bench.trainer(callbacks=[pl.callbacks.EarlyStopping(monitor, **options)]).fit(bench.Tiny(), batches(1))

    return case


group(
    "fit",
    {
        "no training_step": (fit(_without("training_step")), "training_step"),
        "no configure_optimizers": (fit(_without("configure_optimizers")), "configure_optimizers"),
        "no train loader": (lambda pl, bench: bench.trainer().fit(bench.Tiny()), "train_dataloader"),
        "loader not iterable": (fit(train=lambda: 7), "dataloader"),
        "not a module": (lambda pl, bench: bench.trainer().fit(torch.nn.Linear(1, 1), batches(1)), "Linear"),
        "no model": (lambda pl, bench: bench.trainer().fit(None, batches(1)), "module"),
        "validate without step": (
            lambda pl, bench: bench.trainer().validate(_without("validation_step")(pl, bench)(), batches(1)),
            "validation_step",
        ),
        "test without step": (
            lambda pl, bench: bench.trainer().test(_without()(pl, bench)(), batches(1)),
            "test_step",
        ),
        "validate without model": (lambda pl, bench: bench.trainer().validate(dataloaders=batches(1)), "model"),
        "validate without loader": (lambda pl, bench: bench.trainer().validate(bench.Tiny()), "val_dataloader"),
        "predict without step and forward": (_predicting, "predict_step"),
        "loaders and datamodule": (_both_loaders, "datamodule"),
        "training_epoch_end": (fit(overriding(training_epoch_end=lambda self, o: None)), "training_epoch_end"),
        "validation_epoch_end": (
            fit(overriding(validation_epoch_end=lambda self, o: None), val=lambda: batches(1)),
            "validation_epoch_end",
        ),
        "manual with clipping": (fit(_manual, gradient_clip_val=0.5), "gradient"),
        "manual with accumulation": (fit(_manual, accumulate_grad_batches=2), "accumul"),
        "fraction of unsized": (fit(train=lambda: stream(2), limit_train_batches=0.5), "limit_train_batches"),
        "fraction gives no batch": (fit(train=lambda: batches(2), limit_train_batches=0.1), "limit_train_batches"),
        "val interval beyond epoch": (fit(val=lambda: batches(1), val_check_interval=5), "val_check_interval"),
        "val fraction of unsized": (
            fit(train=lambda: stream(2), val=lambda: batches(1), val_check_interval=0.5),
            "val_check_interval",
        ),
        "val fraction below a batch": (fit(val=lambda: batches(1), val_check_interval=0.1), "val_check_interval"),
        "sequential train loader": (
            lambda pl, bench: bench.trainer().fit(
                bench.Tiny(), pl.utilities.CombinedLoader([batches(1), batches(1)], "sequential")
            ),
            "sequential",
        ),
        "combined mode": (lambda pl, bench: pl.utilities.CombinedLoader([batches(1)], "sideways"), "sideways"),
        "save without model": (lambda pl, bench: bench.trainer().save_checkpoint("x.ckpt"), "model"),
        "missing checkpoint": (
            lambda pl, bench: bench.trainer().fit(bench.Tiny(), batches(1), ckpt_path=bench.folder / "no.ckpt"),
            "no.ckpt",
        ),
        "best without checkpoint": (
            lambda pl, bench: bench.trainer().validate(bench.Tiny(), batches(1), ckpt_path="best"),
            "best",
        ),
        "seed out of range": (lambda pl, bench: pl.seed_everything(-1), "-1"),
    },
)


def _resumed(change: Callable) -> Callable:
    """Return a case that resumes from a two-epoch checkpoint after ``change(checkpoint)``, for one epoch."""

    def case(pl, bench):
        first = bench.trainer(max_epochs=2)
        first.fit(bench.Tiny(), batches(2))
        path = bench.folder / "two.ckpt"
        first.save_checkpoint(path)
        checkpoint = torch.load(path, weights_only=False)
        options = change(checkpoint) or {}
        torch.save(checkpoint, path)
        bench.trainer(**{"max_epochs": 3, **options}).fit(bench.Tiny(), batches(2), ckpt_path=path)

    return case


group(
    "resume",
    {
        "fewer epochs than done": (_resumed(lambda checkpoint: {"max_epochs": 1}), "max_epochs"),
        "weights only": (_resumed(lambda checkpoint: checkpoint.pop("optimizer_states") and None), "weights"),
        "no loops": (_resumed(lambda checkpoint: checkpoint.pop("loops") and None), "loops"),
        "other weights": (
            _resumed(lambda checkpoint: checkpoint["state_dict"].pop("net.bias") is None or None),
            "net.bias",
        ),
        "load on an instance": (lambda pl, bench: bench.Tiny().load_from_checkpoint("x.ckpt"), "load_from_checkpoint"),
        "load from nowhere": (lambda pl, bench: bench.Tiny.load_from_checkpoint("no.ckpt"), "no.ckpt"),
    },
)


def _val(step: Callable, loaders: int) -> Callable:
    return fit(overriding(validation_step=step), val=lambda: [batches(1) for _ in range(loaders)])


def _hook(name: str, function: Callable, **options: Any) -> Callable:
    return fit(overriding(**{name: function}), **options)


def _clipping_otherwise(pl, bench):
    class Clipping(bench.Tiny):
        def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
            self.clip_gradients(optimizer, gradient_clip_val=0.5)

    return Clipping


group(
    "steps",
    {
        "dict without loss": (_hook("training_step", lambda self, batch, batch_idx: {"x": 1}), "loss"),
        "step returns str": (_hook("training_step", lambda self, batch, batch_idx: "loss"), "training_step"),
        "loss without graph": (_hook("training_step", lambda self, batch, batch_idx: torch.tensor(1.0)), "grad"),
        "two loaders without dataloader_idx": (_val(lambda self, batch, batch_idx: None, 2), "dataloader_idx"),
        "one loader with dataloader_idx": (
            _val(lambda self, batch, batch_idx, dataloader_idx: None, 1),
            "dataloader_idx",
        ),
        "manual_backward": (in_step(lambda module, loss: module.manual_backward(loss)), "manual"),
        "clip conflict": (fit(_clipping_otherwise, gradient_clip_val=1.0), "gradient_clip_val"),
        "trainer of a free module": (lambda pl, bench: bench.Tiny().trainer, "attached"),
        "optimizer_step without closure": (
            _hook("optimizer_step", lambda self, epoch, batch_idx, optimizer, optimizer_closure=None: optimizer.step()),
            "closure",
        ),
        "hparams of a number": (lambda pl, bench: bench.Tiny().save_hyperparameters(3), "int"),
    },
)


def _step_scheduler(module, optimizer, **options):
    return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1), **options}]


def _plateau(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)


class NotAScheduler:
    """Something that steps, and nothing else."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def step(self) -> None:
        pass


class StrangeScheduler(NotAScheduler):
    """Something with a scheduler's methods that is none of torch's."""

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        pass


group(
    "optimizers",
    {
        "a number": (configuring(lambda module, optimizer: 7), "configure_optimizers"),
        "a str": (configuring(lambda module, optimizer: "adam"), "configure_optimizers"),
        "dict without optimizer": (configuring(lambda m, o: {"lr_scheduler": None}), "optimizer"),
        "interval": (configuring(lambda m, o: _step_scheduler(m, o, interval="day")), "interval"),
        "scheduler missing": (configuring(lambda m, o: ([o], [{"interval": "step"}])), "scheduler"),
        "extra keys": (configuring(lambda m, o: _step_scheduler(m, o, colour="red")), "colour"),
        "plateau without monitor": (configuring(lambda m, o: ([o], [_plateau(o)])), "monitor"),
        "plateau dict without monitor": (configuring(lambda m, o: ([o], [{"scheduler": _plateau(o)}])), "monitor"),
        "plateau monitor missing": (
            configuring(lambda m, o: {"optimizer": o, "lr_scheduler": _plateau(o), "monitor": "nowhere"}),
            "nowhere",
        ),
        "two optimizers": (configuring(lambda m, o: [o, torch.optim.SGD(m.parameters(), lr=1.0)]), "automatic"),
        "not a scheduler": (configuring(lambda m, o: ([o], [NotAScheduler(o)])), "state_dict"),
        "strange scheduler": (configuring(lambda m, o: ([o], [StrangeScheduler(o)])), "lr_scheduler_step"),
        "scheduler of another optimizer": (
            configuring(
                lambda m, o: (
                    [o],
                    [torch.optim.lr_scheduler.StepLR(torch.optim.SGD(m.parameters(), lr=1.0), 1)],
                )
            ),
            "optimizer",
        ),
    },
)


def _callback(name: str, *args: Any, **options: Any) -> Callable:
    return lambda pl, bench: getattr(pl.callbacks, name)(*args, **options)


def _missing_monitor(when: str) -> Callable:
    def case(pl, bench):
        save = pl.callbacks.ModelCheckpoint(
            dirpath=bench.folder, monitor="nowhere", save_on_train_epoch_end=when == "train"
        )
        trainer = bench.trainer(callbacks=[save], enable_checkpointing=True)
        trainer.fit(bench.Tiny(), batches(1), batches(1))

    return case


group(
    "callbacks",
    {
        "stopping monitor missing": (_stop("nowhere"), "nowhere"),
        "stopping mode": (_callback("EarlyStopping", "v", mode="up"), "up"),
        "checkpoint mode": (_callback("ModelCheckpoint", monitor="v", mode="up"), "up"),
        "checkpoint top -2": (_callback("ModelCheckpoint", save_top_k=-2), "save_top_k"),
        "checkpoint top 3 without monitor": (_callback("ModelCheckpoint", save_top_k=3), "monitor"),
        "checkpoint two triggers": (
            _callback("ModelCheckpoint", every_n_train_steps=1, every_n_epochs=1),
            "every_n_train_steps",
        ),
        "checkpoint steps -1": (_callback("ModelCheckpoint", every_n_train_steps=-1), "every_n_train_steps"),
        "checkpoint epochs -1": (_callback("ModelCheckpoint", every_n_epochs=-1), "every_n_epochs"),
        "checkpoint monitor missing at validation": (_missing_monitor("val"), "nowhere"),
        "checkpoint monitor missing at epoch end": (_missing_monitor("train"), "nowhere"),
        "rates without logger": (
            lambda pl, bench: bench.trainer(callbacks=[pl.callbacks.LearningRateMonitor()], logger=False).fit(
                bench.Tiny(), batches(1)
            ),
            "logger",
        ),
        "rates interval": (_callback("LearningRateMonitor", logging_interval="day"), "day"),
        "timer interval": (_callback("Timer", duration={"seconds": 1}, interval="day"), "day"),
        "timer duration": (_callback("Timer", duration="soon"), "soon"),
    },
)

group(
    "accumulation_schedule",
    {
        "accumulation empty": (_callback("GradientAccumulationScheduler", {}), "empty"),
        "accumulation key": (_callback("GradientAccumulationScheduler", {"a": 1}), "int"),
        "accumulation factor": (_callback("GradientAccumulationScheduler", {0: 0}), "0"),
        "accumulation twice": (
            lambda pl, bench: bench.trainer(
                callbacks=[pl.callbacks.GradientAccumulationScheduler({1: 2})], accumulate_grad_batches=2
            ).fit(bench.Tiny(), batches(1)),
            "accumulate_grad_batches",
        ),
    },
)
