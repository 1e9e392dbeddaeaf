"""A bar of your own: other words in front of it, and no bar while validating."""

import fulgurite as pl
from fulgurite.callbacks import TQDMProgressBar
from fulgurite.testing import BoringModel


class Bar(TQDMProgressBar):
    def init_train_tqdm(self):
        bar = super().init_train_tqdm()
        bar.set_description("learning")
        return bar

    def get_metrics(self, trainer, pl_module):
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("loss", loss, prog_bar=True)
        return loss


trainer = pl.Trainer(
    max_epochs=2,
    callbacks=[Bar(leave=True)],
    logger=False,
    limit_val_batches=0,
    enable_checkpointing=False,
    enable_model_summary=False,
)
trainer.fit(Model())
print("on the bar:", *trainer.progress_bar_metrics)
