"""Half of what is left of the weights goes at the end of each epoch; the file is that of a plain model."""

import fulgurite as pl
from fulgurite.callbacks import ModelPruning
from fulgurite.testing import BoringModel


def share_of_zeros(weight):
    return f"{(weight == 0).float().mean():.0%} of the weights are zero"


pl.seed_everything(0)
pruning = ModelPruning("l1_unstructured", amount=0.5, parameter_names=["weight"], use_lottery_ticket_hypothesis=False)
trainer = pl.Trainer(max_epochs=3, callbacks=[pruning], enable_progress_bar=False, enable_model_summary=False)
model = BoringModel()
trainer.fit(model)
print(f"in the model, {share_of_zeros(model.layer.weight)}")

loaded = BoringModel.load_from_checkpoint(trainer.checkpoint_callback.best_model_path)
print(f"in the file, {share_of_zeros(loaded.layer.weight)}")
