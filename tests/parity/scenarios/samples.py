"""Small checkpoints written by Lightning, kept beside the goldens: ours must load and resume from them."""

import contextlib
from pathlib import Path
from types import ModuleType

import torch

from parity.scenarios.kit import Bench, batches


def sample_module(pl: ModuleType) -> type:
    """Return the class whose runs the sample checkpoints hold."""

    class Sample(pl.LightningModule):
        def __init__(self, width=4, rate=0.01, note="sample", layers=(1, 2), where=None):
            super().__init__()
            self.save_hyperparameters()
            torch.manual_seed(3)
            self.net = torch.nn.Linear(3, 1)

        def training_step(self, batch, batch_idx):
            return (self.net(batch[0]).squeeze(-1) - torch.sin(batch[1].float())).pow(2).mean()

        def validation_step(self, batch, batch_idx):
            self.log("val", self.training_step(batch, batch_idx))

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.rate)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    return Sample


def write_samples(pl: ModuleType, folder: Path) -> None:
    """Write ``plain.ckpt`` (hyperparameters of plain types), ``path.ckpt`` (one is a Path) and ``mid_epoch.ckpt``."""
    _write(pl, folder, "plain", {"rate": 0.02})
    _write(pl, folder, "path", {"where": Path("some/where")})
    _write(pl, folder, "mid_epoch", {"rate": 0.02}, every_n_train_steps=3)


def _write(pl: ModuleType, folder: Path, name: str, hparams: dict, **trigger: int) -> None:
    (folder / f"{name}.ckpt").unlink(missing_ok=True)
    # A relative folder, so that no machine's paths end up in the file.
    trigger = trigger or {"monitor": "val"}
    save = pl.callbacks.ModelCheckpoint(dirpath="checkpoints", filename=name, **trigger)
    save.dirpath = "checkpoints"
    stop = pl.callbacks.EarlyStopping("val", patience=5)
    bench = Bench(pl, folder)
    trainer = bench.trainer(callbacks=[stop, save], enable_checkpointing=True, max_epochs=2, limit_train_batches=4)
    with contextlib.chdir(folder):
        trainer.fit(sample_module(pl)(**hparams), batches(4), batches(2, seed=1))
        written = sorted(Path("checkpoints").glob("*.ckpt"))
        written[-1].rename(f"{name}.ckpt")
        for path in [*written[:-1], Path("checkpoints")]:
            path.rmdir() if path.is_dir() else path.unlink()
