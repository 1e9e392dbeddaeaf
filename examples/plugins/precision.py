"""A precision of your own: float32, but with gradients rounded to bfloat16, as if they had travelled so."""

import torch

import fulgurite as pl
from fulgurite.precision import Precision
from fulgurite.testing import BoringModel


class RoundedGradients(Precision):
    precision = "32-true"

    def unscale(self, optimizer):
        for parameter in self.main_params(optimizer):
            if parameter.grad is not None:
                parameter.grad = parameter.grad.to(torch.bfloat16).to(parameter.dtype)


class Watching(pl.Callback):
    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        gradient = pl_module.layer.weight.grad
        self.rounded = bool((gradient == gradient.to(torch.bfloat16)).all())


watching = Watching()
trainer = pl.Trainer(
    plugins=[RoundedGradients()],
    callbacks=[watching],
    max_epochs=1,
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(BoringModel())
print("every gradient was a bfloat16:", watching.rounded)
