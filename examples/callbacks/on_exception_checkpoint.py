"""Training is interrupted; a second run goes on from the file that is left."""

import fulgurite as pl
from fulgurite.callbacks import OnExceptionCheckpoint
from fulgurite.testing import BoringModel

QUIET = dict(logger=False, enable_progress_bar=False, enable_model_summary=False)


class Interrupted(BoringModel):
    def training_step(self, batch, batch_idx):
        if self.global_step == 100:
            raise KeyboardInterrupt
        return super().training_step(batch, batch_idx)


pl.seed_everything(0)
saved = OnExceptionCheckpoint("kept")
try:
    pl.Trainer(max_epochs=3, callbacks=[saved], **QUIET).fit(Interrupted())
except KeyboardInterrupt:
    print(f"interrupted; there is {saved.ckpt_path.rpartition('/')[2]}")

trainer = pl.Trainer(max_epochs=3, callbacks=[saved], **QUIET)
trainer.fit(BoringModel(), ckpt_path=saved.ckpt_path)
print(f"finished after {trainer.global_step} steps in all")
