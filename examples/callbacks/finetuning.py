"""A head that is trained alone for two epochs, and a backbone that follows at a rate of its own."""

import torch

import fulgurite as pl
from fulgurite.callbacks import BackboneFinetuning


class Transfer(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
        self.head = torch.nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.mse_loss(self.head(self.backbone(batch[0])), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam([each for each in self.parameters() if each.requires_grad], lr=1e-2)

    def on_train_epoch_end(self):
        rates = [group["lr"] for group in self.trainer.optimizers[0].param_groups]
        print(f"epoch {self.current_epoch}: rates {', '.join(f'{rate:.4f}' for rate in rates)}")


pl.seed_everything(0)
x = torch.randn(256, 8)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16)

finetuning = BackboneFinetuning(unfreeze_backbone_at_epoch=2, lambda_func=lambda epoch: 3)
trainer = pl.Trainer(max_epochs=6, callbacks=[finetuning], enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Transfer(), loader)
