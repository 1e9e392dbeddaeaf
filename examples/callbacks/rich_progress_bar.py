"""A bar of rich in colours of your own; each epoch's bar stays."""

import importlib.util

import fulgurite as pl
from fulgurite.callbacks import RichProgressBar
from fulgurite.testing import BoringModel


class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("loss", loss, prog_bar=True)
        return loss


def main():
    from fulgurite.callbacks.progress.rich import RichProgressBarTheme

    bar = RichProgressBar(leave=True, theme=RichProgressBarTheme(progress_bar="cyan", metrics="bold"))
    trainer = pl.Trainer(
        max_epochs=2, callbacks=[bar], logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(Model())
    print("on the bar:", *trainer.progress_bar_metrics)


if importlib.util.find_spec("rich"):
    main()
else:
    print('rich is not installed: pip install "fulgurite[rich]"')
