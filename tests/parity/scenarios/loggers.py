"""What loggers leave behind: the names of folders, files, tags and hyperparameters."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from parity.scenarios.kit import Bench, Scenarios, batches

SCENARIOS = Scenarios()


def tensorboard(pl, folder, *, hyperparameters=True, example=False, logger=None, **options) -> dict[str, Any]:
    """Fit with a TensorBoardLogger; return the tree of files and what the event files say."""
    bench = Bench(pl, folder)

    class Logging(bench.Tiny):
        def __init__(self, lr=0.1, width=8, name="tiny", nested=None):
            super().__init__()
            if hyperparameters:
                self.save_hyperparameters()
            self.example_input_array = torch.zeros(1, 3) if example else None

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("loss", 0.5)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val/accuracy", 0.25)

    used = pl.loggers.TensorBoardLogger(str(folder), **(logger or {}))
    trainer = bench.trainer(logger=used, enable_checkpointing=True, log_every_n_steps=2, **options)
    trainer.fit(Logging(nested={"depth": 2, "act": None}), batches(4), batches(1, seed=1))
    return {
        "files": sorted({_nameless(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}),
        "values": sorted(values_of(Path(used.log_dir))),
        "hparams": _hparams(Path(used.log_dir)),
        "properties": [
            used.name,
            used.version,
            *(str(Path(place).relative_to(folder)) for place in (used.save_dir, used.root_dir, used.log_dir)),
        ],
    }


def _nameless(path: Path) -> str:
    """Event files have the time, the machine and the process in their names."""
    return str(path.with_name("events.out.tfevents") if path.name.startswith("events.out.tfevents") else path)


def values_of(folder: Path) -> list[list[Any]]:
    from support.tfevents import values_in

    return [[each.tag, each.step, each.plugin, each.value] for each in values_in(folder)]


def _hparams(folder: Path) -> Any:
    import yaml

    return yaml.safe_load((folder / "hparams.yaml").read_text())


for _name, _options in {
    "plain": {},
    "without_hyperparameters": {"hyperparameters": False},
    "named": {"logger": {"name": "mine", "version": "first"}},
    "unnamed": {"logger": {"name": "", "version": 3}},
    "in_sub_dir": {"logger": {"sub_dir": "a/b"}},
    "without_hp_metric": {"logger": {"default_hp_metric": False}},
    "graph": {"logger": {"log_graph": True}, "example": True},
    "graph_without_example": {"logger": {"log_graph": True}},
}.items():
    SCENARIOS[f"tensorboard_{_name}"] = partial(tensorboard, **_options)


@SCENARIOS
def tensorboard_by_hand(pl, folder):
    """Metrics with a prefix, in charts of several, and hyperparameters with metrics of their own."""
    logger = pl.loggers.TensorBoardLogger(str(folder), prefix="p")
    logger.log_metrics({"a": torch.tensor(1.0), "b": 2, "c": True}, step=3)
    logger.log_metrics({"both": {"x": 1.0, "y": 2.0}}, step=4)
    logger.log_hyperparams({"lr": 0.5}, metrics={"score": 1.5})
    logger.save()
    logger.finalize("success")
    files = sorted({_nameless(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()})
    return {
        "files": files,
        "values": sorted(values_of(Path(logger.log_dir))),
        "hparams": _hparams(Path(logger.log_dir)),
    }


def mlflow(pl, folder, **options) -> dict[str, Any]:
    """Fit and test with an MLFlowLogger over a store in a file; return what the store holds."""
    from mlflow import MlflowClient

    bench, store = Bench(pl, folder), f"sqlite:///{folder}/store.db"

    class Logging(bench.Tiny):
        def __init__(self, lr=0.1, sizes=None, nested=None, long="x" * 300):
            super().__init__()
            self.save_hyperparameters()

        def training_step(self, batch, batch_idx):
            self.log("loss", 0.5)
            self.log("odd@name(1)", 1.0)
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            self.log("val/accuracy", float(self.current_epoch))

    used = pl.loggers.MLFlowLogger(
        "exp", "first", store, tags={"team": "a"}, artifact_location=f"{folder}/artifacts", prefix="p", **options
    )
    keeper = pl.callbacks.ModelCheckpoint(f"{folder}/kept", monitor="val/accuracy", mode="max", filename="{epoch}")
    trainer = bench.trainer(logger=used, max_epochs=2, enable_checkpointing=True, callbacks=[keeper])
    trainer.fit(Logging(sizes=[1, 2], nested={"depth": 2, "act": None}), batches(2), batches(1, seed=1))
    client = MlflowClient(store)
    run = client.get_run(used.run_id)
    metrics = {name: client.get_metric_history(used.run_id, name) for name in sorted(run.data.metrics)}
    return {
        "experiment": client.get_experiment(run.info.experiment_id).name,
        "run": [run.info.run_name, run.info.status],
        # The store may drop one of two equal values of a millisecond.
        "metrics": {name: sorted({(each.step, each.value) for each in found}) for name, found in metrics.items()},
        "params": {name: value[:200] for name, value in sorted(run.data.params.items())},
        "tags": {
            name: value
            for name, value in sorted(run.data.tags.items())
            if not name.startswith(("mlflow.source", "mlflow.user"))
        },
        "artifacts": sorted(_artifacts(client, used.run_id)),
        "notes": [
            Path(client.download_artifacts(used.run_id, path)).read_text()
            for path in sorted(_artifacts(client, used.run_id))
            if not path.endswith(".ckpt")
        ],
    }


def _artifacts(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    found = []
    for each in client.list_artifacts(run_id, folder):
        found += _artifacts(client, run_id, each.path) if each.is_dir else [each.path]
    return found


for _log_model in (False, True, "all"):
    SCENARIOS[f"mlflow_log_model_{_log_model}".lower()] = partial(mlflow, log_model=_log_model)
