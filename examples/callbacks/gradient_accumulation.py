"""Steps of four batches while training is young, and of one batch from the third epoch on."""

import fulgurite as pl
from fulgurite.callbacks import GradientAccumulationScheduler
from fulgurite.testing import BoringModel


class Told(BoringModel):
    def on_train_epoch_end(self):
        print(f"epoch {self.current_epoch}: {self.global_step} steps so far")


schedule = GradientAccumulationScheduler({0: 4, 2: 1})
trainer = pl.Trainer(max_epochs=4, callbacks=[schedule], enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Told())
