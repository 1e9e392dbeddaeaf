"""Training ends when its time is up; the clock says how long each stage took."""

import time

import fulgurite as pl
from fulgurite.callbacks import Timer
from fulgurite.testing import BoringModel


class Slow(BoringModel):
    def training_step(self, batch, batch_idx):
        time.sleep(0.02)
        return super().training_step(batch, batch_idx)


timer = Timer(duration={"seconds": 1})  # or "00:00:00:01", or Trainer(max_time=...)
trainer = pl.Trainer(
    max_epochs=-1, callbacks=[timer], logger=False, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Slow())
print(f"{trainer.global_step} steps in {timer.time_elapsed('train'):.2f} s")
print(f"validation took {timer.time_elapsed('validate'):.2f} s, {timer.time_remaining():.2f} s are left")
