"""How busy the machine was while it trained."""

import csv
from pathlib import Path

import fulgurite as pl
from fulgurite.callbacks import DeviceStatsMonitor
from fulgurite.loggers import CSVLogger
from fulgurite.testing import BoringModel

logger = CSVLogger(".")
trainer = pl.Trainer(
    max_epochs=1,
    limit_train_batches=20,
    limit_val_batches=0,
    log_every_n_steps=10,
    logger=logger,
    callbacks=[DeviceStatsMonitor(cpu_stats=True, filter_keys={"cpu_percent", "cpu_vm_percent"})],
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(BoringModel())
with open(Path(logger.log_dir, "metrics.csv"), newline="") as file:
    for row in csv.DictReader(file):
        print({name: value for name, value in row.items() if value})
