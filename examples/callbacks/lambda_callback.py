"""Two functions at two hooks, without a class."""

import fulgurite as pl
from fulgurite.callbacks import LambdaCallback
from fulgurite.testing import BoringModel

losses = []
listening = LambdaCallback(
    on_train_batch_end=lambda trainer, module, outputs, batch, batch_idx: losses.append(float(outputs["loss"])),
    on_train_epoch_end=lambda trainer, module: print(f"epoch {trainer.current_epoch}: {len(losses)} losses so far"),
)
trainer = pl.Trainer(
    max_epochs=2,
    callbacks=[listening],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(BoringModel())
print(f"the first was {losses[0]:.3f}")
