"""A run for MLflow, in a file here; with `tracking_uri="http://…"` it goes to a server.

`mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db` shows it.
"""

import torch

import fulgurite as pl
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import MLFlowLogger
from fulgurite.testing import BoringModel


class Logging(BoringModel):
    """Keeps its hyperparameters and its loss."""

    def __init__(self, rate=0.1):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)["loss"]
        self.log("train/loss", loss)
        return loss


logger = MLFlowLogger("tutorial", run_name="first", tags={"team": "vision"}, log_model=True)
trainer = pl.Trainer(
    max_epochs=2,
    limit_train_batches=20,
    log_every_n_steps=5,
    logger=logger,
    callbacks=[ModelCheckpoint("kept")],
    enable_progress_bar=False,
    enable_model_summary=False,
)
torch.manual_seed(1)
trainer.fit(Logging())

run = logger.experiment.get_run(logger.run_id)
print(run.info.run_name, run.info.status, run.data.params)
print("rows:", len(logger.experiment.get_metric_history(logger.run_id, "train/loss")))
print("files:", [each.path for each in logger.experiment.list_artifacts(logger.run_id)])
