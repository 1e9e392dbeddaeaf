"""What checkpoints hold, when they are written and how they are called."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from parity.scenarios.kit import Bench, Scenarios, batches, plain
from parity.scenarios.samples import sample_module

SCENARIOS = Scenarios()
SAMPLES = Path(__file__).parents[1] / "golden/files"


def learning(bench: Bench) -> type:
    """Return a module that logs fixed falling and rising numbers, so that no monitor hangs on rounding."""

    class Learning(bench.Tiny):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("falling", 1.0 / (1 + self.global_step), on_step=True, on_epoch=True)
            self.log("group/value", float(self.global_step))
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val", abs(self.current_epoch - 1) + 0.5)
            self.log("rising", float(self.global_step))

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    return Learning


def relative(value: Any, folder: Path) -> Any:
    """Return ``value`` as plain data in which ``folder`` is called ``~``."""
    if isinstance(value, dict):
        return {relative(key, folder): relative(part, folder) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [relative(part, folder) for part in value]
    if isinstance(value, (str, Path)):
        return str(value).replace(str(folder.resolve()), "~").replace(str(folder), "~")
    return plain(value)


def contents(path: Path, folder: Path) -> dict[str, Any]:
    """Return all of a checkpoint but the numbers in its tensors."""
    checkpoint = torch.load(path, weights_only=False)
    return {
        "keys": sorted(checkpoint),
        "epoch": checkpoint["epoch"],
        "global_step": checkpoint["global_step"],
        "state_dict": {name: list(value.shape) for name, value in checkpoint["state_dict"].items()},
        "loops": relative(checkpoint["loops"], folder),
        "callbacks": relative(checkpoint.get("callbacks"), folder),
        "optimizers": [sorted(map(str, state["state"].get(0, {}))) for state in checkpoint.get("optimizer_states", [])],
        "groups": [
            {key: plain(value) for key, value in group.items()}
            for state in checkpoint.get("optimizer_states", [])
            for group in state["param_groups"]
        ],
        "lr_schedulers": [
            plain({k: v for k, v in s.items() if k != "_is_initial"}) for s in checkpoint.get("lr_schedulers", [])
        ],
        "hyper_parameters": relative(checkpoint.get("hyper_parameters"), folder),
        "hparams_name": checkpoint.get("hparams_name"),
    }


four_batches = partial(batches, 4)
one_val_batch = partial(batches, 1, seed=1)


def saved(pl, folder, *, train=four_batches, val=one_val_batch, module=learning, **options):
    """Fit with one ModelCheckpoint that keeps everything; return the contents of each file."""
    bench = Bench(pl, folder)
    trainer_options = options.pop("trainer", {})
    save = pl.callbacks.ModelCheckpoint(dirpath=folder, save_top_k=-1, **options)
    trainer = bench.trainer(**{"max_epochs": 2, **trainer_options, "callbacks": [save], "enable_checkpointing": True})
    trainer.fit(module(bench)(), train(), val() if val else None)
    return {"files": {path.name: contents(path, folder) for path in sorted(folder.glob("*.ckpt"))}}


SCENARIOS["saved_at_epoch_end"] = partial(saved)
SCENARIOS["saved_every_3_steps"] = partial(saved, every_n_train_steps=3)
SCENARIOS["saved_in_mid_epoch_validation"] = partial(saved, trainer={"val_check_interval": 2, "max_epochs": 1})
SCENARIOS["saved_after_each_validation"] = partial(saved, save_on_train_epoch_end=False)
SCENARIOS["saved_without_validation"] = partial(saved, val=None)
SCENARIOS["saved_weights_only"] = partial(saved, save_weights_only=True)
SCENARIOS["saved_while_accumulating"] = partial(
    saved, every_n_train_steps=1, train=partial(batches, 3), trainer={"accumulate_grad_batches": 2, "max_epochs": 1}
)


@SCENARIOS
def saved_in_manual_optimisation(pl, folder):
    """The loops' tree of a module that steps two optimizers by hand."""

    def module(bench):
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
                return [torch.optim.SGD(self.net.parameters(), lr=0.1), torch.optim.SGD(self.net.parameters(), lr=0.01)]

        return Manual

    return saved(pl, folder, module=module, every_n_train_steps=2, trainer={"max_epochs": 1})


@SCENARIOS
def saved_by_hand(pl, folder):
    """``trainer.save_checkpoint`` after the fit and in hooks."""
    bench = Bench(pl, folder)

    class Saving(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 1:
                trainer.save_checkpoint(folder / "batch_end.ckpt")

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 1:
                trainer.save_checkpoint(folder / "batch_start.ckpt")

        def on_train_epoch_start(self, trainer, pl_module):
            trainer.save_checkpoint(folder / "epoch_start.ckpt")

        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(folder / "epoch_end.ckpt")

        def on_train_end(self, trainer, pl_module):
            trainer.save_checkpoint(folder / "train_end.ckpt")

    trainer = bench.trainer(callbacks=[Saving()])
    trainer.fit(learning(bench)(), batches(3), batches(1, seed=1))
    trainer.save_checkpoint(folder / "after.ckpt")
    trainer.save_checkpoint(folder / "weights.ckpt", weights_only=True)
    return {"files": {path.name: contents(path, folder) for path in sorted(folder.glob("*.ckpt"))}}


@SCENARIOS
def state_of_others(pl, folder):
    """State of callbacks and DataModule, and what ``on_save_checkpoint`` adds, are in the file and come back."""
    events: list = []

    class Keeper(pl.Callback):
        def __init__(self, name):
            self.name, self.count = name, 0

        @property
        def state_key(self):
            return f"Keeper-{self.name}"

        def on_train_batch_end(self, *args):
            self.count += 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state_dict):
            self.count = state_dict["count"]
            events.append(f"{self.name} loads {state_dict}")

        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            checkpoint[f"extra-{self.name}"] = 1

        def on_load_checkpoint(self, trainer, pl_module, checkpoint):
            events.append(f"{self.name} sees {sorted(key for key in checkpoint if key.startswith('extra'))}")

    class Data(pl.LightningDataModule):
        def __init__(self):
            super().__init__()
            self.position = 5

        def train_dataloader(self):
            return batches(2)

        def state_dict(self):
            return {"position": self.position}

        def load_state_dict(self, state_dict):
            events.append(f"data loads {state_dict}")

    def module(bench):
        class Own(bench.Tiny):
            def on_save_checkpoint(self, checkpoint):
                checkpoint["extra-module"] = 2

            def on_load_checkpoint(self, checkpoint):
                events.append("module sees")

        return Own

    first = Bench(pl, folder)
    trainer = first.trainer(callbacks=[Keeper("a"), Keeper("b")])
    trainer.fit(module(first)(), Data())
    trainer.save_checkpoint(folder / "one.ckpt")
    second = Bench(pl, folder)
    kept = Keeper("a")
    trainer = second.trainer(callbacks=[kept], max_epochs=2)
    trainer.fit(module(second)(), datamodule=Data(), ckpt_path=folder / "one.ckpt")
    stored = torch.load(folder / "one.ckpt", weights_only=False)
    data_states = {key: value for key, value in stored.items() if key.endswith("Data")}
    return {
        "keys": sorted(key.replace(key, "Data") if key.endswith("Data") else key for key in stored),
        "callbacks": stored["callbacks"],
        "data": list(data_states.values()),
        "events": events,
        "count": kept.count,
    }


NAMED: dict[str, dict[str, Any]] = {
    "default": {},
    "monitor_top_1": {"monitor": "val"},
    "monitor_top_2": {"monitor": "val", "save_top_k": 2},
    "monitor_max": {"monitor": "rising", "mode": "max", "save_top_k": 2},
    "monitor_train_epoch": {"monitor": "falling", "save_top_k": 1},
    "keep_all": {"save_top_k": -1},
    "keep_none": {"save_top_k": 0},
    "keep_none_but_last": {"save_top_k": 0, "save_last": True},
    "save_last": {"monitor": "val", "save_last": True},
    "save_last_link": {"monitor": "val", "save_last": "link"},
    "last_without_monitor": {"save_last": True},
    "template": {"filename": "{epoch}-{val:.2f}", "save_top_k": -1},
    "template_padded": {"filename": "m-{epoch:02d}-{step:04d}", "save_top_k": -1},
    "template_slash": {"filename": "{epoch}-{group/value:.1f}", "save_top_k": -1},
    "template_slash_no_insert": {
        "filename": "e{epoch}-v{group/value:.1f}",
        "auto_insert_metric_name": False,
        "save_top_k": -1,
    },
    "template_missing": {"filename": "{epoch}-{nowhere:.3f}", "save_top_k": -1},
    "template_plain": {"filename": "same", "save_top_k": -1},
    "template_plain_no_counter": {"filename": "same", "save_top_k": -1, "enable_version_counter": False},
    "template_plain_one": {"filename": "same"},
    "every_3_steps": {"every_n_train_steps": 3, "save_top_k": -1},
    "every_3_steps_one": {"every_n_train_steps": 3},
    "every_3_steps_monitor": {"every_n_train_steps": 3, "monitor": "falling", "save_top_k": 2},
    "every_3_steps_monitor_val": {"every_n_train_steps": 3, "monitor": "val", "save_top_k": -1},
    "every_2_epochs": {"every_n_epochs": 2, "save_top_k": -1},
    "at_train_epoch_end": {"save_on_train_epoch_end": True, "monitor": "val", "save_top_k": -1},
    "at_validation_end": {"save_on_train_epoch_end": False, "monitor": "val", "save_top_k": -1},
}


def _named(options: dict[str, Any], **trainer_options: Any) -> Callable:
    def run(pl, folder):
        bench = Bench(pl, folder)
        save = pl.callbacks.ModelCheckpoint(dirpath=folder / "kept", **options)
        settings = {"max_epochs": 3, **trainer_options, "callbacks": [save], "enable_checkpointing": True}
        bench.trainer(**settings).fit(learning(bench)(), batches(4), batches(1, seed=1))
        return described(save, folder)

    return run


def described(save: Any, folder: Path) -> dict[str, Any]:
    """Return which files exist and what the callback remembers."""
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.ckpt"))
    attributes = "best_model_path best_model_score best_k_models kth_best_model_path kth_value last_model_path".split()
    return {
        "files": files,
        "links": sorted(path.name for path in folder.rglob("*.ckpt") if path.is_symlink()),
        "key": save.state_key,
        "state": relative(save.state_dict(), folder),
        "attributes": {name: relative(getattr(save, name), folder) for name in attributes},
    }


for _name, _options in NAMED.items():
    SCENARIOS[f"names_{_name}"] = _named(_options)
SCENARIOS["names_mid_epoch_validation"] = _named({"monitor": "rising", "save_top_k": -1}, val_check_interval=2)
SCENARIOS["names_validation_every_2"] = _named({"monitor": "val", "save_top_k": -1}, check_val_every_n_epoch=2)
SCENARIOS["names_fast_dev_run"] = _named({}, fast_dev_run=True)


@SCENARIOS
def names_two_callbacks(pl, folder):
    """Two ModelCheckpoints side by side, in one folder."""
    bench = Bench(pl, folder)
    first = pl.callbacks.ModelCheckpoint(dirpath=folder, monitor="val", filename="best-{epoch}")
    second = pl.callbacks.ModelCheckpoint(dirpath=folder, every_n_train_steps=4, filename="step-{step}", save_top_k=-1)
    trainer = bench.trainer(callbacks=[first, second], enable_checkpointing=True, max_epochs=2)
    trainer.fit(learning(bench)(), batches(4), batches(1, seed=1))
    return {"first": described(first, folder), "second": described(second, folder)}


@SCENARIOS
def names_default_folder(pl, folder):
    """Without ``dirpath`` files go to the logger's folder, or to ``default_root_dir`` without one."""
    found = {}
    for name, logger in {
        "csv": pl.loggers.CSVLogger(folder / "csv", name="run", version=2),
        "csv_named": pl.loggers.CSVLogger(folder / "named", name="run", version="third"),
        "none": False,
    }.items():
        bench = Bench(pl, folder / name)
        trainer = bench.trainer(logger=logger, enable_checkpointing=True)
        trainer.fit(learning(bench)(), batches(2))
        found[name] = relative(trainer.checkpoint_callback.best_model_path, folder)
    return found


@SCENARIOS
def names_after_second_fit(pl, folder):
    """A folder with files of an earlier run: the version counter, and the old files stay."""
    for _ in range(2):
        bench = Bench(pl, folder)
        save = pl.callbacks.ModelCheckpoint(dirpath=folder / "kept", monitor="val", save_last=True)
        trainer = bench.trainer(max_epochs=2, callbacks=[save], enable_checkpointing=True)
        trainer.fit(learning(bench)(), batches(4), batches(1, seed=1))
    return described(save, folder)


@SCENARIOS
def resumed_names(pl, folder):
    """A resumed ModelCheckpoint remembers its best files and goes on."""
    for epochs in (1, 3):
        bench = Bench(pl, folder)
        save = pl.callbacks.ModelCheckpoint(dirpath=folder / "kept", monitor="val", save_top_k=2, save_last=True)
        trainer = bench.trainer(max_epochs=epochs, callbacks=[save], enable_checkpointing=True)
        path = folder / "kept/last.ckpt" if epochs == 3 else None
        trainer.fit(learning(bench)(), batches(4), batches(1, seed=1), ckpt_path=path)
    return described(save, folder)


@SCENARIOS
def format_names(pl, folder):
    """``format_checkpoint_name`` by itself."""
    save = pl.callbacks.ModelCheckpoint(dirpath=folder)
    bare = pl.callbacks.ModelCheckpoint(dirpath=folder, filename="{epoch}_{v:.2f}", auto_insert_metric_name=False)
    metrics = {"epoch": torch.tensor(3), "step": torch.tensor(40), "v": torch.tensor(0.126), "a/b": torch.tensor(1.5)}
    templates = [None, "{epoch}", "{epoch:03d}-{v:.1f}", "{a/b}", "{missing:.2f}-{step}", "plain", "{v:.0e}"]
    return {
        "inserted": [relative(save.format_checkpoint_name(metrics, name), folder) for name in templates],
        "version": relative(save.format_checkpoint_name(metrics, "plain", ver=2), folder),
        "bare": relative(bare.format_checkpoint_name(metrics), folder),
        "prefix": relative(save.format_checkpoint_name(metrics, prefix="pre"), folder),
    }


@SCENARIOS
def best_and_last(pl, folder):
    """``ckpt_path="best"`` and ``"last"`` pick the files they say."""
    bench = Bench(pl, folder)
    save = pl.callbacks.ModelCheckpoint(dirpath=folder, monitor="val", save_last=True)
    trainer = bench.trainer(max_epochs=3, callbacks=[save], enable_checkpointing=True)
    module = learning(bench)()
    trainer.fit(module, batches(4), batches(1, seed=1))
    used = []
    for name in ("best", "last", None):
        trainer.validate(module if name is None else None, batches(1), ckpt_path=name, verbose=False)
        used.append(relative(trainer.ckpt_path, folder))
    return {"used": used, "weights": [plain(parameter.flatten()) for parameter in module.parameters()]}


def _resume_sample(name: str) -> Callable:
    def run(pl, folder):
        bench = Bench(pl, folder)
        stop = pl.callbacks.EarlyStopping("val", patience=5)
        trainer = bench.trainer(max_epochs=4, callbacks=[stop])
        module = sample_module(pl)(rate=0.5)
        trainer.fit(module, batches(4), batches(2, seed=1), ckpt_path=SAMPLES / f"{name}.ckpt")
        return {
            "rows": bench.logger.rows,
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "wait": stop.wait_count,
            "best": plain(stop.best_score),
            "weights": [plain(parameter.flatten()) for parameter in module.parameters()],
        }

    return run


SCENARIOS["resume_sample_of_lightning"] = _resume_sample("plain")


@SCENARIOS
def load_samples_of_lightning(pl, folder):
    """A file written by Lightning builds the module, hyperparameters and weights and all."""
    Sample = sample_module(pl)
    modules = {
        "plain": Sample.load_from_checkpoint(SAMPLES / "plain.ckpt"),
        "path": Sample.load_from_checkpoint(SAMPLES / "path.ckpt", weights_only=False),
    }
    return {
        name: {"hparams": plain(dict(module.hparams)), "weights": [plain(p.flatten()) for p in module.parameters()]}
        for name, module in modules.items()
    }
