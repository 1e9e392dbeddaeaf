"""The whole run is kept on this machine; `fulgurite ui` shows it, and it can be asked for its rows."""

import torch

import fulgurite as pl
from fulgurite.loggers import TrackLogger
from fulgurite.testing import BoringModel
from fulgurite.track.store.store import Store


class Model(BoringModel):
    def __init__(self, width=2):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


# Without `store` the run goes to ~/.fulgurite, beside all others of this machine.
logger = TrackLogger(".", store="store", project="examples", run_name="first try", tags=["boring"])
trainer = pl.Trainer(
    max_epochs=2, logger=logger, log_every_n_steps=16, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Model())
logger.log_histogram("weights", trainer.model.layer.weight)
logger.finalize("success")

store = Store("store")
(project,) = store.runs.projects()
(run,) = store.runs.all(project)
print(f"run {logger.run_id}: {run.row_count} rows, hyperparameters {run.config}")
print("to look at it: FULGURITE_DIR=store fulgurite ui")
