"""Half of what is left of the weights goes at the end of each epoch; the file is that of a plain model."""

import fulgurite as pl
from fulgurite.callbacks import ModelPruning
from fulgurite.testing import BoringModel


def share_of_zeros(weight):
    return f"{(weight == 0).float().mean():.0%} of the weights are zero"


def pruned(**arguments):
    pl.seed_everything(0)
    pruning = ModelPruning("l1_unstructured", amount=0.5, parameter_names=["weight"], **arguments)
    trainer = pl.Trainer(max_epochs=3, callbacks=[pruning], enable_progress_bar=False, enable_model_summary=False)
    model = BoringModel()
    first = model.layer.weight.detach().clone()
    trainer.fit(model)
    weight = model.layer.weight
    moved = (weight - first)[weight != 0].abs().mean()
    print(f"in the model, {share_of_zeros(weight)}; the others have moved by {moved:.3f}")
    return trainer


# By default each epoch begins anew, with the first values of the weights that are left: a lottery ticket.
trainer = pruned()
loaded = BoringModel.load_from_checkpoint(trainer.checkpoint_callback.best_model_path)
print(f"in the file, {share_of_zeros(loaded.layer.weight)}")

print("without going back:")
pruned(use_lottery_ticket_hypothesis=False)
