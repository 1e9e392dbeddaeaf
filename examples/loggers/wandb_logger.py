"""A run for W&B, recorded on the disk: no account and no network are needed until `wandb sync` sends it."""

import importlib.util
from pathlib import Path

import fulgurite as pl
from fulgurite.loggers import WandbLogger
from fulgurite.testing import BoringModel


class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("loss", loss)
        return loss


def main():
    import wandb

    logger = WandbLogger(name="first try", project="examples", offline=True, tags=["boring"])
    trainer = pl.Trainer(
        max_epochs=1,
        logger=logger,
        log_every_n_steps=16,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model())
    logger.log_table("answers", columns=["question", "answer"], data=[["does it learn?", "a little"]])
    wandb.finish()
    (record,) = Path("wandb").glob("offline-run-*/*.wandb")
    print(f"recorded, {record.stat().st_size} bytes; to send it: wandb sync {record.parent}")


if importlib.util.find_spec("wandb"):
    main()
else:
    print('wandb is not installed: pip install "fulgurite[wandb]"')
